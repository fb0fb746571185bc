"""What a run of `portbook test` has found so far, in a file, so that another can go on from there.

Its first line says what it is; then comes one line of JSON for each test, written as the test ends. A run that was
killed leaves at worst a line cut short. What a damaged line told is tested again, and a file that is not a journal is
never written to.
"""

from __future__ import annotations

import fcntl
import json
import os
import stat

from portbook.errors import N_, BadData, BadQuestion, PortbookError, Unavailable
from portbook.porttest import COLUMNS, Finding, PortTest, Tls
from portbook.probe.testing import endpoints

TYPE_CHECKING = False
if TYPE_CHECKING:
    from portbook.probe.testing import Question

_FIRST = b'{"portbook test": 1}\n'
_TYPES: dict[str, type | tuple[type, ...]] = {
    "integer": int,
    "number": (int, float),
    "text": str,
    "address": str,
    "boolean": bool,
}
_PLAIN = [
    (place, _TYPES[column.type]) for place, column in enumerate(COLUMNS) if column.name in PortTest._fields[:11]
]


class Journal:
    """The file of one run, held against any other while it lasts. `damaged` counts the lines that were no tests."""

    def __init__(self, path: str) -> None:
        """Open a file, which need not be there yet. Raises BadData where it is something else, BadQuestion."""
        self.path = path
        self.damaged = 0
        self._known: dict[tuple[str, int, str], tuple[bool, PortTest]] = {}
        try:
            self._file = open(path, "ab+", buffering=0)  # noqa: SIM115 - it lives as long as the run
        except OSError as error:
            raise _unwritable(path, error) from error
        try:
            self._begin()
        except OSError as error:
            self._file.close()
            raise _unwritable(path, error) from error
        except PortbookError:
            self._file.close()
            raise

    def keep(self, test: PortTest, identified: bool) -> None:
        """Write a test down. Raises Unavailable where the disk takes no more."""
        line = json.dumps([identified, *test], default=lambda value: value.decode("latin-1")).encode() + b"\n"
        try:
            written = os.write(self._file.fileno(), line)
            if written < len(line):
                os.write(self._file.fileno(), line[written:])
        except OSError as error:
            raise Unavailable(N_("cannot write {path}: {reason}"), path=self.path, reason=error.strerror) from error

    def known(self, question: Question) -> list[PortTest]:
        """Return the tests of a question that need not be made again, in the order of the question.

        One that only connected to a port which was open does not answer what speaks there.
        """
        found = []
        for transport in question.ports:
            for target, port in endpoints(question, transport):
                identified, test = self._known.get((target.ip, port, transport), (False, None))
                if test is not None and (identified or not question.identify or not test.state.startswith("open")):
                    found.append(test._replace(target=target.text))
        return found

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()

    def _begin(self) -> None:
        """Hold the file, read it, and see to it that the next line stands on its own."""
        if not stat.S_ISREG(os.fstat(self._file.fileno()).st_mode):
            raise BadQuestion(N_("{path} is a device or a pipe; --resume takes a file"), path=self.path)
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise BadQuestion(N_("{path} is in use by another run"), path=self.path) from error
        self._file.seek(0)
        first = self._file.read(len(_FIRST))
        if not first:
            self._file.write(_FIRST)
            return
        if first != _FIRST:
            raise BadData(N_("{path} was not written by portbook test --resume"), path=self.path)
        data = self._file.read()
        self._read(data)
        if data and not data.endswith(b"\n"):
            self._file.write(b"\n")

    def _read(self, data: bytes) -> None:
        for line in data.splitlines():
            try:
                identified, test = _test(line)
            except (ValueError, TypeError, RecursionError):
                self.damaged += 1
                continue
            self._known[test.ip, test.port, test.transport] = (identified, test)


def _unwritable(path: str, error: OSError) -> BadQuestion:
    return BadQuestion(N_("{path} cannot be written: {reason}"), path=path, reason=error.strerror)


def _test(line: bytes) -> tuple[bool, PortTest]:
    """Return whether what speaks there was asked, and the test of a line. Raises ValueError, TypeError."""
    identified, *values = json.loads(line)
    test = PortTest(*values)
    for place, kind in _PLAIN:
        if test[place] is not None and not isinstance(test[place], kind):
            raise TypeError(line)
    found = test.finding
    if found is not None:
        finding = Finding(*found)
        if finding.tls is not None:
            tls = Tls(*finding.tls)
            finding = finding._replace(tls=tls._replace(names=tuple(tls.names)))
        test = test._replace(finding=finding)
    said = test.banner
    return bool(identified), test if said is None else test._replace(banner=str(said).encode("latin-1"))
