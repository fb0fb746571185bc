"""Mail servers, asked by Python's own clients and by openssl from another host."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from portbook.lab.scenario import ServicePlan
from portbook.lab.servers.program import Candidate, installed
from tests.lab.conftest import Raise, eventually
from tests.lab.plans import two_hosts

from .kernel import candidates, others, processes, waiting
from .talking import ADDRESSES, PORT, converses, listens, raised, service

DOORS = (("smtp", 25), ("smtps", 465))

SMTP = [(kind, one) for kind in ("smtp", "smtps") for one in candidates(kind)]
BOXES = [(kind, one) for kind in ("pop3", "pop3s", "imap", "imaps") for one in candidates(kind)]
SENDERS = [pytest.param(kind, *one.values, id=f"{kind}-{one.id}", marks=one.marks) for kind, one in SMTP]
READERS = [pytest.param(kind, *one.values, id=f"{kind}-{one.id}", marks=one.marks) for kind, one in BOXES]
KINDS = [*SENDERS, *READERS]
TLS = [one for one in KINDS if one.id != "smtp-smtpd"]
"""All but OpenSMTPD, which is run without TLS."""

GREETINGS = {
    "Postfix": "server ESMTP Postfix (Debian/GNU)",
    "Exim": "server ESMTP Exim {version} ",
    "OpenSMTPD": "server ESMTP OpenSMTPD",
    "Dovecot": "Dovecot",
}

SEND = """
import smtplib, ssl, sys
kind, address, port = sys.argv[1:]
anyone = ssl.create_default_context()
anyone.check_hostname, anyone.verify_mode = False, ssl.CERT_NONE
if kind == "smtps":
    client = smtplib.SMTP_SSL(address, int(port), local_hostname="client", context=anyone)
else:
    client = smtplib.SMTP(address, int(port), local_hostname="client")
    client.ehlo()
    if client.has_extn("starttls"):
        print(client.starttls(context=anyone)[0])
client.ehlo()
print(client.sendmail("someone@client", ["portbook@server"], "Subject: Kept\\r\\n\\r\\nRead me."))
for nobody in ("nobody@server", "someone@example.com"):
    try:
        client.sendmail("someone@client", [nobody], "Subject: Lost\\r\\n\\r\\nLost.")
    except smtplib.SMTPRecipientsRefused as refused:
        print(refused.recipients[nobody][0])
client.quit()
"""

READ = """
import imaplib, poplib, ssl, sys
kind, address, port = sys.argv[1:]
anyone = ssl.create_default_context()
anyone.check_hostname, anyone.verify_mode = False, ssl.CERT_NONE
secured = {"ssl_context": anyone} if kind.endswith("s") else {}
if kind.startswith("imap"):
    client = (imaplib.IMAP4_SSL if secured else imaplib.IMAP4)(address, int(port), **secured)
    if not secured:
        client.starttls(anyone)
    try:
        client.login("portbook", "wrong")
    except imaplib.IMAP4.error:
        print("denied")
    client.login("portbook", "portbook")
    client.select("INBOX")
    print(client.fetch("1", "(BODY[HEADER.FIELDS (SUBJECT)])")[1][0][1].decode().strip())
    client.logout()
else:
    if secured:
        client = poplib.POP3_SSL(address, int(port), context=anyone)
    else:
        client = poplib.POP3(address, int(port))
        client.stls(anyone)
    client.user("portbook")
    try:
        client.pass_("wrong")
    except poplib.error_proto:
        print("denied")
    client.user("portbook")
    client.pass_("portbook")
    print(next(line.decode() for line in client.retr(1)[1] if line.startswith(b"Subject:")))
    client.quit()
"""


def has_starttls(kind: str, candidate: Candidate) -> bool:
    return kind == "smtp" and candidate.product != "OpenSMTPD"


def arrived(kept: Path) -> int:
    """Return how many of a box's messages are those that SEND sends."""
    return sum(b"Read me." in message.read_bytes() for message in kept.iterdir()) if kept.exists() else 0


