"""The lab's own servers: small, but what they speak is real. `python -m portbook.lab.serve KIND ...` runs one.

It binds its port first and gives up its rights then, as servers do. Which server a service gets is decided in
programs.py; FTP is in ftp_server.py, and clients for all of them in talk.py.
"""

from __future__ import annotations

import asyncio
import ctypes
import os
import resource
import signal
import socket
import sys
from argparse import ArgumentParser, BooleanOptionalAction
from contextlib import suppress
from itertools import product

from portbook.lab import namespaces
from portbook.lab.ftp_server import FtpSession
from portbook.lab.programs import OURS
from portbook.lab.scenario import ServicePlan
from portbook.lab.servers.program import certificate, has_ipv6

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import Namespace
    from asyncio import StreamReader, StreamWriter
    from collections.abc import Awaitable, Callable, Sequence
    from ssl import SSLContext

    Conversation = Callable[[StreamReader, StreamWriter], Awaitable[None]]

NOBODY = 65534
BACKLOG = 1024

_PR_SET_NO_NEW_PRIVS = 38

_KEX_OFFER = (
    "curve25519-sha256",
    "ssh-ed25519",
    *("aes256-gcm@openssh.com",) * 2,
    *("hmac-sha2-256",) * 2,
    *("none",) * 2,
    *("",) * 2,
)
"""The ten lists of names in a key exchange offer (RFC 4253, section 7.1)."""


def listening_sockets(options: Namespace) -> list[socket.socket]:
    """Return the bound sockets of a service: one for its address, or one of each family. Raises OSError.

    Two sockets and not one of both families, so that every table shows IPv4 as IPv4.
    """
    wanted = [(socket.AF_INET, "0.0.0.0"), (socket.AF_INET6, "::")]  # noqa: S104 - it is reached in the lab only
    if options.address is not None:
        wanted = [(socket.AF_INET6 if ":" in options.address else socket.AF_INET, options.address)]
    elif not has_ipv6():
        del wanted[1]
    bound = []
    for (family, address), transport in product(wanted, options.transport):
        made = socket.socket(family, socket.SOCK_DGRAM if transport == "udp" else socket.SOCK_STREAM)
        made.setblocking(False)
        if options.reuse_address:
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if options.reuse_port:
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if family == socket.AF_INET6:
            made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        made.bind((address, options.port))
        if transport == "tcp":
            # Two may be bound to one port before either listens; it is listening that the second is refused.
            made.listen(BACKLOG)
        bound.append(made)
    return bound


def drop_rights(keep_low_ports: bool) -> None:
    """Become nobody, for good; a server that opens connections from a port below 1024 keeps that one right.

    In a user namespace of one user there is nobody else to become: it has no rights outside either.
    """
    if os.geteuid() == 0:
        try:
            if keep_low_ports:
                namespaces.keep_rights()
            os.setgroups([])
            os.setresgid(NOBODY, NOBODY, NOBODY)
            os.setresuid(NOBODY, NOBODY, NOBODY)
        except OSError:
            pass
        else:
            if keep_low_ports:
                with suppress(OSError):  # a container's root may not have that right itself
                    namespaces.set_rights(namespaces.LOW_PORTS)
    ctypes.CDLL(None).prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)


def tls(options: Namespace) -> SSLContext:
    """Return TLS with a certificate of its own for this host, which openssl makes. Raises OSError without it."""
    import ssl
    import subprocess
    import tempfile

    plan = ServicePlan(options.name, socket.gethostname(), options.kind, options.port)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    # Here, and not in /tmp: the folder that a service is run in goes with the lab, even if this is killed.
    with tempfile.TemporaryDirectory(dir=os.getcwd()) as folder:
        subprocess.run(certificate(plan, folder), check=True, capture_output=True)  # noqa: S603
        context.load_cert_chain(f"{folder}/certificate.pem", f"{folder}/key.pem")
    return context


def http(name: str, keep_alive: bool) -> Conversation:
    """Return what an HTTP/1.1 server does with a connection (RFC 9112): it answers every request with its name.

    Without `keep_alive` it closes the connection after the first answer, and so keeps it in TIME-WAIT.
    """
    body = f"Here is {name}.\n".encode()
    again = "keep-alive" if keep_alive else "close"
    head = f"Server: {name}\r\nContent-Type: text/plain\r\nContent-Length: {len(body)}\r\nConnection: {again}\r\n\r\n"

    async def converse(reader: StreamReader, writer: StreamWriter) -> None:
        while request := await reader.readuntil(b"\r\n\r\n"):
            words = request.split(b"\r\n")[0].split()
            known = len(words) == 3 and words[0] in (b"GET", b"HEAD") and words[2].startswith(b"HTTP/1.")
            status = "200 OK" if known else "501 Not Implemented"
            writer.write(f"HTTP/1.1 {status}\r\n{head}".encode() + (b"" if words[:1] == [b"HEAD"] else body))
            await writer.drain()
            if not (keep_alive and known):
                return

    return converse


