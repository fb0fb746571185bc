"""The registry: what a port is assigned for, and which ports a name stands for.

It reads the data files beside it (or the user's newer copy of IANA's) and answers from their bytes, finding
only the lines that were asked for. Searching by words, the texts about the main ports and the update are left
to others.
"""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from typing import NamedTuple

from portbook.endpoint import DYNAMIC_PORTS
from portbook.errors import N_, BadQuestion
from portbook.registry.lines import TRANSPORTS, body, comment, every_line, is_whole, lines_within
from portbook.service import Service

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    Lines = Sequence[list[str]]

EMBEDDED = "embedded"
"""The source of a registry that reads the data it was delivered with."""

FILE_NAME = "iana.tsv"
"""The name of the file of IANA's assignments, here and in the user's data folder."""

_ORDER: dict[str | None, int] = {name: place for place, name in enumerate(TRANSPORTS)}

UNASSIGNED = N_("Unassigned")
DYNAMIC = N_("Dynamic ports, never assigned (RFC 6335)")


class Registry(NamedTuple):
    """What is known of the ports: the lines of four files, as bytes.

    `date` is the date of IANA's data (ISO 8601), `source` EMBEDDED or the path of the user's file.
    """

    assignments: bytes
    unofficial: bytes
    aliases: bytes
    main: bytes
    date: str
    source: str

    def port(self, number: int, transport: str | None = None) -> list[Service]:
        """Return what a port is for: IANA's assignments (TCP, UDP, SCTP, DCCP), then unofficial uses.

        There is always one service at least: a port that nothing is said of is `unassigned` or `reserved`.
        Raises BadQuestion beyond 65535.
        """
        return self.ports(range(number, number + 1), transport)

    def ports(self, numbers: range, transport: str | None = None) -> list[Service]:
        """Return what each port of a range is for, one after the other, as `port` tells it."""
        for port in (*numbers[:1], *numbers[-1:]):
            if not 0 <= port <= 65535:
                raise BadQuestion(N_("there is no port {port}; ports go from 0 to 65535"), port=port)
        assigned = lines_within(self.assignments, numbers)
        unofficial = lines_within(self.unofficial, numbers)
        stories = lines_within(self.main, numbers)
        services = []
        for port in numbers:
            said = [
                *services_of(port, assigned.get(port, ()), stories.get(port, ())),
                *services_of(port, unofficial.get(port, ()), unofficial=True),
            ]
            services += _answer(port, _assigned_as(transport), said)
        return services

    def named(self, name: str) -> list[Service]:
        """Return the services of this name or alias, in any case; what the alias stands for comes first."""
        wanted = name.strip().casefold()
        stories = lines_within(self.main, range(65536))
        found: list[Service] = []
        for official in [*self._alias_of(wanted), wanted]:
            said: list[Service] = []
            for lines in (self.assignments, self.unofficial):
                unofficial = lines is self.unofficial
                for ports, fields in _lines_named(lines, official):
                    for port in ports:
                        said += services_of(port, [fields], stories.get(port, ()), unofficial=unofficial)
            # A name may stand for several ports; the main one is meant.
            found += sorted(said, key=lambda service: service.port not in stories)
        return list(dict.fromkeys(found))

    def name_of(self, port: int, transport: str) -> str | None:
        """Return the name of a port: IANA's, else the first unofficial one; None where it has none.

        What malware chose is not among them: a conversation on such a port is seldom what it was chosen for.
        """
        assigned = _assigned_as(transport)
        for lines in (self.assignments, self.unofficial):
            for fields in lines_within(lines, range(port, port + 1)).get(port, ()):
                if fields[2] and assigned in fields[1].split(",") and not _is_malware(fields):
                    return fields[2]
        return None

    def names(self, transport: str) -> dict[int, str]:
        """Return the name of every port of a transport that has one, as `name_of` tells it."""
        assigned = _assigned_as(transport)
        names: dict[int, str] = {}
        for lines in (self.assignments, self.unofficial):
            for ports, fields in every_line(lines):
                if fields[2] and assigned in fields[1].split(",") and not _is_malware(fields):
                    for port in ports:
                        names.setdefault(port, fields[2])
        return names

    def main_ports(self, transport: str) -> list[int]:
        """Return the main ports of a transport, in their order."""
        found: list[int] = []
        for ports, fields in every_line(self.main):
            if transport in fields[1].split(","):
                found += ports
        return found

    def is_known(self, port: int, transport: str) -> bool:
        """Whether a port of a transport has a name."""
        return self.name_of(port, transport) is not None

    def _alias_of(self, name: str) -> list[str]:
        for line in self.aliases.decode().split("\n"):
            alias, _, names = line.partition("\t")
            if alias == name:
                return names.casefold().split(",")
        return []


