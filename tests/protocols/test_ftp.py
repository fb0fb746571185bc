"""FTP is known by its greeting, or by what it says before a log-in; FEAT, SYST and HELP tell more."""

from __future__ import annotations

import pytest

from portbook.protocols.ftp import PROTOCOL, converse, recognise

from .driving import ASKED, play
from .recorded import Recorded, cut_short, known

RECORDED = (
    Recorded(
        "vsftpd 3.0.3",
        "vsftpd",
        "3.0.3",
        b"220 (vsFTPd 3.0.3)\r\n",
        (
            (
                b"FEAT",
                b"211-Features:\r\n EPRT\r\n EPSV\r\n MDTM\r\n PASV\r\n REST STREAM\r\n SIZE\r\n TVFS\r\n211 End\r\n",
            ),
        ),
    ),
    Recorded(
        "vsftpd 3.0.3 with a banner of its own, and TLS",
        None,
        None,
        b"220 Welcome here\r\n",
        (
            (b"NOOP", b"530 Please login with USER and PASS.\r\n"),
            (b"FEAT", b"211-Features:\r\n AUTH TLS\r\n EPRT\r\n EPSV\r\n PBSZ\r\n PROT\r\n SIZE\r\n211 End\r\n"),
            (b"SYST", b"530 Please login with USER and PASS.\r\n"),
            (b"AUTH TLS", b"234 Proceed with negotiation.\r\n"),
        ),
        tls=True,
    ),
    Recorded(
        "ProFTPD 1.3.8",
        "ProFTPD",
        None,
        b"220 ProFTPD Server (lab) [192.168.6.1]\r\n",
        (
            (
                b"FEAT",
                b"211-Features:\r\n CLNT\r\n EPRT\r\n EPSV\r\n HOST\r\n SIZE\r\n TVFS\r\n UTF8\r\n211 End\r\n",
            ),
        ),
    ),
    Recorded(
        "Pure-FTPd 1.0.50, with TLS",
        "Pure-FTPd",
        None,
        b"220---------- Welcome to Pure-FTPd [privsep] [TLS] ----------\r\n220-You are user number 1 of 50.\r\n"
        b"220-Local time is now 16:04. Server port: 2203.\r\n"
        b"220 You will be disconnected after 15 minutes of inactivity.\r\n",
        (
            (b"FEAT", b"211-Extensions supported:\r\n UTF8\r\n EPRT\r\n AUTH TLS\r\n PBSZ\r\n PROT\r\n211 End.\r\n"),
            (b"AUTH TLS", b"234 AUTH TLS OK.\r\n"),
        ),
        tls=True,
    ),
    Recorded(
        "GNU inetutils 2.4",
        "GNU inetutils ftpd",
        "2.4",
        b"220 server FTP server (GNU inetutils 2.4) ready.\r\n",
        (
            (b"FEAT", b"530 Please login with USER and PASS.\r\n"),
            (b"AUTH TLS", b"502 AUTH command not implemented.\r\n"),
        ),
    ),
    Recorded(
        "pyftpdlib 1.5.7",
        "pyftpdlib",
        "1.5.7",
        b"220 pyftpdlib 1.5.7 ready.\r\n",
        ((b"FEAT", b"211-Features supported:\r\n EPRT\r\n EPSV\r\n UTF8\r\n211 End FEAT.\r\n"),),
    ),
    Recorded(
        "Apache FtpServer, by its documentation",
        "Apache FtpServer",
        None,
        b"220 Service ready for new user.\r\n",
        (
            (b"NOOP", b"200 Command NOOP okay.\r\n"),
            (b"FEAT", b"211-Extensions supported\r\n SIZE\r\n MDTM\r\n211 End\r\n"),
            (b"SYST", b"215 UNIX Type: Apache FtpServer\r\n"),
        ),
    ),
    Recorded(
        "Pure-FTPd 1.0.50 with a banner of its own",
        "Pure-FTPd",
        None,
        b"220 Hello\r\n",
        (
            (b"NOOP", b"200 Zzz...\r\n"),
            (b"FEAT", b"211-Extensions supported:\r\n UTF8\r\n211 End.\r\n"),
            (b"SYST", b"215 UNIX Type: L8\r\n"),
            (
                b"HELP",
                b"214-The following SITE commands are recognized\r\n IDLE\r\n214 Pure-FTPd - http://pureftpd.org/\r\n",
            ),
        ),
    ),
    Recorded("with 120 first", "vsftpd", "3.0.5", b"120 Ready in 1 minute\r\n220 (vsFTPd 3.0.5)\r\n"),
)


