"""What a TLS session tells of its server, with the bytes carried by hand between both ends."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from OpenSSL import SSL

from portbook.porttest import Tls
from portbook.probe.tls import NoTls, TlsClient

from .serving import Authority, authority


@pytest.fixture(scope="module")
def ca(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return authority(tmp_path_factory.mktemp("ca"))


def context(certificate: Path) -> SSL.Context:
    made = SSL.Context(SSL.TLS_SERVER_METHOD)
    made.set_cipher_list(b"ALL:@SECLEVEL=0")
    made.use_privatekey_file(str(certificate))
    made.use_certificate_file(str(certificate))
    return made


def shaken(made: SSL.Context, host: str, alpn: tuple[str, ...] = ()) -> TlsClient:
    """Return the client after its handshake with a server, which then says hello. Raises NoTls."""
    server = SSL.Connection(made, None)
    server.set_accept_state()
    client = TlsClient(host, alpn)
    for _ in range(20):
        if sent := client.to_send():
            server.bio_write(sent)
        try:
            server.do_handshake()
        except SSL.WantReadError:
            pass
        except SSL.Error:
            client.take(server.bio_read(65536))
            raise
        try:
            client.take(server.bio_read(65536))
        except SSL.WantReadError:
            if client.done:
                return client
    raise AssertionError("the handshake does not end")


@pytest.mark.parametrize(
    ("names", "host", "days", "by_itself", "trusted"),
    [
        (("server.example",), "server.example", (-1, 30), False, True),
        (("server.example",), "SERVER.example.", (-1, 30), False, True),
        (("*.example",), "server.example", (-1, 30), False, False),
        (("*.lab.example",), "server.lab.example", (-1, 30), False, True),
        (("*.lab.example",), "a.server.lab.example", (-1, 30), False, False),
        (("192.0.2.1",), "192.0.2.1", (-1, 30), False, True),
        (("2001:db8::1",), "2001:DB8:0::1", (-1, 30), False, True),
        (("192.0.2.1",), "192.0.2.2", (-1, 30), False, False),
        (("fe80::1",), "fe80::1%lo", (-1, 30), False, True),
        (("xn--bcher-kva.example",), "bücher.example", (-1, 30), False, True),
        (("other.example",), "server.example", (-1, 30), False, False),
        ((), "server.example", (-1, 30), False, False),
        (("server.example",), "server.example", (-9, -1), False, False),
        (("server.example",), "server.example", (1, 9), False, False),
        (("server.example",), "server.example", (-1, 30), True, False),
    ],
)
def test_trust_is_of_the_chain_the_dates_and_the_name(
    ca: Authority,
    monkeypatch: pytest.MonkeyPatch,
    names: tuple[str, ...],
    host: str,
    days: tuple[int, int],
    by_itself: bool,
    trusted: bool,
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(ca.root))
    certificate = ca.issue(*names, days=days, by_itself=by_itself)
    learned = shaken(context(certificate), host).learned()
    assert learned.trusted is trusted
    assert learned.names == names
    assert learned.subject == "server.example"
    assert learned.issuer == ("server.example" if by_itself else "the test's own root")
    assert learned.not_before is not None
    assert learned.not_after is not None
    assert (learned.not_before < time.time() < learned.not_after) == (days == (-1, 30))


def test_a_certificate_for_many_is_for_the_last_of_them_too(ca: Authority, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(ca.root))
    certificate = ca.issue(*(f"{number}.example" for number in range(150)))
    learned = shaken(context(certificate), "149.example").learned()
    assert learned.trusted is True
    assert learned.names == tuple(f"{number}.example" for number in range(100))


def test_without_the_root_nothing_is_trusted(ca: Authority, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SSL_CERT_FILE", raising=False)
    assert shaken(context(ca.issue("server.example")), "server.example").learned().trusted is False


def test_the_session_tells_its_version_cipher_and_protocol(ca: Authority) -> None:
    made = context(ca.issue("server.example"))
    made.set_alpn_select_callback(lambda _, offered: offered[0])
    learned = shaken(made, "server.example", ("h2", "http/1.1")).learned()
    assert (learned.version, learned.alpn) == ("TLSv1.3", "h2")
    assert learned.cipher is not None
    assert learned.cipher.startswith("TLS_")


@pytest.mark.parametrize(
    ("version", "name"),
    [(SSL.TLS1_VERSION, "TLSv1"), (SSL.TLS1_1_VERSION, "TLSv1.1"), (SSL.TLS1_2_VERSION, "TLSv1.2")],
)
def test_old_servers_are_known(ca: Authority, version: int, name: str) -> None:
    made = context(ca.issue("server.example"))
    made.set_min_proto_version(version)
    made.set_max_proto_version(version)
    assert shaken(made, "server.example").learned().version == name


@pytest.mark.parametrize(("host", "told"), [("server.example", b"server.example"), ("192.0.2.1", None)])
def test_the_server_is_told_the_name_it_is_asked_for_by(ca: Authority, host: str, told: bytes | None) -> None:
    names: list[bytes | None] = []
    made = context(ca.issue("server.example"))
    made.set_tlsext_servername_callback(lambda connection: names.append(connection.get_servername()))
    shaken(made, host)
    assert names == [told]


@pytest.mark.parametrize("version", [SSL.TLS1_2_VERSION, SSL.TLS1_3_VERSION])
def test_it_is_noticed_that_a_certificate_is_asked_for(ca: Authority, version: int) -> None:
    made = context(ca.issue("server.example"))
    made.set_max_proto_version(version)
    made.set_verify(SSL.VERIFY_PEER, lambda *_: True)
    assert shaken(made, "server.example").asked_for_certificate
    assert not shaken(context(ca.issue("server.example")), "server.example").asked_for_certificate


@pytest.mark.parametrize(
    "said", [b"220 hello\r\n", b"\x16\x03\x03\x00\x04\xff\xff\xff\xff", b"\x15\x03\x01\x00\x02\x02\x28"]
)
def test_what_is_no_tls_is_said_to_be_none(said: bytes) -> None:
    client = TlsClient("server.example")
    assert client.to_send()[:2] == b"\x16\x03"
    with pytest.raises(NoTls):
        client.take(said)
    assert client.learned() == Tls(client.learned().version, client.learned().cipher)