def open_registry(data_folder: Path | None = None) -> Registry:
    """Return the registry, with the user's copy of IANA's data where it is present and whole.

    `data_folder` is the folder of portbook's user data, by default `user_data_folder()`.
    """
    folder = os.path.dirname(__file__)
    users_folder = user_data_folder() if data_folder is None else str(data_folder)
    source = users_folder and f"{users_folder}/{FILE_NAME}"
    data = b""
    # The user's copy may be absent, or somebody else's.
    with suppress(OSError):
        data = _read(source)
    if not is_whole(data):
        source = EMBEDDED
        data = _read(f"{folder}/{FILE_NAME}")
    return Registry(
        assignments=body(data),
        unofficial=body(_read(f"{folder}/unofficial.tsv")),
        aliases=body(_read(f"{folder}/aliases.tsv")),
        main=body(_read(f"{folder}/main.tsv")),
        date=comment(data, "date"),
        source=source,
    )


def user_data_folder() -> str:
    """Return the folder of portbook's user data, "" where the user has no home folder.

    On Linux it is where the XDG Base Directory Specification has it, as platformdirs finds it too (which
    costs more to import than the whole answer); on other systems platformdirs is asked.
    """
    if sys.platform != "linux":
        from platformdirs import user_data_dir

        return user_data_dir("portbook", appauthor=False)
    data_home = os.environ.get("XDG_DATA_HOME", "")
    if not data_home.startswith("/"):
        data_home = os.path.expanduser("~/.local/share")
    return f"{data_home}/portbook" if data_home.startswith("/") else ""


def _read(path: str) -> bytes:
    with open(path, "rb") as file:
        return file.read()


def _assigned_as(transport: str | None) -> str | None:
    # UDP-Lite has no ports of its own: it uses those assigned for UDP (RFC 3828, section 3).
    return "udp" if transport == "udplite" else transport


def _is_malware(fields: list[str]) -> bool:
    return len(fields) > 4 and fields[4] == "malware"


def services_of(port: int, lines: Lines, story: Lines = (), *, unofficial: bool = False) -> Iterator[Service]:
    """Yield the services that the lines of a port tell of; `story` is its line in main.tsv, if any."""
    for _, transports, name, description, *fifth in lines:
        reference = "" if unofficial else "".join(fifth)
        for _, _, main_name, what, *known in story:
            if main_name == name:
                description = description or what
                reference = reference or "".join(known)
        assigned = "unofficial" if unofficial else "iana" if name else _standing(description)
        for transport in transports.split(","):
            yield Service(port, transport, name or None, description, assigned, reference or None)


def _standing(description: str) -> str:
    """Return what a line without a name says of its port: reserved (RFC 6335, section 8.2) or not."""
    words = description.casefold()
    if words.startswith("any private"):
        return "iana"
    return "reserved" if words.startswith(("reserved", "iana reserved", "de-registered")) else "unassigned"


def _answer(port: int, transport: str | None, said: list[Service]) -> list[Service]:
    """Return the services of one transport, or of all in their order, one service at least."""
    if transport is not None:
        said = [service for service in said if service.transport == transport]
    used = [service for service in said if service.assigned in ("iana", "unofficial")]
    if used:
        return sorted(used, key=lambda service: (service.assigned != "iana", _ORDER[service.transport]))
    for service in said:
        if service.assigned == "reserved" or port not in DYNAMIC_PORTS:
            return [Service(port, transport, None, service.description, service.assigned, service.reference)]
    description = DYNAMIC if port in DYNAMIC_PORTS else UNASSIGNED
    return [Service(port, transport, None, description, "unassigned")]


def _lines_named(lines: bytes, name: str) -> Iterator[tuple[range, list[str]]]:
    """Yield the lines whose service has this name, given in lower case."""
    lowered = lines.lower()
    wanted = f"\t{name}\t".encode(errors="replace")
    at = lowered.find(wanted)
    while at >= 0 and len(wanted) > 2:
        start = lines.rfind(b"\n", 0, at) + 1
        end = lines.find(b"\n", at)
        for ports, fields in every_line(lines[start : end + 1]):
            if fields[2].lower() == name:
                yield ports, fields
        at = lowered.find(wanted, end)
