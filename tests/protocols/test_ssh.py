"""SSH is recognised by its identification string, and by nothing less."""

from __future__ import annotations

import pytest

from portbook.protocols.ssh import recognise


@pytest.mark.parametrize(
    ("line", "product", "version"),
    [
        (b"SSH-2.0-OpenSSH_9.2p1 Debian-2+deb12u3\r\n", "OpenSSH", "9.2p1"),
        (b"SSH-2.0-dropbear_2022.83\r\n", "Dropbear", "2022.83"),
        (b"SSH-1.99-Cisco-1.25\n", "Cisco SSH", "1.25"),
        (b"SSH-2.0-Go\r\n", "Go", None),
        (b"Please be patient\r\nSSH-2.0-OpenSSH_9.9\r\n", "OpenSSH", "9.9"),
    ],
)
def test_the_server_names_itself(line: bytes, product: str, version: str | None) -> None:
    found = recognise(line)
    assert found is not None
    assert (found.service, found.product, found.version) == ("ssh", product, version)


@pytest.mark.parametrize("data", [b"", b"SSH-", b"SSH-2.0-OpenSSH_9.2", b"220 SSH-2.0-x\r\n", b"SSH-9.9-x\r\n"])
def test_less_is_not_enough(data: bytes) -> None:
    assert recognise(data) is None
