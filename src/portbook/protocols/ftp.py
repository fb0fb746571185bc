"""FTP: the greeting, what the server can do, the system it claims, and TLS where offered (RFC 959, 2389, 4217)."""

from __future__ import annotations

import re

from portbook.errors import N_
from portbook.porttest import Finding
from portbook.protocols import smtp
from portbook.protocols.banner import lines, product
from portbook.protocols.conversation import Asked, Conversation, Protocol, Reader, Say

_PRODUCTS = (
    ("vsftpd", "vsftpd"),
    ("proftpd", "ProFTPD"),
    ("pure-ftpd", "Pure-FTPd"),
    ("filezilla", "FileZilla Server"),
    ("microsoft ftp service", "Microsoft FTP Service"),
    ("gnu inetutils", "GNU inetutils ftpd"),
    ("linux-ftpd", "Linux-ftpd"),
    ("pyftpdlib", "pyftpdlib"),
    ("bftpd", "Bftpd"),
    ("tnftpd", "tnftpd"),
    ("lukemftpd", "tnftpd"),
    ("(version wu", "WU-FTPD"),
    ("serv-u", "Serv-U"),
    ("uftpd", "uftpd"),
    ("twisted", "Twisted"),
    ("glftpd", "glFTPd"),
    ("mikrotik", "MikroTik RouterOS"),
    ("xlight", "Xlight FTP Server"),
    ("crushftp", "CrushFTP"),
    ("cerberus ftp server", "Cerberus FTP Server"),
    ("titan ftp server", "Titan FTP Server"),
    ("completeftp", "CompleteFTP"),
    ("apache ftpserver", "Apache FtpServer"),
    ("wing ftp server", "Wing FTP Server"),
    ("gene6 ftp server", "Gene6 FTP Server"),
    ("war-ftpd", "War-FTPD"),
    ("oftpd", "oftpd"),
    ("sftpgo", "SFTPGo"),
    ("drftpd", "DrFTPD"),
    ("muddleftpd", "Muddleftpd"),
    ("ncftpd", "NcFTPd"),
    ("idea ftp server", "Home Ftp Server"),
    ("jd ftp server", "JD FTP Server"),
    ("solarftp", "SolarFTP"),
    ("inetsim", "INetSim"),
    ("fritz!box", "FRITZ!Box"),
)
_ONLY_FTP = ("FileZilla Server", "Serv-U", "pyftpdlib", "SFTPGo")
"""Those that greet without the word FTP and serve nothing else."""

_REPLY = re.compile(r"(\d{3})[ -](.*)|(\d{3})$")
_WORD = re.compile(r"(?i)(?<![\w.@-])(?:ftpd?|[a-z!-]*ftpd)(?![\w-]|\.\w)")
_MAIL = re.compile(r"\b[EL]?SMTP\b|\bLMTP\b")
_LOGIN = re.compile(r"(?i)[^\d].*(?:log ?in|logged in|USER\b)")
_HOST = re.compile(r"([\w-]+(?:\.[\w-]+)*) FTP server\b")
_BUSY = N_("it takes no more connections now")


def recognise(data: bytes) -> Finding | None:
    """Return what a greeting proves that calls itself FTP, or the refusal of commands before a log-in behind one."""
    code = None
    greeting: list[str] = []
    came = lines(data)
    for line in came:
        if len(greeting) and line[:4] == f"{code} ":
            greeting.append(line[4:])
            break
        reply = _REPLY.match(line)
        if code is None:
            if reply is None:
                return None
            code = reply[1] or reply[3]
        greeting.append(line[4:] if reply is not None else line)
        if line[3:4] != "-" and reply is not None and line[:3] == code:
            break
    if code is None:
        return None
    found = _told(int(code), greeting)
    if found is None and code in ("220", "120"):
        behind = [line for line in came[len(greeting) :] if line.startswith(("530 ", "530-"))]
        if any(_LOGIN.match(line[4:]) for line in behind) and not any(_MAIL.search(line) for line in greeting):
            return _finding(greeting)
    return found


def _told(code: int, greeting: list[str]) -> Finding | None:
    said = " ".join(greeting)
    if code not in (120, 220, 421, 500, 530) or _MAIL.search(said):
        return None
    found = _finding(greeting)
    if code in (120, 220):
        return found if _WORD.search(said) or found.product in _ONLY_FTP else None
    named = re.search(r"(?i)\bftpd?\b|vsftpd|proftpd", said)
    return found._replace(note=_BUSY if code == 421 else None) if named else None


def _finding(greeting: list[str]) -> Finding:
    told = next((line for line in greeting if product(line, _PRODUCTS)[0]), None)
    name, version = (None, None) if told is None else product(told, _PRODUCTS)
    banner = told or next((line for line in greeting if line.strip(" -*")), None)
    host = _HOST.match(greeting[0]) if greeting else None
    return Finding("ftp", name, version, banner and banner.strip(" -*"), host and host[1])


def converse(asked: Asked) -> Conversation:
    """Read the greeting; ask what the server can do, and for its system; go over to TLS where it offers that.

    A greeting that names no protocol is FTP's or a mail server's: NOOP, which both know, is answered with 200 or 530
    by the one, with 250 by the other. Then it goes on as SMTP.
    """
    server = Reader(asked.heard)
    greeting = yield from server.reply()
    while greeting is not None and greeting[0] == 120:
        greeting = (yield from server.reply()) or (220, greeting[1])
    if greeting is None:
        return None
    code, said = greeting
    found = _told(code, said)
    if code != 220 or _MAIL.search(" ".join(said)):
        return found
    if found is None:
        noop = yield from server.reply(b"NOOP\r\n")
        if noop is None:
            return None
        if noop[0] == 250:
            return (yield from smtp.greeted(server, asked, said))
        if noop[0] in (200, 530) and not re.match(r"\d\.\d", noop[1][0]):
            found = _finding(said)
    features = yield from server.reply(b"FEAT\r\n")
    if features is not None and features[0] == 211:
        found = found or _finding(said)
    if found is None:
        return None
    if found.product is None:
        for question, code in ((b"SYST\r\n", 215), (b"HELP\r\n", 214)):
            answer = yield from server.reply(question)
            name, version = product(" ".join(answer[1]), _PRODUCTS) if answer and answer[0] == code else (None, None)
            if name is not None:
                found = found._replace(product=name, version=version)
            if name is not None or answer is None or answer[0] == 530:
                break
    offered = features is not None and (
        features[0] == 530 or any(re.match(r"\s*AUTH\b.*\bTLS", line) for line in features[1])
    )
    if offered and not asked.tls:
        answer = yield from server.reply(b"AUTH TLS\r\n")
        if answer is not None and answer[0] == 234:
            found = found._replace(tls=(yield from server.start_tls()))
    yield Say(b"QUIT\r\n", farewell=True)
    return found


PROTOCOL = Protocol("ftp", (21, 2121, 990), greets=True, recognise=recognise, converse=converse)