def ssh(name: str) -> Conversation:
    """Return what an SSH server does until keys are exchanged (RFC 4253, sections 4.2 and 7.1).

    It names itself and offers its algorithms, and then waits: nobody can log in.
    """
    lists = b"".join(len(names).to_bytes(4, "big") + names.encode() for names in _KEX_OFFER)

    async def converse(reader: StreamReader, writer: StreamWriter) -> None:
        writer.write(f"SSH-2.0-{name}\r\n".encode())
        payload = b"\x14" + os.urandom(16) + lists + bytes(5)
        padding = 8 - (len(payload) + 5) % 8 + 8
        writer.write((len(payload) + padding + 1).to_bytes(4, "big") + bytes((padding,)) + payload + bytes(padding))
        await writer.drain()
        while await reader.read(65536):
            pass

    return converse


async def echo(reader: StreamReader, writer: StreamWriter) -> None:
    """Send back whatever comes (RFC 862)."""
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()


async def sink(reader: StreamReader, _writer: StreamWriter) -> None:
    """Take whatever comes and say nothing (RFC 863)."""
    while await reader.read(65536):
        pass


def conversation(options: Namespace) -> Conversation:
    """Return what the server does with one connection."""
    if options.kind in ("http", "https"):
        return http(options.name, options.keep_alive)
    if options.kind == "ftp":
        return FtpSession.converse
    if options.kind == "ssh":
        return ssh(options.name)
    return echo if options.kind == "echo" else sink


def _answer_datagrams(bound: socket.socket, replies: bool) -> None:
    try:
        data, sender = bound.recvfrom(65536)
        if replies:
            bound.sendto(data, sender)
    except OSError:  # an earlier answer was rejected, or there is nothing after all
        return


async def serve(options: Namespace, sockets: Sequence[socket.socket], context: SSLContext | None) -> None:
    """Serve on the bound sockets until a signal ends the process, inside TLS where it is given."""
    loop = asyncio.get_running_loop()
    converse = conversation(options)

    async def guarded(reader: StreamReader, writer: StreamWriter) -> None:
        try:
            await converse(reader, writer)
        except (OSError, EOFError, asyncio.LimitOverrunError):
            pass  # the client left in the middle, or does not speak this
        finally:
            writer.close()

    for bound in sockets:
        if bound.type == socket.SOCK_DGRAM:
            loop.add_reader(bound, _answer_datagrams, bound, options.kind == "echo")
        else:
            await asyncio.start_server(guarded, sock=bound, backlog=BACKLOG, ssl=context)
    await asyncio.Event().wait()


def options_from(arguments: Sequence[str]) -> Namespace:
    """Return the options of a command line."""
    parser = ArgumentParser(prog="portbook.lab.serve", description=__doc__)
    add = parser.add_argument
    add("kind", choices=OURS)
    add("--name", required=True)
    add("--port", type=int, required=True)
    add("--transport", choices=("tcp", "udp"), action="append", required=True)
    add("--address")
    add("--reuse-address", action=BooleanOptionalAction, default=True)
    add("--reuse-port", action=BooleanOptionalAction, default=False)
    add("--keep-alive", action=BooleanOptionalAction, default=True)
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a server until a signal ends it; 1 when it cannot have its port or a certificate."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    options = options_from(sys.argv[1:] if arguments is None else arguments)
    # A thousand clients need a thousand descriptors.
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    try:
        sockets = listening_sockets(options)
    except OSError as error:
        where = f"{options.address or '*'} port {options.port}/{','.join(options.transport)}"
        sys.stderr.write(f"{options.name}: cannot listen on {where}: {os.strerror(error.errno or 0)}\n")
        return 1
    try:
        context = tls(options) if options.kind == "https" else None
    except OSError as error:
        sys.stderr.write(f"{options.name}: openssl cannot be run: {os.strerror(error.errno or 0)}\n")
        return 1
    drop_rights(keep_low_ports=options.kind == "ftp")
    asyncio.run(serve(options, sockets, context))
    return 0


if __name__ == "__main__":
    sys.exit(main())