@pytest.mark.parametrize("recorded", RECORDED, ids=lambda recorded: recorded.make)
def test_each_make_is_known(recorded: Recorded) -> None:
    known(PROTOCOL, recorded)


@pytest.mark.parametrize("recorded", RECORDED, ids=lambda recorded: recorded.make)
def test_less_proves_less(recorded: Recorded) -> None:
    cut_short(PROTOCOL, recorded)


@pytest.mark.parametrize(
    ("greeting", "product", "version"),
    [
        (
            b"220-FileZilla Server 1.8.0\r\n220 Please visit https://filezilla-project.org/\r\n",
            "FileZilla Server",
            "1.8.0",
        ),
        (b"220-FileZilla Server version 0.9.60 beta\r\n220 x\r\n", "FileZilla Server", "0.9.60"),
        (b"220 Microsoft FTP Service\r\n", "Microsoft FTP Service", None),
        (b"220 box Microsoft FTP Service (Version 5.0).\r\n", "Microsoft FTP Service", "5.0"),
        (b"220 box FTP server (Version 6.4/OpenBSD/Linux-ftpd-0.17) ready.\r\n", "Linux-ftpd", "0.17"),
        (b"220 box FTP server (Version wu-2.6.2(1) Mon Jul 4) ready.\r\n", "WU-FTPD", "2.6.2"),
        (b"220 ProFTPD 1.3.5e Server (Debian) [::ffff:192.0.2.1]\r\n", "ProFTPD", "1.3.5e"),
        (b"220 NASFTPD Turbo station 1.3.5a Server (ProFTPD) [192.0.2.1]\r\n", "ProFTPD", None),
        (b"220 Serv-U FTP Server v15.1 ready...\r\n", "Serv-U", "15.1"),
        (b"220 router FTP server (MikroTik 6.49.6) ready\r\n", "MikroTik RouterOS", "6.49.6"),
        (b"220 uftpd (2.15) ready.\r\n", "uftpd", "2.15"),
        (b"220 bftpd 6.1 at ::ffff:192.0.2.1 ready.\r\n", "Bftpd", "6.1"),
        (b"220 Twisted 22.4.0 FTP Server\r\n", "Twisted", "22.4.0"),
        (b"220 DiskStation FTP server ready.\r\n", None, None),
    ],
)
def test_the_server_names_itself(greeting: bytes, product: str | None, version: str | None) -> None:
    found = recognise(greeting)
    assert found is not None
    assert (found.service, found.product, found.version) == ("ftp", product, version)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"220 ",
        b"220 (vsFTPd 3.0.3)",
        b"220 ftp.lab.example ready\r\n",
        b"220 Welcome here\r\n",
        b"220 Welcome here\r\n530 5.7.0 Must issue a STARTTLS command first\r\n",
        b"220 ftp.lab.example ESMTP\r\n530 Please login\r\n",
        b"220 the FTP and SMTP server\r\n",
        b"200 FTP\r\n",
    ],
)
def test_less_is_not_enough(data: bytes) -> None:
    assert recognise(data) is None


def test_a_refusal_before_a_log_in_is_its_own() -> None:
    found = recognise(b"220 Welcome here\r\n530 Please login with USER and PASS.\r\n")
    assert found is not None
    assert found.service == "ftp"


def test_one_that_takes_no_more_says_so() -> None:
    found = recognise(b"421 Too many connections to this FTP server.\r\n")
    assert found is not None
    assert found.note is not None


def test_a_mail_server_without_a_word_is_told_by_noop() -> None:
    answers = {b"NOOP": b"250 2.0.0 Ok\r\n", b"EHLO": b"250-mail.lab.example\r\n250 PIPELINING\r\n"}
    played = play(converse(ASKED), lambda said: answers.get(said[:4], b""), greeting=b"220 Welcome here\r\n")
    assert played.finding is not None
    assert (played.finding.service, played.finding.server_name) == ("smtp", "mail.lab.example")
    assert played.farewell == b"QUIT\r\n"


def test_nothing_is_said_to_a_server_of_another_protocol() -> None:
    for greeting in (b"SSH-2.0-x\r\n", b"* OK hi\r\n", b"+OK\r\n", b"220 x ESMTP\r\n", b"", b"554 no\r\n"):
        played = play(converse(ASKED), greeting=greeting)
        assert played.finding is None
        assert played.said == []
