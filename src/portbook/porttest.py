"""What testing one port came to: the columns, the answer as a value, and what was found to speak there.

How an answer is got is left to probe/, what a protocol's bytes mean to protocols/.
"""

from __future__ import annotations

from typing import NamedTuple

from portbook.columns import Column
from portbook.errors import N_

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Literal

    State = Literal["open", "closed", "rejected", "filtered", "open|filtered", "unreachable", "error"]
    By = Literal["payload", "port"]

COLUMNS = (
    Column("target", "text", N_("Target"), foreign=True),
    Column("ip", "address", N_("Address")),
    Column("port", "integer", N_("Port")),
    Column("transport", "text", N_("Transport")),
    Column("state", "text", N_("State")),
    Column("reason", "text", N_("Reason")),
    Column("icmp_type", "integer", N_("ICMP type")),
    Column("icmp_code", "integer", N_("ICMP code")),
    Column("icmp_from", "address", N_("ICMP from")),
    Column("rtt_ms", "number", N_("RTT"), "milliseconds"),
    Column("attempts", "integer", N_("Attempts")),
    Column("service", "text", N_("Service")),
    Column("service_by", "text", N_("Service by")),
    Column("product", "text", N_("Product"), foreign=True),
    Column("version", "text", N_("Version"), foreign=True),
    Column("banner", "text", N_("Banner"), foreign=True),
    Column("tls_version", "text", N_("TLS")),
    Column("tls_cipher", "text", N_("Cipher")),
    Column("tls_alpn", "text", N_("ALPN"), foreign=True),
    Column("tls_subject", "text", N_("Certificate of"), foreign=True),
    Column("tls_issuer", "text", N_("Issued by"), foreign=True),
    Column("tls_names", "texts", N_("Names"), foreign=True),
    Column("tls_not_before", "number", N_("Valid from"), "epoch"),
    Column("tls_not_after", "number", N_("Valid to"), "epoch"),
    Column("tls_trusted", "boolean", N_("Trusted")),
    Column("server_name", "text", N_("Server name"), foreign=True),
    Column("note", "text", N_("Note")),
)
"""The columns of `test`."""


_NO_ROUTE = N_("no route leads there")
_NO_HOST = N_("no host answers at that address")
_PROHIBITED = N_("forbidden by a firewall or a router on the way")
_CLOSED = N_("port unreachable")
_TOO_FAR = N_("the way is too long, or goes round in circles")
_ICMP = {
    (4, 3, 0): _NO_ROUTE,
    (4, 3, 1): _NO_HOST,
    (4, 3, 2): N_("that host does not know this transport"),
    (4, 3, 3): _CLOSED,
    (4, 3, 9): _PROHIBITED,
    (4, 3, 10): _PROHIBITED,
    (4, 3, 13): _PROHIBITED,
    (4, 11, 0): _TOO_FAR,
    (6, 1, 0): _NO_ROUTE,
    (6, 1, 1): _PROHIBITED,
    (6, 1, 3): _NO_HOST,
    (6, 1, 4): _CLOSED,
    (6, 1, 5): _PROHIBITED,
    (6, 1, 6): _PROHIBITED,
    (6, 3, 0): _TOO_FAR,
}
"""What ICMP errors mean, by IP version, type and code (RFC 792; RFC 1812, section 5.2.7.1; RFC 4443, section 3)."""

_ERRNO = {
    "ENETUNREACH": N_("this host has no route there"),
    "EHOSTUNREACH": _NO_HOST,
    "EADDRNOTAVAIL": N_("this host has no address or no source port left for it"),
    "EACCES": N_("a firewall of this host forbids it"),
    "EPERM": N_("a firewall of this host forbids it"),
    "self-connect": N_("the connection met itself; nobody listens there"),
}


class Tls(NamedTuple):
    """A TLS session, and the certificate that the server showed; times are seconds since the epoch.

    `trusted` is whether this host's roots vouch for the chain now, and the names include the one that was asked for.
    """

    version: str | None = None
    cipher: str | None = None
    alpn: str | None = None
    subject: str | None = None
    issuer: str | None = None
    names: tuple[str, ...] = ()
    not_before: float | None = None
    not_after: float | None = None
    trusted: bool | None = None


class Finding(NamedTuple):
    """What speaks at a port: the protocol as the registry names it, and what the server tells of itself.

    Texts are as they came, decoded, and may hold anything. `note` is a message id. `certain` is false where the bytes
    fit the protocol and do not prove it.
    """

    service: str
    product: str | None = None
    version: str | None = None
    banner: str | None = None
    server_name: str | None = None
    note: str | None = None
    tls: Tls | None = None
    certain: bool = True


class PortTest(NamedTuple):
    """The answer of one port of one address.

    `reason` is the evidence in a word: accepted, reset, icmp, silence, or the name of an errno.
    """

    target: str
    ip: str
    port: int
    transport: str
    state: State
    reason: str
    icmp_type: int | None = None
    icmp_code: int | None = None
    icmp_from: str | None = None
    rtt_ms: float | None = None
    attempts: int = 1
    finding: Finding | None = None
    service: str | None = None
    service_by: By | None = None
    note: str | None = None
    banner: bytes | None = None
    """The first that a server said which nobody understood."""

    def with_finding(self, finding: Finding) -> PortTest:
        """Return the test with what was found; what only fits is shown, and the service stays that of the port."""
        if finding.certain:
            return self._replace(finding=finding, service=finding.service, service_by="payload")
        return self._replace(finding=finding._replace(product=None, version=None))

    def row(self) -> tuple[object, ...]:
        """Return the values in the order of COLUMNS."""
        found = self.finding
        tls = found.tls if found is not None and found.tls is not None else Tls()
        told = (None, None, _line(self.banner)) if found is None else (found.product, found.version, found.banner)
        name = None if found is None else found.server_name
        note = self.note if found is None or found.note is None else found.note
        note = note or self._explanation()
        reached = (self.target, self.ip, self.port, self.transport, self.state, self.reason)
        icmp = (self.icmp_type, self.icmp_code, self.icmp_from)
        known = (self.rtt_ms, self.attempts, self.service, self.service_by)
        return (*reached, *icmp, *known, *told, *_cells(tls), name, note)

    def _explanation(self) -> str | None:
        """Return what the evidence means, the message id of a sentence; None where its name says all."""
        if self.state == "rejected" and self.icmp_type is not None:
            return _ICMP.get((6 if ":" in self.ip else 4, self.icmp_type, self.icmp_code or 0))
        return _ERRNO.get(self.reason)


def in_order(tests: Iterable[PortTest], addresses: Iterable[str]) -> list[PortTest]:
    """Return tests by address, in the order of these addresses, which name them all; then by port and transport."""
    place = {ip: number for number, ip in enumerate(dict.fromkeys(addresses))}
    return sorted(tests, key=lambda test: (place[test.ip], test.port, test.transport))


def _line(said: bytes | None) -> str | None:
    """Return the first line of what was said, as text."""
    if said is None:
        return None
    line = said.strip().partition(b"\n")[0].strip()
    return line.decode("utf-8", "replace") or None


def _cells(tls: Tls) -> tuple[object, ...]:
    session = (tls.version, tls.cipher, tls.alpn, tls.subject, tls.issuer)
    return (*session, tls.names or None, tls.not_before, tls.not_after, tls.trusted)
