"""A small FTP server (RFC 959, with EPSV and EPRT of RFC 2428): anonymous, two files, passive and active mode.

It serves from memory and touches no file system. It knows one control connection at a time; who listens for them
is in serve.py.
"""

from __future__ import annotations

import asyncio
import socket
from contextlib import closing, suppress

from portbook.lab.ftp_files import files

TYPE_CHECKING = False
if TYPE_CHECKING:
    from asyncio import StreamReader, StreamWriter
    from collections.abc import Awaitable, Callable

FILES = {name: text.encode() for name, text in files().items()}
"""What can be fetched."""

ENOUGH = 10.0
"""Seconds that it waits for a data connection."""

_BEFORE_LOGIN = frozenset({"USER", "PASS", "QUIT", "NOOP", "FEAT", "SYST"})


class FtpSession:
    """One control connection: who logged in, and how the next file travels."""

    def __init__(self, reader: StreamReader, writer: StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        self.user = ""
        self.logged_in = False
        self.waiting: socket.socket | None = None
        self.target: tuple[str, int] | None = None
        self.commands: dict[str, Callable[[str], Awaitable[None]]] = {
            "USER": self.do_user,
            "PASS": self.do_pass,
            "QUIT": self.do_quit,
            "NOOP": self.do_noop,
            "FEAT": self.do_feat,
            "SYST": self.do_syst,
            "PWD": self.do_pwd,
            "TYPE": self.do_type,
            "PASV": self.do_pasv,
            "EPSV": self.do_epsv,
            "PORT": self.do_port,
            "EPRT": self.do_eprt,
            "LIST": self.do_list,
            "NLST": self.do_nlst,
            "RETR": self.do_retr,
        }

    @classmethod
    async def converse(cls, reader: StreamReader, writer: StreamWriter) -> None:
        """Serve one client until it leaves."""
        session = cls(reader, writer)
        try:
            await session.answer_all()
        finally:
            session.forget_data()

    async def answer_all(self) -> None:
        """Answer commands until QUIT. Raises OSError or EOFError when the client leaves without."""
        self.reply(220, "portbook lab FTP server ready")
        while line := await self.reader.readuntil(b"\n"):
            word, _, argument = line.decode("utf-8", "replace").strip().partition(" ")
            word = word.upper()
            if word not in self.commands:
                self.reply(502, "Command not implemented")
            elif not self.logged_in and word not in _BEFORE_LOGIN:
                self.reply(530, "Not logged in")
            else:
                await self.commands[word](argument)
            await self.writer.drain()
            if word == "QUIT":
                return

    def reply(self, code: int, text: str) -> None:
        """Send one reply line (RFC 959, section 4.2)."""
        self.writer.write(f"{code} {text}\r\n".encode())

    def forget_data(self) -> None:
        """Close what waits for a data connection."""
        if self.waiting is not None:
            self.waiting.close()
        self.waiting = self.target = None

    async def do_user(self, argument: str) -> None:
        """USER: everybody is asked for a password."""
        self.user, self.logged_in = argument, False
        self.reply(331, "Anonymous login ok, send your name as password")

    async def do_pass(self, _argument: str) -> None:
        """PASS: any, from anonymous."""
        self.logged_in = self.user.lower() in ("anonymous", "ftp")
        if self.logged_in:
            self.reply(230, "Logged in")
        else:
            self.reply(530, "Only anonymous may log in")

    async def do_noop(self, _argument: str) -> None:
        """NOOP."""
        self.reply(200, "Done nothing")

    async def do_syst(self, _argument: str) -> None:
        """SYST."""
        self.reply(215, "UNIX Type: L8")

    async def do_feat(self, _argument: str) -> None:
        """FEAT: what of RFC 2428 there is (RFC 2389)."""
        self.writer.write(b"211-Features\r\n EPRT\r\n EPSV\r\n211 End\r\n")

    async def do_pwd(self, _argument: str) -> None:
        """PWD."""
        self.reply(257, '"/" is the current folder')

    async def do_type(self, argument: str) -> None:
        """TYPE: ASCII or image; the files are the same in both."""
        known = argument.upper().split(" ")[0] in ("A", "I")
        self.reply(200 if known else 504, f"Type {argument.upper()}" if known else "Type A or I")

    async def do_pasv(self, _argument: str) -> None:
        """PASV: wait for the client on a port of our own (IPv4)."""
        here = self.writer.get_extra_info("sockname")
        if ":" in here[0]:
            self.reply(425, "Use EPSV over IPv6")
            return
        port = self.wait_for_client(here[0])
        self.reply(227, f"Entering passive mode ({here[0].replace('.', ',')},{port >> 8},{port & 255})")

    async def do_epsv(self, _argument: str) -> None:
        """EPSV: the same for either family."""
        port = self.wait_for_client(self.writer.get_extra_info("sockname")[0])
        self.reply(229, f"Entering extended passive mode (|||{port}|)")

    def wait_for_client(self, address: str) -> int:
        """Listen for one data connection. Returns the port."""
        self.forget_data()
        self.waiting = socket.create_server((address, 0), family=_family(address), backlog=1)
        self.waiting.setblocking(False)
        port: int = self.waiting.getsockname()[1]
        return port

    async def do_port(self, argument: str) -> None:
        """PORT: connect to a port of the client (IPv4)."""
        numbers = argument.split(",")
        if len(numbers) == 6 and all(_is_number(one) and int(one) < 256 for one in numbers):
            self.connect_later(".".join(numbers[:4]), int(numbers[4]) << 8 | int(numbers[5]))
        else:
            self.reply(501, "PORT h1,h2,h3,h4,p1,p2")

    async def do_eprt(self, argument: str) -> None:
        """EPRT: the same for either family."""
        parts = argument[1:].split(argument[:1]) if argument else []
        if len(parts) == 4 and parts[0] in ("1", "2") and _is_number(parts[2]):
            self.connect_later(parts[1], int(parts[2]))
        else:
            self.reply(501, "EPRT |family|address|port|")

    def connect_later(self, address: str, port: int) -> None:
        """Remember where the client waits, if it is the client: nobody else is connected to (RFC 2577)."""
        self.forget_data()
        if address != self.writer.get_extra_info("peername")[0] or not 1024 <= port < 65536:
            self.reply(501, "Only to a port of your own, from 1024 up")
            return
        self.target = (address, port)
        self.reply(200, "I shall connect")

    async def do_list(self, _argument: str) -> None:
        """LIST: as ls -l has it."""
        lines = [f"-r--r--r-- 1 ftp ftp {len(data):>8} Jan  1 00:00 {name}\r\n" for name, data in FILES.items()]
        await self.send_data("".join(lines).encode())

    async def do_nlst(self, _argument: str) -> None:
        """NLST: the names alone."""
        await self.send_data("".join(f"{name}\r\n" for name in FILES).encode())

    async def do_retr(self, argument: str) -> None:
        """RETR."""
        data = FILES.get(argument.removeprefix("/"))
        if data is None:
            self.reply(550, "No such file")
        else:
            await self.send_data(data)

    async def do_quit(self, _argument: str) -> None:
        """QUIT."""
        self.reply(221, "Goodbye")

    async def send_data(self, data: bytes) -> None:
        """Send a file over a data connection of its own, however long the client takes to read it."""
        loop = asyncio.get_running_loop()
        if self.waiting is None and self.target is None:
            self.reply(425, "Use PASV, EPSV, PORT or EPRT first")
            return
        self.reply(150, "Opening the data connection")
        await self.writer.drain()
        try:
            async with asyncio.timeout(ENOUGH):
                connection = await self.data_connection()
        except OSError:  # a TimeoutError is one
            self.reply(425, "No data connection")
            return
        finally:
            self.forget_data()
        with closing(connection):
            try:
                await loop.sock_sendall(connection, data)
            except OSError:
                self.reply(426, "The data connection was ended")
                return
        self.reply(226, "Transfer complete")

    async def data_connection(self) -> socket.socket:
        """Return the data connection: accepted in passive mode, begun in active mode. Raises OSError.

        In active mode it comes from the port below the control connection's, 20 (RFC 959, section 3.2), where that
        is allowed.
        """
        loop = asyncio.get_running_loop()
        if self.waiting is not None:
            return (await loop.sock_accept(self.waiting))[0]
        assert self.target is not None
        here, port = self.writer.get_extra_info("sockname")[:2]
        made = socket.socket(_family(here), socket.SOCK_STREAM)
        made.setblocking(False)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        with suppress(OSError):
            made.bind((here, port - 1))
        try:
            await loop.sock_connect(made, self.target)
        except BaseException:
            made.close()
            raise
        return made


def _family(address: str) -> int:
    return socket.AF_INET6 if ":" in address else socket.AF_INET


def _is_number(text: str) -> bool:
    """Return whether a text is a number that may be a port's or less: int() takes no more than 4300 digits."""
    return len(text) <= 5 and text.isascii() and text.isdecimal()
