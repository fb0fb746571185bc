"""TLS over bytes: a client's side that is fed what came and says what to send, and what it learned of the server.

The handshake goes on whatever the certificate is; whether this host trusts it is part of
what is learned. Who moves the bytes is left to line.py.
"""

from __future__ import annotations

from functools import lru_cache
from ipaddress import ip_address
from time import monotonic

from cryptography import x509
from cryptography.x509.oid import NameOID
from OpenSSL import SSL

from portbook.porttest import Tls

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

_CHUNK = 65536
_ROOTS_KEPT = 600.0
"""Seconds after which this host's roots are read again."""
_MOST_NAMES = 100
"""Of a certificate are told; it may be for more."""


class NoTls(Exception):
    """The server does not speak TLS, or no kind that this side can: the reason in OpenSSL's words."""


@lru_cache(1)
def shared_context(_: int) -> SSL.Context:
    """Return what all sessions have in common: this host's roots take milliseconds to read, and a megabyte."""
    context = SSL.Context(SSL.TLS_CLIENT_METHOD)
    # Old servers are to be recognised, not to be trusted with anything.
    context.set_min_proto_version(SSL.TLS1_VERSION)
    context.set_cipher_list(b"ALL:@SECLEVEL=0")
    context.set_default_verify_paths()
    return context


class TlsClient:
    """One TLS session. Its owner sends what `to_send` returns, and gives what comes to `receive`."""

    def __init__(self, host: str, alpn: Sequence[str] = ()) -> None:
        self.host = host
        self.done = False
        self.closed = False
        """Whether the server has ended the session."""
        self.asked_for_certificate = False
        """Whether the server wanted this side's certificate (RFC 8446, section 4.3.2)."""
        self._trusted = True
        self._connection = SSL.Connection(shared_context(int(monotonic() / _ROOTS_KEPT)), None)
        self._connection.set_verify(SSL.VERIFY_PEER, self._verified)
        self._connection.set_info_callback(self._watched)
        self._connection.set_connect_state()
        if alpn:
            self._connection.set_alpn_protos([name.encode() for name in alpn])
        name = self._server_name()
        self._name = host.partition("%")[0] if name is None else name.decode()
        """What a certificate has to be for: the host as DNS has it, or its address without the zone."""
        if name is not None:
            self._connection.set_tlsext_host_name(name)

    def take(self, data: bytes) -> None:
        """Take what came. Raises NoTls where it ends the handshake."""
        self._connection.bio_write(data)
        self._go_on()

    def receive(self, data: bytes) -> bytes:
        """Take what came, and return what it says inside; nothing while the handshake goes on. Raises NoTls."""
        if data:
            self.take(data)
        said = b""
        while self.done:
            try:
                said += self._connection.recv(_CHUNK)
            except SSL.WantReadError:
                break
            except SSL.Error:
                self.closed = True
                break
        return said

    def say(self, data: bytes) -> None:
        """Put something into the session, to be sent. Raises NoTls."""
        try:
            self._connection.sendall(data)
        except SSL.Error as error:
            raise NoTls(_reason(error)) from error

    def to_send(self) -> bytes:
        """Return what is to be sent now; at the very first, the ClientHello. Raises NoTls."""
        self._go_on()
        return self.unsent()

    def unsent(self) -> bytes:
        """Return what OpenSSL has ready to be sent, without going on."""
        sent = b""
        while True:
            try:
                sent += self._connection.bio_read(_CHUNK)
            except SSL.WantReadError:
                return sent

    def farewell(self) -> bytes:
        """Return the alert that closes the session (RFC 8446, section 6.1)."""
        try:
            self._connection.shutdown()
            return self._connection.bio_read(_CHUNK)
        except SSL.Error:
            return b""

    def learned(self) -> Tls:
        """Return the session's kind, and the certificate of the server."""
        alpn = self._connection.get_alpn_proto_negotiated().decode("ascii", "replace") or None
        kind = Tls(self._connection.get_protocol_version_name(), self._connection.get_cipher_name(), alpn)
        shown = self._connection.get_peer_certificate()
        if shown is None:
            return kind
        try:
            return self._certificate(shown.to_cryptography(), kind)
        except ValueError:
            return kind  # a certificate that is none

    def _certificate(self, certificate: x509.Certificate, kind: Tls) -> Tls:
        names = _names(certificate)
        return kind._replace(
            subject=_name(certificate.subject),
            issuer=_name(certificate.issuer),
            names=names[:_MOST_NAMES],
            not_before=certificate.not_valid_before_utc.timestamp(),
            not_after=certificate.not_valid_after_utc.timestamp(),
            trusted=self._trusted and any(_matches(name, self._name) for name in names),
        )

    def _go_on(self) -> None:
        if self.done:
            return
        try:
            self._connection.do_handshake()
            self.done = True
        except SSL.WantReadError:
            return
        except SSL.Error as error:
            raise NoTls(_reason(error)) from error

    def _verified(self, _connection: object, _certificate: object, _error: int, _depth: int, passed: int) -> bool:
        self._trusted = self._trusted and bool(passed)
        return True

    def _watched(self, connection: SSL.Connection, _where: int, _result: int) -> None:
        """Notice in OpenSSL's steps that a certificate was asked for: it has no other way to tell."""
        if b"read server certificate request" in connection.get_state_string():
            self.asked_for_certificate = True

    def _server_name(self) -> bytes | None:
        """Return the name for SNI, which an address is not (RFC 6066, section 3)."""
        try:
            ip_address(self.host.partition("%")[0])
        except ValueError:
            pass
        else:
            return None
        try:
            return self.host.rstrip(".").encode("idna")
        except UnicodeError:
            return None


def _reason(error: SSL.Error) -> str:
    words = [one[-1] for one in error.args[0]] if error.args and isinstance(error.args[0], list) else []
    return ", ".join(words) or "ended"


def _name(name: x509.Name) -> str | None:
    """Return the common name, else the whole name as RFC 4514 writes it."""
    common = name.get_attributes_for_oid(NameOID.COMMON_NAME)
    if common:
        return str(common[0].value)
    return name.rfc4514_string() or None


def _names(certificate: x509.Certificate) -> tuple[str, ...]:
    """Return the names and addresses that a certificate is for (RFC 9525)."""
    try:
        found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (x509.ExtensionNotFound, ValueError):
        return ()
    return (*found.get_values_for_type(x509.DNSName), *map(str, found.get_values_for_type(x509.IPAddress)))


def _matches(name: str, host: str) -> bool:
    """Return whether a certificate's name is for a host; a `*` stands for one label (RFC 9525, section 6.3)."""
    try:
        return ip_address(name) == ip_address(host)
    except ValueError:
        pass
    name, host = name.lower().rstrip("."), host.lower().rstrip(".")
    if name.startswith("*."):
        return host.partition(".")[2] == name[2:] and "." in name[2:]
    return name == host
