"""SSH: the identification string that the server sends first (RFC 4253, section 4.2)."""

from __future__ import annotations

import re

from portbook.porttest import Finding
from portbook.protocols.conversation import Protocol, text

_IDENTIFICATION = re.compile(rb"(?:\A|\n)SSH-(\d+\.\d+)-([\x21-\x7e]{1,200})(?: ([^\r\n]{0,200}))?\r?\n")
_PRODUCTS = (
    (re.compile(r"OpenSSH_for_Windows_(\S+)"), "OpenSSH for Windows"),
    (re.compile(r"OpenSSH_(\S+)"), "OpenSSH"),
    (re.compile(r"dropbear(?:_(\S+))?"), "Dropbear"),
    (re.compile(r"libssh[-_](\S+)"), "libssh"),
    (re.compile(r"Cisco-(\S+)"), "Cisco SSH"),
    (re.compile(r"ROSSSH"), "MikroTik RouterOS"),
)


def recognise(data: bytes) -> Finding | None:
    """Return what an identification string proves; other lines may stand before it."""
    found = _IDENTIFICATION.search(data[:8192])
    if found is None or found[1] not in (b"2.0", b"1.99", b"1.5", b"1.3"):
        return None
    software = text(found[2])
    banner = f"SSH-{text(found[1])}-{software}"
    if found[3]:
        banner += f" {text(found[3])}"
    for pattern, product in _PRODUCTS:
        matched = pattern.match(software)
        if matched is not None:
            return Finding("ssh", product, matched[1] if pattern.groups else None, banner)
    name, _, version = software.partition("_")
    return Finding("ssh", name, version or None, banner)


PROTOCOL = Protocol("ssh", (22, 2222), greets=True, recognise=recognise)
