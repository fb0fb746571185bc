"""The update of the registry: from IANA's own CSV to a file in the user's data folder.

It reads and checks the CSV, downloads it where no file is given, and replaces the user's file as a whole or
not at all. Reading that file when ports are looked up is left to lookup.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from portbook.errors import N_, BadData, Unavailable
from portbook.registry.lines import TRANSPORTS, compose, every_line
from portbook.registry.lookup import FILE_NAME, open_registry

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from portbook.registry.lines import Fact

URL = "https://www.iana.org/assignments/service-names-port-numbers/service-names-port-numbers.csv"

HEADER = [
    "Service Name",
    "Port Number",
    "Transport Protocol",
    "Description",
    "Assignee",
    "Contact",
    "Registration Date",
    "Modification Date",
    "Reference",
    "Service Code",
    "Unauthorized Use Reported",
    "Assignment Notes",
]

LARGEST = 32 * 1024 * 1024
"""Bytes of a CSV that are read at most; IANA's has little more than a million."""

SLOWEST = 120.0
"""Seconds that a download may take in all."""

SILENCE = 20.0
"""Seconds that a download may pause."""

FEWEST_ASSIGNMENTS = 1000
"""A file with fewer is a part of the registry, or another one; IANA's has more than eleven thousand."""


MOST_FACTS = 1_000_000
"""Ports of transports, counted once for each row that speaks of them; IANA's file has about 200,000."""


@dataclass(frozen=True, slots=True)
class Update:
    """What an update brought: assignments (a name for a port of a transport), ports with one, and their date.

    `date` (ISO 8601) is the last day on which IANA says that it registered or changed one of them.
    """

    assignments: int
    ports: int
    date: str


def update(csv_path: Path | None, data_folder: Path, fewest: int = FEWEST_ASSIGNMENTS) -> Update:
    """Replace the registry in the user's data folder by IANA's CSV and return what it holds.

    Without a path the CSV is downloaded from URL. Raises BadData, with the line, where the file is not IANA's
    CSV or holds fewer than `fewest` assignments, and Unavailable where it cannot be had or not be written.
    After an error the folder is as it was.
    """
    data = download() if csv_path is None else _read(csv_path)
    facts, date = read_csv(data)
    named = [(port, name) for (port, _), said in facts.items() for name, _, _ in said if name]
    if len(named) < fewest:
        raise BadData(
            N_("this file has only {count} assignments; get the whole file from {url}"),
            count=len(named),
            url=URL,
        )
    _first_as_main(facts, open_registry(data_folder).main)
    _replace(data_folder / FILE_NAME, compose(facts, URL, date))
    return Update(len(named), len({port for port, _ in named}), date)


def read_csv(data: bytes) -> tuple[dict[tuple[int, str], list[Fact]], str]:
    """Return what IANA's CSV says of each (port, transport), in its order, and the date of its last change.

    Names without a port (of DNS service discovery) are left out. A row without a transport speaks of all.
    Raises BadData with the line for whatever is not IANA's CSV.
    """
    facts: dict[tuple[int, str], list[Fact]] = {}
    dates = [""]
    count = 0
    for line, row in _rows(data):
        name, port, transport, description, reference = *row[:4], row[8]
        dates += [date for date in row[6:8] if _is_date(date)]
        if not port.strip():
            continue
        ports = _ports(line, port.strip())
        transports = _transports(line, transport.strip().lower())
        fact = (_name(line, name.strip()), _description(description), _reference(reference))
        count += len(ports) * len(transports)
        if count > MOST_FACTS:
            raise BadData(N_("line {line}: the ranges of ports are more than a registry can hold"), line=line)
        for number in ports:
            for each in transports:
                facts.setdefault((number, each), []).append(fact)
    return facts, max(dates)


def _rows(data: bytes) -> Iterator[tuple[int, list[str]]]:
    """Yield the rows of IANA's CSV after its header, each with the number of its last line."""
    import csv
    from io import StringIO

    if len(data) > LARGEST:
        raise BadData(N_("this file is larger than {largest} bytes, so not IANA's CSV"), largest=LARGEST)
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise BadData(N_("line {line}: this is not UTF-8 text"), line=line) from None
    reader = csv.reader(StringIO(text, newline=""), strict=True)
    try:
        if next(reader, None) != HEADER:
            raise BadData(N_("line 1: this is not the header of IANA's CSV; get it from {url}"), url=URL)
        for row in reader:
            if row and len(row) != len(HEADER):
                raise BadData(
                    N_("line {line}: there are {count} fields instead of {wanted}; the file may be cut off"),
                    line=reader.line_num,
                    count=len(row),
                    wanted=len(HEADER),
                )
            if row:
                yield reader.line_num, row
    except csv.Error as error:
        raise BadData(
            N_("line {line}: this is not CSV ({reason}); the file may be cut off"),
            line=reader.line_num,
            reason=str(error),
        ) from None


