"""Those who answer no stranger are never asked, and say why."""

from __future__ import annotations

from portbook.protocols.silent import PROTOCOLS


def test_nothing_is_said_to_them() -> None:
    assert {one.name for one in PROTOCOLS} >= {"syslog", "wireguard", "radius"}
    for one in PROTOCOLS:
        assert one.converse is None
        assert one.note
        assert one.recognise(b"anything") is None
