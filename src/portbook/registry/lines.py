"""The form of the registry's files: lines of tab-separated fields, sorted by port.

It knows how to find the lines of a port in bytes without reading the others, and how to write the lines of a
whole registry. Where the bytes come from, and what the fields mean to a reader, is left to others.

A file opens with comments (`# `). Each line then holds a port or a range of ports, the transports, the name
of the service, a description and optionally a fifth field. Lines are sorted by port, and no two ranges
overlap unless they are the same: so one binary search finds everything that is said of a port.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    Fact = tuple[str, str, str]
    """What is said of a port of one transport: name (or ""), description, reference (or "")."""

FORM = b"# portbook registry 1\n"
"""The first line of a registry of assignments in this form."""

TRANSPORTS = ("tcp", "udp", "sctp", "dccp")
"""The transports that ports are assigned for, in the order of the registry (RFC 6335, section 6)."""

_CHECKSUM = b"# crc32: "


def body(data: bytes) -> bytes:
    """Return the lines of a file without the comments before and after them."""
    start = 0
    while data.startswith(b"#", start):
        start = data.find(b"\n", start) + 1 or len(data)
    end = data.rfind(b"\n#", start) + 1 or len(data)
    return data[start:end]


def comment(data: bytes, name: str) -> str:
    """Return what the comment `# name: ...` before the lines says, "" where there is none."""
    for line in data[:2000].decode(errors="replace").split("\n"):
        label, _, value = line.partition(": ")
        if label == f"# {name}":
            return value
    return ""


def is_whole(data: bytes) -> bool:
    """Whether bytes are a registry of assignments in this form, all of it, unchanged since it was written."""
    from binascii import crc32

    lines, mark, checksum = data.rpartition(_CHECKSUM)
    return bool(mark) and data.startswith(FORM) and checksum == b"%08x\n" % crc32(lines)


def lines_within(lines: bytes, ports: range) -> dict[int, list[list[str]]]:
    """Return the fields of the lines that speak of each port of a range, in the order of the file."""
    low, high = 0, len(lines)
    while low < high:
        start = lines.rfind(b"\n", low, (low + high) // 2) + 1 or low
        if _span(lines, start).stop <= ports.start:
            low = lines.find(b"\n", start) + 1
        else:
            high = start
    found: dict[int, list[list[str]]] = {}
    while low < len(lines) and (span := _span(lines, low)).start < ports.stop:
        end = lines.find(b"\n", low)
        fields = lines[low:end].decode().split("\t")
        for port in range(max(span.start, ports.start), min(span.stop, ports.stop)):
            found.setdefault(port, []).append(fields)
        low = end + 1
    return found


def every_line(lines: bytes) -> Iterator[tuple[range, list[str]]]:
    """Yield each line as its ports and its fields."""
    for line in lines.decode().split("\n")[:-1]:
        fields = line.split("\t")
        first, _, last = fields[0].partition("-")
        yield range(int(first), int(last or first) + 1), fields


def _span(lines: bytes, start: int) -> range:
    first, _, last = lines[start : lines.find(b"\t", start)].partition(b"-")
    return range(int(first), int(last or first) + 1)


def compose(facts: Mapping[tuple[int, str], Iterable[Fact]], source: str, date: str) -> bytes:
    """Return the file that says these facts: what is said of each (port, transport), most important first.

    Neighbouring ports of which exactly the same is said share their lines. `date` is the date of the data
    (ISO 8601), `source` one line on where they come from.
    """
    from binascii import crc32

    of_port: dict[int, dict[Fact, list[str]]] = {}
    for port, transport in sorted(facts, key=lambda key: (key[0], TRANSPORTS.index(key[1]))):
        for fact in facts[port, transport]:
            transports = of_port.setdefault(port, {}).setdefault(fact, [])
            if transport not in transports:
                transports.append(transport)
    written = [
        FORM.decode(),
        f"# source: {source}\n",
        f"# date: {date}\n",
        "# ports\ttransports\tservice\tdescription\treference\n",
    ]
    ports = list(of_port)
    first = 0
    for place, port in enumerate(ports):
        following = ports[place + 1] if place + 1 < len(ports) else None
        if following == port + 1 and of_port[following] == of_port[port]:
            continue
        span = str(port) if ports[first] == port else f"{ports[first]}-{port}"
        for (name, description, reference), transports in of_port[port].items():
            line = f"{span}\t{','.join(transports)}\t{name}\t{description}"
            written.append(f"{line}\t{reference}\n" if reference else f"{line}\n")
        first = place + 1
    data = "".join(written).encode()
    return data + _CHECKSUM + b"%08x\n" % crc32(data)
