"""What real servers said, and what must hold of each protocol that hears it: whole, in pieces, cut short."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from portbook.porttest import Finding

from .driving import ASKED, play

if TYPE_CHECKING:
    from portbook.protocols.conversation import Asked, Protocol


class Recorded(NamedTuple):
    """What a server said unasked and to each question, by how the question begins; and what is to be known of it."""

    make: str
    product: str | None
    version: str | None
    greeting: bytes = b""
    answers: tuple[tuple[bytes, bytes], ...] = ()
    service: str | None = None
    tls: bool = False
    ends: bool = False

    def answer(self, said: bytes) -> bytes:
        return next((reply for question, reply in self.answers if said.startswith(question)), b"")

    def cut(self, place: int) -> Recorded:
        """Return the same, of which only so many bytes of the greeting and of the answers come."""
        left = max(0, place - len(self.greeting))
        answers = []
        for question, reply in self.answers:
            answers.append((question, reply[:left]))
            left = max(0, left - len(reply))
        return self._replace(greeting=self.greeting[:place], answers=tuple(answers))

    def length(self) -> int:
        return len(self.greeting) + sum(len(reply) for _, reply in self.answers)


def known(protocol: Protocol, recorded: Recorded, asked: Asked = ASKED) -> Finding:
    """Hold that the server is known however its bytes come, and return what is found."""
    assert protocol.converse is not None
    service = recorded.service or protocol.name
    found = None
    for cut in (65536, 11, 1):
        for ended in ("end",) if recorded.ends else ("silence", "end", "reset"):
            played = play(
                protocol.converse(asked),
                recorded.answer,
                greeting=recorded.greeting,
                cut=cut,
                ended=ended,  # type: ignore[arg-type]
            )
            found = played.finding
            assert found is not None, (cut, ended)
            assert (found.service, found.product, found.version) == (service, recorded.product, recorded.version)
            assert found.certain
            assert (played.tls == 1, found.tls is not None) == (recorded.tls, recorded.tls)
    again = play(protocol.converse(asked._replace(heard=recorded.greeting)), recorded.answer, ended="end")
    assert again.finding == found
    assert found is not None
    return found


def cut_short(protocol: Protocol, recorded: Recorded, asked: Asked = ASKED) -> None:
    """Hold that nothing wrong comes of it, wherever the server stops."""
    assert protocol.converse is not None
    services = {None, recorded.service or protocol.name, protocol.name}
    said = recorded.greeting + b"".join(reply for _, reply in recorded.answers)
    for place in range(recorded.length()):
        part = recorded.cut(place)
        played = play(protocol.converse(asked), part.answer, greeting=part.greeting, ended="end")
        for found in (played.finding, protocol.recognise(said[:place])):
            if found is not None:
                assert found.service in services
                assert found.product in (None, recorded.product)
                assert found.version in (None, recorded.version)


GREETINGS = (
    ("ftp", b"220 (vsFTPd 3.0.3)\r\n"),
    ("ftp", b"220 ProFTPD Server (lab) [192.168.6.1]\r\n"),
    ("ftp", b"220-FileZilla Server 1.8.0\r\n220 Please visit https://filezilla-project.org/\r\n"),
    ("ftp", b"421 There are too many connections from your internet address, says this FTP server.\r\n"),
    ("smtp", b"220 server ESMTP Postfix (Debian/GNU)\r\n"),
    ("smtp", b"220 ftp.lab.example ESMTP Exim 4.96 Sat, 21 Nov 2026 15:54:50 +0000\r\n"),
    ("smtp", b"220 server.lab Dovecot (Debian) ready.\r\n"),
    ("smtp", b"554 server.lab ESMTP not accepting messages\r\n"),
    ("lmtp", b"220 server.lab Cyrus LMTP 3.6.1-Debian-3.6.1-4+deb12u5 server ready\r\n"),
    ("pop3", b"+OK Dovecot (Debian) ready.\r\n"),
    ("pop3", b"+OK POP3 Ready <400.1795276494@server>\r\n"),
    ("imap", b"* OK [CAPABILITY IMAP4rev1 SASL-IR STARTTLS] Dovecot (Debian) ready.\r\n"),
    ("imap", b"* BYE Too many connections.\r\n"),
    ("nntp", b"201 server InterNetNews NNRP server INN 2.7.1 ready (no posting)\r\n"),
    ("nntp", b"200 Hi, you can post (sn version 0.3.8)\r\n"),
    ("irc", b":hyb.lab.example NOTICE * :*** Looking up your hostname\r\n"),
    ("irc", b"ERROR :Closing Link: 192.0.2.1 (Throttled)\r\n"),
    ("telnet", b"\xff\xfb%\xff\xfb&\xff\xfd\x18\xff\xfd \xff\xfd#\xff\xfd'\xff\xfd$"),
    ("sieve", b'"IMPLEMENTATION" "Cyrus timsieved 3.6.1"\r\n"SASL" "PLAIN"\r\nOK\r\n'),
    ("rsync", b"@RSYNCD: 31.0 sha512 sha256 sha1 md5 md4\n"),
    ("svn", b"( success ( 2 2 ( ) ( edit-pipeline svndiff1 ) ) ) "),
    ("nats", b'INFO {"server_id":"ND","version":"2.9.10","proto":1} \r\n'),
    ("ssh", b"SSH-2.0-OpenSSH_9.2p1 Debian-2+deb12u3\r\n"),
    ("daytime", b"Sat Nov 21 15:55:55 2026\r\n"),
    ("chargen", bytes(range(33, 105)) + b"\r\n" + bytes(range(34, 106)) + b"\r\n"),
    ("beanstalkd", b"UNKNOWN_COMMAND\r\n"),
    ("auth", b"0 , 0 : ERROR : INVALID-PORT\r\n"),
    ("finger", b"fingerd: forwarding not allowed\r\n"),
    ("gopher", b"iWelcome\t\tnull.host\t1\r\n1Files\t/files\tserver.lab\t70\r\n.\r\n"),
    ("nicname", b"% This is the RIPE Database query service.\r\n% Whois data copyright terms\r\n"),
    ("memcache", b"VERSION 1.6.18\r\n"),
    ("zookeeper", b"Zookeeper version: 3.8.0-5a02a05, built on 2022-02-25 08:49 UTC\n"),
    ("git", b"0043ERR access denied or repository not exported: /portbook.invalid"),
    ("http", b"HTTP/1.1 200 OK\r\nServer: nginx/1.22.1\r\n\r\n"),
    ("mysql", b"G\0\0\1\xff\x6a\x04Host '192.168.6.30' is not allowed to connect to this MariaDB server"),
    ("rfb", b"RFB 003.008\n"),
    ("redis", b"-DENIED Redis is running in protected mode because protected mode is enabled\r\n"),
    ("redis", b"-ERR wrong number of arguments for 'get' command\r\n"),
    ("amqp", b"AMQP\0\0\x09\x01"),
    ("socks", b"\x05\xff"),
    ("postgresql", b"E\0\0\0=SFATAL\0C08P01\0Mclient sent partial pkt in startup phase\0\0"),
    ("x11", b"\0\x16\x0b\0\0\0\x06\0No protocol specified\n\0\0"),
    ("ldap", b"0\r\x02\x02\x01\x03e\x07\n\x01 \x04\0\x04\0"),
    ("microsoft-ds", b"\0\0\0M\xffSMBr\0\0\0\0\x80\0\xc0" + bytes(18) + b"\x11\0\0\x03" + bytes(44)),
    ("http-rpc-epmap", b"ncacn_http/1.0"),
)
"""First bytes of servers, each of one protocol alone."""
