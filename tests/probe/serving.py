"""Servers on the loopback interface that are played by functions, a thread for each connection; certificates."""

from __future__ import annotations

import datetime
import socket
import ssl
import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from ipaddress import ip_address
from pathlib import Path
from threading import Event, Lock, Thread

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


@dataclass
class Served:
    """A server: its port, and how many connections it has accepted."""

    port: int = 0
    accepted: int = 0
    ending: Event = field(default_factory=Event)
    open: set[socket.socket] = field(default_factory=set)
    lock: Lock = field(default_factory=Lock)

    def wait(self, seconds: float = 60) -> None:
        """Wait until the test ends."""
        self.ending.wait(seconds)


@contextmanager
def served(
    handler: Callable[[socket.socket, Served], None], host: str = "127.0.0.1", port: int = 0
) -> Iterator[Served]:
    """Serve each connection by a function in a thread; all are ended with the test."""
    made = socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    state = Served(made.getsockname()[1])
    threads: list[Thread] = []

    def serve(connection: socket.socket) -> None:
        with suppress(OSError, ssl.SSLError):
            handler(connection, state)
        with suppress(OSError):
            connection.close()

    def accept() -> None:
        while True:
            try:
                connection, _ = made.accept()
            except OSError:
                return
            with state.lock:
                state.accepted += 1
                state.open.add(connection)
            threads.append(Thread(target=serve, args=(connection,)))
            threads[-1].start()

    accepting = Thread(target=accept)
    accepting.start()
    try:
        yield state
    finally:
        state.ending.set()
        with suppress(OSError):
            made.shutdown(socket.SHUT_RDWR)
        made.close()
        accepting.join(5)
        for connection in state.open:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        for thread in threads:
            thread.join(5)
        for connection in state.open:
            connection.close()


def reset(connection: socket.socket) -> None:
    """Close a connection by a reset."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


@dataclass(frozen=True)
class Authority:
    """A certificate authority of the test's own, its root in a file."""

    folder: Path
    key: ec.EllipticCurvePrivateKey
    certificate: x509.Certificate

    @property
    def root(self) -> Path:
        return self.folder / "root.pem"

    def issue(
        self, *names: str, subject: str = "server.example", days: tuple[int, int] = (-1, 30), by_itself: bool = False
    ) -> Path:
        """Return a file with a key and a certificate for these names and addresses, valid for these days from now."""
        key = ec.generate_private_key(ec.SECP256R1())
        own = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, subject)])
        made = _certificate(own, own if by_itself else self.certificate.subject, key, days)
        if names:
            made = made.add_extension(x509.SubjectAlternativeName([_name(name) for name in names]), critical=False)
        signed = made.sign(key if by_itself else self.key, hashes.SHA256())
        path = self.folder / f"{signed.serial_number}.pem"
        private = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        path.write_bytes(private + signed.public_bytes(serialization.Encoding.PEM))
        return path


def authority(folder: Path) -> Authority:
    """Make an authority whose files are in this folder."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "the test's own root")])
    made = _certificate(name, name, key, (-1, 30))
    made = made.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
    found = Authority(folder, key, made.sign(key, hashes.SHA256()))
    found.root.write_bytes(found.certificate.public_bytes(serialization.Encoding.PEM))
    return found


def _certificate(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey, days: tuple[int, int]
) -> x509.CertificateBuilder:
    now = datetime.datetime.now(datetime.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now + datetime.timedelta(days=days[0]))
        .not_valid_after(now + datetime.timedelta(days=days[1]))
    )


def _name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def tls(connection: socket.socket, certificate: Path, alpn: tuple[str, ...] = ()) -> ssl.SSLSocket:
    """Return the server's end of a TLS connection."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    if alpn:
        context.set_alpn_protocols(list(alpn))
    return context.wrap_socket(connection, server_side=True)
