from __future__ import annotations

import socket
import threading

import pytest

from portbook.host import names


def test_a_name_comes_from_the_resolver(monkeypatch: pytest.MonkeyPatch) -> None:
    def answer(address: tuple[str, int], flags: int) -> tuple[str, str]:
        if address[0] == "192.0.2.2":
            raise socket.gaierror
        return f"host-{address[0]}", "0"

    monkeypatch.setattr(socket, "getnameinfo", answer)
    assert names.host_names(["192.0.2.1", "192.0.2.2"]) == {"192.0.2.1": "host-192.0.2.1"}
    assert names.host_names([]) == {}


def test_a_resolver_that_hangs_holds_nobody_up(monkeypatch: pytest.MonkeyPatch) -> None:
    release = threading.Event()

    def hang(address: tuple[str, int], flags: int) -> tuple[str, str]:
        if address[0].endswith(".1"):
            return "first", "0"
        release.wait(30)
        return "late", "0"

    monkeypatch.setattr(socket, "getnameinfo", hang)
    monkeypatch.setattr(names, "PATIENCE", 0.2)
    try:
        assert names.host_names(["192.0.2.1", "192.0.2.9"]) == {"192.0.2.1": "first"}
    finally:
        release.set()