@pytest.mark.parametrize(("kind", "candidate"), KINDS)
def test_it_listens(kind: str, candidate: Candidate, lab: Raise) -> None:
    listens(lab, kind, candidate)


@pytest.mark.parametrize(("kind", "candidate"), KINDS)
def test_it_converses_and_tells_what_it_is(kind: str, candidate: Candidate, lab: Raise) -> None:
    name = converses(lab, kind, candidate)
    version = lab(two_hosts(service(kind, candidate))).services["it"].version
    assert name is not None
    assert version
    assert name.startswith(GREETINGS[candidate.product].format(version=version))


@pytest.mark.parametrize(("kind", "candidate"), SENDERS)
def test_it_keeps_mail_for_its_users_and_relays_none(kind: str, candidate: Candidate, lab: Raise) -> None:
    up = lab(two_hosts(service(kind, candidate)))
    kept = Path(up.state.folder, "it/kept/new")
    for number, address in enumerate(ADDRESSES, 1):
        done = up["client"].run(sys.executable, "-c", SEND, kind, address, str(PORT))
        *greeted, sent, unknown, relayed = done.stdout.splitlines()
        assert (greeted, sent) == (["220"] if has_starttls(kind, candidate) else [], "{}"), done.stderr
        assert unknown.startswith("5")
        assert relayed.startswith("5")
        assert eventually(lambda number=number: arrived(kept) == number)  # type: ignore[misc]


@others
@pytest.mark.parametrize(("kind", "candidate"), SENDERS)
def test_whom_it_runs_as(kind: str, candidate: Candidate, lab: Raise) -> None:
    """Of what waits for its work only the first may be root's, which opens the door and delivers."""
    found = processes(lab(two_hosts(service(kind, candidate)))["server"])
    rooted = {"Postfix": ["master"], "Exim": [], "OpenSMTPD": ["smtpd"]}[candidate.product]
    assert [name for uid, name in found if uid == 0 and name != "virtual"] == rooted
    assert any(uid != 0 for uid, _ in found)


@others
@pytest.mark.parametrize(("kind", "candidate"), READERS)
def test_the_user_reads_the_mail(kind: str, candidate: Candidate, lab: Raise) -> None:
    up = raised(lab, kind, candidate)
    for address in ADDRESSES:
        done = up["client"].run(sys.executable, "-c", READ, kind, address, str(PORT))
        assert done.stdout.splitlines() == ["denied", "Subject: Mail for the lab"], done.stderr


@pytest.mark.parametrize(("kind", "candidate"), TLS)
def test_tls_is_as_openssl_sees_it(kind: str, candidate: Candidate, lab: Raise) -> None:
    if installed("openssl") is None:
        pytest.skip("openssl is not installed")
    up = lab(two_hosts(service(kind, candidate)))
    starttls = () if kind.endswith("s") else ("-starttls", kind)
    asked = ("openssl", "s_client", "-brief", *starttls, "-connect", f"192.0.2.2:{PORT}")
    told = up["client"].run(*asked, input="").stderr
    assert "Protocol version: TLSv1.3" in told
    assert "O = portbook lab, CN = server" in told


@pytest.mark.parametrize(
    "candidate", [pytest.param(*one.values, id=one.id, marks=one.marks) for one in candidates("smtps")]
)
def test_two_of_one_host(candidate: Candidate, lab: Raise) -> None:
    plans = [ServicePlan(kind, "server", kind, port, program=candidate.name) for kind, port in DOORS]
    up = lab(two_hosts(*plans))
    assert waiting(up["server"]) == {("tcp", f"{host}:{port}") for _, port in DOORS for host in ("0.0.0.0", "[::]")}
    for kind, port in DOORS:
        done = up["client"].run(sys.executable, "-c", SEND, kind, "192.0.2.2", str(port))
        assert "{}" in done.stdout.splitlines(), done.stderr
