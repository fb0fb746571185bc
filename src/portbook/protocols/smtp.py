"""SMTP, submission and LMTP: the greeting, the extensions, and STARTTLS (RFC 5321, 6409, 2033, 3207)."""

from __future__ import annotations

import re

from portbook.errors import N_
from portbook.porttest import Finding
from portbook.protocols.banner import lines, product
from portbook.protocols.conversation import Asked, Conversation, Protocol, Reader, Say

_PRODUCTS = (
    ("postfix", "Postfix"),
    ("exim", "Exim"),
    ("opensmtpd", "OpenSMTPD"),
    ("sendmail", "Sendmail"),
    ("microsoft esmtp", "Microsoft ESMTP"),
    ("microsoft smtp", "Microsoft SMTP"),
    ("dovecot", "Dovecot"),
    ("cyrus", "Cyrus IMAP"),
    ("haraka", "Haraka"),
    ("xverp=courier", "Courier"),
    ("courier", "Courier"),
    ("stalwart", "Stalwart"),
    ("kerio connect", "Kerio Connect"),
    ("kerio mailserver", "Kerio MailServer"),
    ("mdaemon", "MDaemon"),
    ("mailenable", "MailEnable"),
    ("communigate pro", "CommuniGate Pro"),
    ("lotus domino", "HCL Domino"),
    ("hcl domino", "HCL Domino"),
    ("james", "Apache James"),
    ("icewarp", "IceWarp"),
    ("axigen", "Axigen"),
    ("surgesmtp", "SurgeMail"),
    ("mercury/32", "Mercury/32"),
    ("xmail", "XMail"),
    ("citadel", "Citadel"),
    ("masqmail", "MasqMail"),
    ("greenmail", "GreenMail"),
    ("mailhog", "MailHog"),
    ("mailpit", "Mailpit"),
    ("smtp4dev", "smtp4dev"),
    ("eventmachine", "EventMachine"),
    ("python smtp proxy", "Python smtpd"),
    ("python smtp", "aiosmtpd"),
    ("twisted", "Twisted"),
    ("inetsim", "INetSim"),
    ("maddy", "maddy"),
    ("zimbra", "Zimbra"),
    ("gsmtp", "Google SMTP"),
    ("powermta", "PowerMTA"),
    ("ironport", "Cisco IronPort"),
    ("indimail", "IndiMail"),
    ("qmail", "qmail"),
)
_ONLY_MAIL = ("Postfix", "Exim", "Sendmail", "OpenSMTPD", "Dovecot", "Haraka", "Stalwart")
"""Those whose name is proof enough behind a 220: they serve nothing else that greets with it."""

_REPLY = re.compile(r"([2-5]\d\d)(?:[ -](.*)|$)")
_WORD = re.compile(r"(?i)(?<![\w.@-])(E?SMTP|LMTP|gsmtp|\w*smtpd)(?![\w-]*\.\w)")
_HOST = re.compile(r"(\[[\da-fA-F.:]+\]|[\w-]+(?:\.[\w-]+)*)(?=\s|$)")
_REFUSES = N_("it refuses mail from this host")


def recognise(data: bytes) -> Finding | None:
    """Return what a greeting proves that names SMTP or LMTP, or an answer in the enhanced codes behind one."""
    came = lines(data)
    reply = _REPLY.match(came[0]) if came else None
    if reply is None or reply[1] not in ("220", "421", "521", "550", "554", "571"):
        return None
    code = reply[1]
    greeting: list[str] = []
    for line in came:
        if line[:3] != code:
            break
        greeting.append(line[4:])
        if line[3:4] != "-":
            break
    found = _told(int(code), greeting)
    if found is None and code == "220":
        # RFC 3463 codes, or the 250 that is FTP's answer to other things only
        behind = came[len(greeting) :]
        if any(re.match(r"(250[ -]|[245]\d\d[ -][245]\.\d\.\d )", line) for line in behind[:1]):
            return _finding("smtp", greeting)
    return found


