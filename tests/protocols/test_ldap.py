"""LDAP servers tell who made them in the root DSE, some of them only within TLS."""

from __future__ import annotations

import pytest

from portbook.protocols.ldap import PROTOCOL, recognise

from .driving import ASKED, play
from .recorded import Recorded, cut_short, known

SEARCH, START_TLS, AGAIN = b"0\x81\xd3\x02\x02\x01\x03", b"0\x1e\x02\x02\x01\x04", b"0\x81\xd3\x02\x02\x01\x05"
AD_LDS = "Active Directory Lightweight Directory Services"
AGREED = b"0\r\x02\x02\x01\x04x\x07\n\x01\0\x04\0\x04\0"
# OpenLDAP 2.5.13.
OPENLDAP = (
    b"0\x81\xe0\x02\x02\x01\x03d\x81\xd9\x04\x000\x81\xd40%\x04\x0bobjectClass1\x16\x04\x03top"
    b"\x04\x0fOpenLDAProotDSE0\x81\x8d\x04\x12supportedExtension1w\x04\x161.3.6.1.4.1.1466.2003"
    b"7\x04\x171.3.6.1.4.1.4203.1.11.1\x04\x171.3.6.1.4.1.4203.1.11.3\x04\x0b1.3.6.1.1.8\x04"
    b"\x0e1.3.6.1.1.21.3\x04\x0e1.3.6.1.1.21.10\x1b\x04\x14supportedLDAPVersion1\x03\x04\x0130"
    b"\r\x02\x02\x01\x03e\x07\n\x01\x00\x04\x00\x04\x00"
)
OPENLDAP_AGAIN = OPENLDAP.replace(b"\x02\x02\x01\x03", b"\x02\x02\x01\x05")
CONFIDENTIAL = b"0)\x02\x02\x01\x03e#\n\x01\r\x04\0\x04\x1cTLS confidentiality required"
# 389 Directory Server 2.3.1.
DIRECTORY = (
    b"0\x82\x02\x13\x02\x02\x01\x03d\x82\x02\x0b\x04\x000\x82\x02\x050\x14\x04\x0bobjectClass1"
    b'\x05\x04\x03top0\x1b\x04\nvendorName1\r\x04\x0b389 Project05\x04\rvendorVersion1$\x04"389'
    b"-Directory/2.3.1 B2025.016.16160\x82\x01w\x04\x12supportedExtension1\x82\x01_\x04\x172.16"
    b".840.1.113730.3.5.7\x04\x172.16.840.1.113730.3.5.8\x04\x172.16.840.1.113730.3.5.3\x04\x18"
    b"2.16.840.1.113730.3.5.12\x04\x172.16.840.1.113730.3.5.5\x04\x172.16.840.1.113730.3.5.6"
    b"\x04\x172.16.840.1.113730.3.5.9\x04\x172.16.840.1.113730.3.5.4\x04\x172.16.840.1.113730.3"
    b".6.5\x04\x172.16.840.1.113730.3.6.6\x04\x172.16.840.1.113730.3.6.7\x04\x172.16.840.1.1137"
    b"30.3.6.8\x04\x171.3.6.1.4.1.4203.1.11.3\x04\x171.3.6.1.4.1.4203.1.11.10\x1e\x04\x14suppor"
    b"tedLDAPVersion1\x06\x04\x012\x04\x0130\r\x02\x02\x01\x03e\x07\n\x01\x00\x04\x00\x04\x00"
)
# Samba 4.17.12 as a domain controller.
SAMBA = (
    b"0\x82\x01\x87\x02\x02\x01\x03d\x82\x01\x7f\x04\x000\x82\x01y0\x81\x95\x04\x15supportedCap"
    b"abilities1|\x04\x161.2.840.113556.1.4.800\x04\x171.2.840.113556.1.4.1670\x04\x171.2.840.1"
    b"13556.1.4.1791\x04\x171.2.840.113556.1.4.1935\x04\x171.2.840.113556.1.4.20800\x1e\x04\x14"
    b'supportedLDAPVersion1\x06\x04\x012\x04\x01302\x04\nvendorName1$\x04"Samba Team (https://w'
    b'ww.samba.org)0"\x04\x0bdnsHostName1\x13\x04\x11client.ad.example0!\x04\rvendorVersion1'
    b"\x10\x04\x0e4.17.12-Debian0$\x04\x1ddomainControllerFunctionality1\x03\x04\x0140\x1e\x04"
    b"\x14isGlobalCatalogReady1\x06\x04\x04TRUE0\r\x02\x02\x01\x03e\x07\n\x01\x00\x04\x00\x04"
    b"\x00"
)
# A server of ldapjs without a root DSE.
NOTHING = b"0\r\x02\x02\x01\x03e\x07\n\x01 \x04\0\x04\0"
RECORDED = (
    Recorded("OpenLDAP 2.5.13", "OpenLDAP", None, answers=((SEARCH, OPENLDAP), (START_TLS, AGREED)), tls=True),
    Recorded(
        "OpenLDAP 2.5.13 that wants TLS", "OpenLDAP", None, tls=True,
        answers=((SEARCH, CONFIDENTIAL), (START_TLS, AGREED), (AGAIN, OPENLDAP_AGAIN)),
    ),
    Recorded("389 2.3.1", "389 Directory Server", "2.3.1", answers=((SEARCH, DIRECTORY),)),
    Recorded("Samba 4.17.12", "Samba", "4.17.12", answers=((SEARCH, SAMBA),)),
    Recorded("ldapjs", None, None, answers=((SEARCH, NOTHING),)),
)  # fmt: skip