def _is_date(text: str) -> bool:
    import re

    return re.fullmatch(r"[0-9]{4}-[0-9]{2}(-[0-9]{2})?", text) is not None


def _ports(line: int, text: str) -> range:
    import re

    found = re.fullmatch(r"([0-9]{1,5})(?:-([0-9]{1,5}))?", text)
    ports = range(int(found[1]), int(found[2] or found[1]) + 1) if found else range(0)
    if not ports or ports[-1] > 65535:
        raise BadData(N_("line {line}: {port} is no port or range of ports"), line=line, port=repr(text[:40]))
    return ports


def _transports(line: int, text: str) -> tuple[str, ...]:
    if not text:
        return TRANSPORTS
    if text not in TRANSPORTS:
        raise BadData(N_("line {line}: there is no transport {transport}"), line=line, transport=repr(text[:40]))
    return (text,)


def _name(line: int, text: str) -> str:
    # IANA's own older names have dots, slashes and more, so RFC 6335's form cannot be asked for.
    if len(text) > 64 or not text.isascii() or not text.isprintable() or " " in text:
        raise BadData(N_("line {line}: {name} is no service name"), line=line, name=repr(text[:40]))
    return text


def _printable(text: str) -> str:
    kept = "".join(character for character in text if character.isprintable() or character.isspace())
    return " ".join(kept.split())


def _description(text: str) -> str:
    return _printable(text).partition(" IANA assigned this well-formed service name")[0]


def _reference(text: str) -> str:
    """Return IANA's `[RFC9110][RFC8446]` as `RFC 9110, RFC 8446`."""
    import re

    found = re.findall(r"\[([^\[\]]+)\]", _printable(text))
    return ", ".join(re.sub(r"^RFC([0-9]+)$", r"RFC \1", reference) for reference in found)


def _first_as_main(facts: dict[tuple[int, str], list[Fact]], main: bytes) -> None:
    """Put the name that a main port is known by before its other names."""
    for ports, fields in every_line(main):
        for transport in TRANSPORTS:
            said = facts.get((ports[0], transport), [])
            said.sort(key=lambda fact: fact[0] != fields[2])


def download(url: str = URL) -> bytes:
    """Return what is at a URL: LARGEST bytes at most, within SLOWEST seconds.

    Raises Unavailable where it cannot be had, and BadData where it is larger.
    """
    from http.client import HTTPException
    from time import monotonic
    from urllib.request import Request, urlopen

    deadline = monotonic() + SLOWEST
    request = Request(url, headers={"User-Agent": "portbook"})  # noqa: S310 - the scheme is checked below
    data = bytearray()
    try:
        with urlopen(request, timeout=SILENCE) as response:  # noqa: S310
            if response.url.partition(":")[0] != url.partition(":")[0]:
                raise Unavailable(N_("{url} leads to {other}, which is not as safe"), url=url, other=response.url)
            while part := response.read1(65536):
                data += part
                if len(data) > LARGEST:
                    raise BadData(N_("{url} is larger than {largest} bytes"), url=url, largest=LARGEST)
                if monotonic() > deadline:
                    raise TimeoutError(f"more than {SLOWEST:.0f} s")
            expected = response.headers.get("Content-Length", str(len(data)))
    except (OSError, HTTPException, ValueError) as error:
        raise Unavailable(
            N_("cannot download {url}: {reason}; download it in another way and give the file"),
            url=url,
            reason=str(error) or type(error).__name__,
        ) from error
    if expected != str(len(data)):
        raise Unavailable(N_("the download of {url} was cut off; try again"), url=url)
    return bytes(data)


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(LARGEST + 1)
    except OSError as error:
        raise Unavailable(
            N_("cannot read {path}: {reason}"), path=str(path), reason=error.strerror or str(error)
        ) from error


def _replace(path: Path, data: bytes) -> None:
    """Put a file in the place of another: at every moment, even of a power cut, one of them is there."""
    import os
    from tempfile import mkstemp

    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = mkstemp(dir=path.parent, prefix=f".{path.name}.")
        written = Path(name)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            written.replace(path)
        except BaseException:
            written.unlink(missing_ok=True)
            raise
        if os.name == "posix":
            folder = os.open(path.parent, os.O_RDONLY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)
    except OSError as error:
        raise Unavailable(
            N_("cannot write {path}: {reason}"), path=str(path), reason=error.strerror or str(error)
        ) from error