def _told(code: int, greeting: list[str]) -> Finding | None:
    said = " ".join(greeting)
    first = greeting[0] if greeting else ""
    # The first word is the host's name, which may be anything; but some begin with the protocol's.
    behind = first if first.startswith(("ESMTP", "SMTP", "LMTP")) else _behind_host(first)
    word = _WORD.search(" ".join((behind, *greeting[1:])))
    if code != 220:
        # 421 may be FTP's, but for the word or a code of RFC 3463.
        if word is None and code != 554 and re.match(r"[45]\.\d+\.\d+ ", said) is None:
            return None
        return _finding("smtp", greeting)._replace(note=_REFUSES)
    if word is None:
        found = _finding("smtp", greeting)
        return found if found.product in _ONLY_MAIL and "FTP" not in said else None
    return _finding("lmtp" if word[1].upper() == "LMTP" else "smtp", greeting)


def _behind_host(line: str) -> str:
    host = _HOST.match(line)
    return line if host is None or "/" in line[: host.end()] else line[host.end() :]


def _host(line: str) -> str | None:
    """Return the name with which a line begins; a single word is only one where more follows."""
    host = _HOST.match(line)
    if host is None or not re.search(r"[A-Za-z:]", host[1]):
        return None
    return host[1] if "." in host[1] or line[host.end() :].strip() else None


def _finding(service: str, greeting: list[str]) -> Finding:
    first = greeting[0] if greeting else ""
    name, version = product(_behind_host(first), _PRODUCTS)
    for line in greeting[1:]:
        if name is None:
            name, version = product(line, _PRODUCTS)
    return Finding(service, name, version, first.strip() or None, _host(first))


def converse(asked: Asked) -> Conversation:
    """Read the greeting, say EHLO (LHLO where that is refused), ask for help where offered, and go over to TLS."""
    server = Reader(asked.heard)
    greeting = yield from server.reply()
    if greeting is None:
        return None
    code, said = greeting
    if code == 220:
        return (yield from greeted(server, asked, said))
    found = _told(code, said)
    if found is not None:
        yield Say(b"QUIT\r\n", farewell=True)
    return found


def greeted(server: Reader, asked: Asked, said: list[str]) -> Conversation:
    """Go on behind a greeting of 220, whose lines are given."""
    found = _told(220, said)
    service = "lmtp" if found is not None and found.service == "lmtp" else "smtp"
    answer = None
    words = {"smtp": (b"EHLO", b"HELO", b"LHLO"), "lmtp": (b"LHLO",)}[service]
    for word in words:
        answer = yield from server.reply(word + b" portbook.invalid\r\n")
        if answer is None or answer[0] in (250, 421) or (found is None and answer[0] in (220, 530)):
            break
    if answer is None or answer[0] != 250:
        return found
    if word == b"LHLO":
        service = "lmtp"
    found = _finding(service, said)
    found = found._replace(server_name=_host(answer[1][0]) or found.server_name)
    offers = [line.upper().strip() for line in answer[1][1:]]
    if found.product is None:
        name, version = product(" ".join(offers), _PRODUCTS)
        if name is None and "HELP" in offers:
            told = yield from server.reply(b"HELP\r\n")
            if told is not None and told[0] in (211, 214):
                name, version = product(" ".join(told[1]), _PRODUCTS)
        found = found._replace(product=name, version=version)
    if "STARTTLS" in offers and not asked.tls:
        ready = yield from server.reply(b"STARTTLS\r\n")
        if ready is not None and ready[0] == 220:
            found = found._replace(tls=(yield from server.start_tls()))
    yield Say(b"QUIT\r\n", farewell=True)
    return found


PROTOCOL = Protocol("smtp", (25, 587, 465, 2525, 24, 1025), greets=True, recognise=recognise, converse=converse)
