"""SMB of every version answers one negotiation, directly and through NetBIOS."""

from __future__ import annotations

import pytest

from portbook.protocols.smb import PROTOCOLS, recognise, recognise_session

from .driving import ASKED, play
from .recorded import Recorded, cut_short, known

DIRECT, SESSION = PROTOCOLS
FIRST, SECOND, REQUEST = b"\0\0\0E\xffSMBr", b"\0\0\0\xac\xfeSMB", b"\x81\0\0D"
# Samba 4.17.12: asked for a second negotiation, its answer to that, and the same with SMB 1 alone.
WILDCARD = (
    b"\x00\x00\x00\xca\xfeSMB@\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01\x00\x01\x00\x00\x00\x00"
    b"\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"
    b"\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00A\x00"
    b"\x01\x00\xff\x02\x00\x00files\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x07\x00\x00\x00"
    b"\x00\x00\x80\x00\x00\x00\x80\x00\x00\x00\x80\x00\xec\x14B\x9b\xd2y\xdd\x01\x00\x00\x00"
    b"\x00\x00\x00\x00\x00\x80\x00J\x00\x00\x00\x00\x00`H\x06\x06+\x06\x01\x05\x05\x02\xa0>0<"
    b"\xa0\x0e0\x0c\x06\n+\x06\x01\x04\x01\x827\x02\x02\n\xa3*0(\xa0&\x1b$not_defined_in_RFC417"
    b"8@please_ignore"
)
CHOSEN = (
    b"\x00\x00\x01\x0c\xfeSMB@\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01\x00\x01\x00\x00\x00\x00"
    b"\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"
    b"\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00A\x00"
    b"\x01\x00\x11\x03\x02\x00files\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x0f\x00\x00\x00"
    b"\x00\x00\x80\x00\x00\x00\x80\x00\x00\x00\x80\x00\x84hB\x9b\xd2y\xdd\x01\x00\x00\x00\x00"
    b"\x00\x00\x00\x00\x80\x00J\x00\xd0\x00\x00\x00`H\x06\x06+\x06\x01\x05\x05\x02\xa0>0<\xa0"
    b"\x0e0\x0c\x06\n+\x06\x01\x04\x01\x827\x02\x02\n\xa3*0(\xa0&\x1b$not_defined_in_RFC4178@pl"
    b"ease_ignore\x00\x00\x00\x00\x00\x00\x01\x00&\x00\x00\x00\x00\x00\x01\x00 \x00\x01\x00\xd8"
    b"\xf3\xf2&\x9dB\x8cl\x19\xe1\xb6\x97\x89\xa1\x18\xda\xc6\xa8!D\xe2-\x16\x00mM\xccz\x81'"
    b"\x99\xc4\x00\x00\x02\x00\x04\x00\x00\x00\x00\x00\x01\x00\x01\x00"
)
ONE = (
    b"\x00\x00\x00]\xffSMBr\x00\x00\x00\x00\x88\x03\xc0\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"
    b"\x00\x00\xff\xff\x01\x00\x00\x00\x00\x00\x11\x00\x00\x032\x00\x01\x00\x04A\x00\x00\x00"
    b"\x00\x01\x00q\x03\x00\x00\xfd\xf3\x80\x00\xf9BC\x9b\xd2y\xdd\x01\x00\x00\x08\x18\x00f\n"
    b"\x0e\xdba|\x7f\x9dL\x00A\x00B\x00\x00\x00O\x00L\x00D\x00\x00\x00"
)
# The server of impacket 0.12 with SMB 2, and with SMB 1.
IMPACKET = (
    b"\x00\x00\x00\xa0\xfeSMB@\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01\x00\x01\x00\x00\x00\x00"
    b"\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"
    b"\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00A\x00"
    b"\x01\x00\x02\x02\x00\x00AAAAAAAAAAAAAAAA\x00\x00\x00\x00\x00\x00\x01\x00\x00\x00\x01\x00"
    b"\x00\x00\x01\x00\x00o\xe8\x9a\xd2y\xdd\x01\x00o\xe8\x9a\xd2y\xdd\x01\x80\x00\x1e\x00\x00"
    b"\x00\x00\x00`\x1c\x06\x06+\x06\x01\x05\x05\x02\xa0\x120\x10\xa0\x0e0\x0c\x06\n+\x06\x01"
    b"\x04\x01\x827\x02\x02\n\x00\x00"
)
IMPACKET_ONE = (
    b"\x00\x00\x00M\xffSMBr\x00\x00\x00\x00\x80\x00\xc0\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"
    b"\x00\x00\xff\xff\x01\x00\x00\x00\x00\x00\x11\x00\x00\x03\x01\x00\x01\x00\x00\xfa\x00\x00"
    b"\x00\x00\x01\x00\x00\x00\x00\x00p\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x08"
    b'\x08\x00\x11"3DUfw\x88'
)
ACCEPTED = b"\x82\0\0\0"
RECORDED = (
    (DIRECT, Recorded("Samba 4.17.12", "Samba", None, answers=((FIRST, WILDCARD), (SECOND, CHOSEN)))),
    (DIRECT, Recorded("Samba 4.17.12 with SMB 1", None, None, answers=((FIRST, ONE),))),
    (DIRECT, Recorded("impacket with SMB 2", None, None, answers=((FIRST, IMPACKET),))),
    (DIRECT, Recorded("impacket with SMB 1", None, None, answers=((FIRST, IMPACKET_ONE),))),
    (SESSION, Recorded("Samba", "Samba", None, answers=((REQUEST, ACCEPTED), (FIRST, WILDCARD), (SECOND, CHOSEN)))),
)


