"""The formats that an answer can be written in, to a stream or to a file that is either whole or not there.

What a record looks like is decided by tables.py and data.py; the table fitted to a terminal is terminal.py's.
"""

from __future__ import annotations

import os
import stat
from contextlib import suppress

from portbook.errors import N_, BadQuestion, Unavailable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path
    from typing import IO, AnyStr, BinaryIO

    from portbook.columns import Table

FORMATS = ("table", "json", "ndjson", "csv", "parquet")


def write(table: Table, format_name: str, stream: BinaryIO, *, gettext: Callable[[str], str] = str) -> None:
    """Write the table to a binary stream in one of FORMATS, in pieces, and flush it.

    `gettext` translates the headings of `table`, the one format that has any. A table without rows is nothing
    in the formats table and ndjson, an empty array, a line of names, a typed file without rows in the others.
    Raises BadQuestion for a format that is not known, or Parquet on a terminal; Unavailable when the stream
    takes no more (a full disk); BrokenPipeError when its reader is gone, which is no error of the question.
    """
    check(format_name, stream)
    deliver(_pieces(table, format_name, gettext), stream)


def check(format_name: str, stream: IO[AnyStr]) -> None:
    """Refuse a format that is no text where the stream is a terminal. Raises BadQuestion."""
    if format_name == "parquet" and stream.isatty():
        raise BadQuestion(N_("parquet is no text for a terminal: name a file with -o FILE, or use a pipe"))


def deliver(pieces: Iterable[AnyStr], stream: IO[AnyStr]) -> None:
    """Write the pieces to the stream and flush it. Raises Unavailable and BrokenPipeError as `write` does."""
    try:
        for piece in pieces:
            stream.write(piece)
        stream.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        raise Unavailable(N_("cannot write the answer: {reason}"), reason=_reason(error)) from error


def write_file(
    table: Table, format_name: str, path: str | os.PathLike[str], *, gettext: Callable[[str], str] = str
) -> None:
    """Write the table to a file in one of FORMATS; a former file is replaced only by a whole new one.

    The answer is written beside the file, brought to the disk and renamed; the new file keeps the former
    one's permissions, and its owner where rights allow. A device or a pipe is written to directly. Raises
    BadQuestion for a format that is not known and Unavailable when the file cannot be written; then nothing
    is left of it.
    """
    from pathlib import Path

    target = Path(path).resolve()
    try:
        former = target.stat() if target.exists() else None
        if former is not None and not stat.S_ISREG(former.st_mode):
            with target.open("wb") as device:
                write(table, format_name, device, gettext=gettext)
            return
        _replace(table, format_name, target, former, gettext)
    except BrokenPipeError:
        raise
    except OSError as error:
        raise _unwritable(path, _reason(error)) from error
    except Unavailable as error:
        raise _unwritable(path, error.values["reason"]) from error


def _replace(
    table: Table,
    format_name: str,
    target: Path,
    former: os.stat_result | None,
    gettext: Callable[[str], str],
) -> None:
    draft = target.with_name(f".portbook-{os.urandom(8).hex()}")
    # Created by its own name and not by mkstemp, so that a new file gets the permissions of the umask.
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
    try:
        with os.fdopen(descriptor, "wb") as file:
            if former is not None:
                with suppress(PermissionError):
                    os.fchown(descriptor, former.st_uid, former.st_gid)
                os.fchmod(descriptor, stat.S_IMODE(former.st_mode))
            write(table, format_name, file, gettext=gettext)
            os.fsync(descriptor)
        draft.replace(target)
    except BaseException:
        draft.unlink()
        raise


def _pieces(table: Table, format_name: str, gettext: Callable[[str], str]) -> Iterable[bytes]:
    if format_name == "table":
        from portbook.output import tables

        return tables.aligned(tables.shown_columns(table, gettext), table.order, len(table)) if len(table) else ()
    if format_name == "parquet":
        from portbook.output.database import parquet

        return parquet(table)
    from portbook.output import data

    if format_name == "ndjson":
        return data.json_lines(table)
    if format_name == "json":
        return data.json_array(table)
    if format_name == "csv":
        return data.csv_lines(table)
    raise BadQuestion(
        N_("there is no format {name}; there are: {formats}"), name=format_name, formats=", ".join(FORMATS)
    )


def _unwritable(path: str | os.PathLike[str], reason: object) -> Unavailable:
    return Unavailable(N_("cannot write {path}: {reason}"), path=os.fspath(path), reason=reason)


def _reason(error: OSError) -> str:
    return error.strerror or str(error)