@pytest.mark.parametrize("recorded", RECORDED)
def test_the_root_tells(recorded: Recorded) -> None:
    known(PROTOCOL, recorded)
    cut_short(PROTOCOL, recorded)


def test_a_domain_controller_tells_its_name() -> None:
    found = known(PROTOCOL, RECORDED[3])
    assert found.server_name == "client.ad.example"
    assert found.banner == "Samba Team (https://www.samba.org) 4.17.12-Debian"


def test_it_is_asked_without_a_bind_and_left_with_an_unbind() -> None:
    played = play(PROTOCOL.converse(ASKED), [OPENLDAP, AGREED])  # type: ignore[misc]
    assert not any(said[7:8] == b"\x60" or said[6:7] == b"\x60" for said in played.said)
    assert played.farewell == bytes.fromhex("30050201034200")


def test_within_tls_it_is_not_begun_again() -> None:
    played = play(PROTOCOL.converse(ASKED._replace(tls=True)), [OPENLDAP])  # type: ignore[misc]
    assert played.finding is not None
    assert played.tls == 0


def test_over_udp_the_number_must_fit() -> None:
    udp = ASKED._replace(transport="udp")
    other = SAMBA.replace(b"\x02\x02\x01\x03", b"\x02\x02\x01\x07")
    found = play(PROTOCOL.converse(udp), [SAMBA]).finding  # type: ignore[misc]
    assert found is not None
    assert found.product == "Samba"
    assert play(PROTOCOL.converse(udp), [other]).finding is None  # type: ignore[misc]
    assert play(PROTOCOL.converse(ASKED), [other]).finding is None  # type: ignore[misc]


def _entry(**attributes: bytes) -> bytes:
    def element(tag: int, content: bytes) -> bytes:
        # As Active Directory writes all of its lengths.
        return bytes((tag, 0x84)) + len(content).to_bytes(4, "big") + content

    listed = b"".join(
        element(0x30, element(4, name.encode()) + element(0x31, element(4, value)))
        for name, value in attributes.items()
    )
    return element(0x30, b"\x02\x02\x01\x03" + element(0x64, element(4, b"") + element(0x30, listed)))


@pytest.mark.parametrize(
    ("attributes", "product", "version"),
    [
        ({"supportedCapabilities": b"1.2.840.113556.1.4.800", "dnsHostName": b"dc1.corp"}, "Active Directory", None),
        ({"supportedCapabilities": b"1.2.840.113556.1.4.1851"}, AD_LDS, None),
        ({"vendorName": b"Apache Software Foundation", "vendorVersion": b"2.0.0.AM27"}, "ApacheDS", "2.0.0.AM27"),
        ({"vendorName": b"ForgeRock AS.", "vendorVersion": b"OpenDJ Server 3.0.0"}, "OpenDJ", "3.0.0"),
        ({"vendorName": b"NetIQ Corporation", "vendorVersion": b"LDAP Agent for NetIQ eDirectory 9.2.2 (40)"},
         "eDirectory", "9.2.2"),
        ({"vendorName": b"LLDAP", "vendorVersion": b"lldap_0.6.1"}, "LLDAP", "0.6.1"),
        ({"supportedLDAPVersion": b"3"}, None, None),
    ],
)  # fmt: skip
def test_each_make_has_its_way(attributes: dict[str, bytes], product: str | None, version: str | None) -> None:
    found = recognise(_entry(**attributes))
    assert found is not None
    assert (found.service, found.product, found.version) == ("ldap", product, version)


def test_a_notice_of_disconnection_proves_it() -> None:
    oid = b"1.3.6.1.4.1.1466.20036"
    notice = b"\x0a\x01\x02\x04\0\x04\0\x8a" + bytes((len(oid),)) + oid
    message = b"\x02\x01\0\x78" + bytes((len(notice),)) + notice
    found = recognise(b"0" + bytes((len(message),)) + message)
    assert found is not None
    assert found.service == "ldap"


@pytest.mark.parametrize(
    "data", [b"0", b"0\x80\0\0", b"0\x03\x02\x01\x01", b"0\x05\x02\x01\x01a\0", b"0\x84\xff\xff\xff\xff"]
)
def test_what_does_not_fit_is_not_it(data: bytes) -> None:
    assert recognise(data) is None
    assert play(PROTOCOL.converse(ASKED), [data], ended="end").finding is None  # type: ignore[misc]