@pytest.mark.parametrize(
    ("protocol", "recorded"), RECORDED, ids=lambda one: getattr(one, "make", getattr(one, "name", ""))
)
def test_the_negotiation_tells(protocol: object, recorded: Recorded) -> None:
    assert protocol in PROTOCOLS
    one = DIRECT if protocol is DIRECT else SESSION
    known(one, recorded)
    cut_short(one, recorded)


def test_the_dialect_the_signing_and_the_name_are_told() -> None:
    found = known(*RECORDED[0])
    assert (found.banner, found.server_name) == ("SMB 3.1.1, signing enabled", "files")
    found = known(*RECORDED[1])
    assert (found.banner, found.server_name) == ("SMB 1, workgroup LAB", "OLD")


def test_a_random_guid_is_no_name() -> None:
    place = CHOSEN.index(b"files")
    windows = CHOSEN[:place] + bytes(range(0x81, 0x91)) + CHOSEN[place + 16 :]
    found = recognise(windows)
    assert found is not None
    assert (found.product, found.server_name) == (None, None)


def test_no_session_is_set_up() -> None:
    played = play(DIRECT.converse(ASKED), [WILDCARD, CHOSEN])  # type: ignore[misc]
    assert [said[8] for said in played.said] == [0x72, 0x40]
    # The command of the second is NEGOTIATE (MS-SMB2, section 2.2.1.2).
    assert played.said[1][16:18] == b"\0\0"
    for said in played.said:
        assert int.from_bytes(said[:4], "big") == len(said) - 4


@pytest.mark.parametrize("code", [0x80, 0x82, 0x8F])
def test_a_refused_session_proves_it(code: int) -> None:
    refusal = b"\x83\0\0\x01" + bytes((code,))
    found = play(SESSION.converse(ASKED), [refusal], cut=1, ended="end").finding  # type: ignore[misc]
    assert found is not None
    assert (found.service, found.certain) == ("netbios-ssn", True)
    assert recognise_session(refusal[:4]) is None


@pytest.mark.parametrize("place", [*range(4, 12), *range(36, 44), 64, 66, 67, 68])
def test_a_broken_answer_is_survived(place: int) -> None:
    for answer in (ONE, CHOSEN):
        for value in (0, 0x11, 0xFF):
            broken = answer[:place] + bytes((value,)) + answer[place + 1 :]
            recognise(broken)
            play(DIRECT.converse(ASKED), [broken, broken], ended="end")  # type: ignore[misc]
