"""What `portbook serve check` has to say of settings: each unsafe thing is found, and a sound server has none."""

from __future__ import annotations

import os
from collections.abc import Callable
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest

from portbook.web import checking
from portbook.web.checking import Said, checked
from portbook.web.settings import read_settings

SOUND: dict[str, Any] = {
    "mode": "public",
    "listen": "127.0.0.1:8080",
    "hosts": ("ports.example",),
    "contact": "abuse@ports.example",
    "addresses": ("8.8.4.4", "2606:4700::1"),
    "trusted_proxies": ("127.0.0.1/32",),
    "quotas": {"at_once": 50},
    "connections": {"all": 50},
}
Check = Callable[..., list[Said]]


@pytest.fixture
def check(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Check:
    """Return what checks the settings of a sound server with some changed."""
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    for name in [name for name in os.environ if name.upper().startswith("PORTBOOK_")]:
        monkeypatch.delenv(name)

    def made(path: str | None = None, environ: dict[str, str] | None = None, **given: Any) -> list[Said]:
        settings = read_settings(None, {**SOUND, "data": str(tmp_path / "serve"), **given})
        return checked(settings, path, environ or {})

    return made


def unsafe(told: list[Said]) -> list[str]:
    return [one.message.format(**one.values) for one in told if one.unsafe]


def does(told: list[Said]) -> str:
    return "\n".join(one.message.format(**one.values) for one in told if not one.unsafe)


def test_a_sound_server_is_sound(check: Check) -> None:
    assert unsafe(check()) == []
    assert unsafe(check(mode="lan")) == []
    assert unsafe(check(mode="local", trusted_proxies=(), hosts=())) == []


def test_it_says_what_it_would_do(check: Check) -> None:
    told = does(check(never_test=(25, 465), never_networks=("9.9.9.0/24",), targets=("*.example.org",)))
    for part in (
        *("127.0.0.1:8080", "whole internet", "ports.example", "x-forwarded-for", "127.0.0.1/32", "30/hour"),
        *("128 ports", "25, 465, 9.9.9.0/24", "*.example.org", "portbook.sqlite"),
    ):
        assert part in told
    assert "no name" in does(check(hosts=()))
    assert "no header" in does(check(trusted_proxies=()))
    assert "192.168.0.0/16" in does(check(mode="lan"))


def test_it_tells_no_password(check: Check) -> None:
    told = check(database="postgresql://ann:geheim@db/portbook", shared="redis://:verborgen@store:6379", workers=2)
    whole = "\n".join((does(told), *unsafe(told)))
    assert "geheim" not in whole
    assert "verborgen" not in whole
    assert "store:6379" in whole


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"trusted_proxies": ("0.0.0.0/0",)}, "0.0.0.0/0 can claim any address"),
        ({"trusted_proxies": ("10.0.0.0/8",)}, "10.0.0.0/8 can claim any address"),
        ({"trusted_proxies": ("127.0.0.1/32", "::/0")}, "::/0 can claim any address"),
        ({"trusted_proxies": ()}, "name the proxy before it"),
        ({"mode": "lan", "trusted_proxies": ()}, "name the proxy before it"),
        ({"mode": "local"}, "behind a proxy a local server"),
        ({"mode": "local", "trusted_proxies": (), "listen": "0.0.0.0:80"}, "others can reach 0.0.0.0:80"),
        ({"other_family": ("https://v6.ports.example",)}, "other_family names https://v6.ports.example"),
        ({"hosts": ("*.example",)}, "without *, scheme or port"),
        ({"hosts": ("https://ports.example",)}, "without *, scheme or port"),
        ({"quotas": {"ports": 4096, "at_once": 50}}, "a port scanner"),
        ({"quotas": {"address": "100/minute", "at_once": 50}}, "burden it"),
        ({"contact": None}, "nobody can complain"),
        ({"targets": ("0.0.0.0/0",)}, "0.0.0.0/0 lets signed-in people"),
        ({"targets": ("127.0.0.1",)}, "127.0.0.1/32 lets signed-in people"),
        ({"webhooks": ("169.254.0.0/16",)}, "169.254.0.0/16 lets signed-in people"),
        ({"targets": ("fd00:ec2::254",)}, "fd00:ec2::254/128 lets signed-in people"),
        ({"secret": "hunter2"}, "secret can be guessed"),
        ({"listen": "0.0.0.0:80", "trusted_proxies": ()}, "unencrypted"),
        ({"shared": "redis://store:6379"}, "store asks for no password"),
        ({"metrics": "all"}, "anybody can read /metrics"),
        ({"logs": {"addresses": "full"}}, "personal data"),
        ({"connections": {"all": 1_000_000}, "quotas": {"at_once": 1_000_000}}, "files can be open"),
    ],
)
def test_what_is_unsafe_is_said(check: Check, given: dict[str, Any], said: str) -> None:
    assert any(said in one for one in unsafe(check(**given)))


def test_a_provider_that_nobody_may_use(check: Check) -> None:
    openid = {"issuer": "https://id.example", "client_id": "a", "client_secret": "b"}
    assert any("nobody can sign in" in one for one in unsafe(check(openid=openid)))
    assert unsafe(check(openid={**openid, "allowed": ("ann@example.org",)})) == []


@pytest.mark.parametrize("shared", ["redis://127.0.0.1:6379", "redis://:word@store:6379", "unix:///run/valkey.sock"])
def test_a_store_that_is_near_or_asks_for_a_password_is_sound(check: Check, shared: str) -> None:
    assert unsafe(check(shared=shared)) == []


def test_root_is_not_needed(check: Check, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert any("as root" in one for one in unsafe(check()))
    assert unsafe(check(mode="local", trusted_proxies=(), hosts=())) == []


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604])
def test_a_file_with_secrets_that_others_may_read(check: Check, tmp_path: Path, mode: int) -> None:
    path = tmp_path / "portbook.toml"
    path.touch()
    path.chmod(mode)
    told = {"secret": "x" * 40}
    assert any(str(path) in one for one in unsafe(check(str(path), **told)))
    assert unsafe(check(str(path))) == []
    path.chmod(0o600)
    assert unsafe(check(str(path), **told)) == []


def test_a_data_folder_that_others_may_look_into(check: Check, tmp_path: Path) -> None:
    folder = tmp_path / "serve"
    folder.mkdir()
    folder.chmod(0o755)
    assert any(str(folder) in one for one in unsafe(check()))
    folder.chmod(0o700)
    assert unsafe(check()) == []


def test_a_data_folder_that_cannot_be_written(check: Check, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert any("cannot be written" in one for one in unsafe(check(data=str(tmp_path / "file" / "serve"))))


def test_a_server_behind_a_gateway_has_to_know_its_address(check: Check, monkeypatch: pytest.MonkeyPatch) -> None:
    def goes_from(ipv4: str | None, ipv6: str | None) -> None:
        monkeypatch.setattr(checking, "_goes_from", {4: ipv4, 6: ipv6}.__getitem__)

    goes_from("192.168.1.2", None)
    assert ["IPv4" in one and "set addresses" in one for one in unsafe(check(addresses=()))] == [True]
    assert unsafe(check(addresses=("8.8.4.4",))) == []
    goes_from("8.8.4.4", "fd00::2")
    assert ["IPv6" in one for one in unsafe(check(addresses=()))] == [True]
    assert len(unsafe(check(addresses=("8.8.4.4",)))) == 1
    goes_from("8.8.4.4", "2606:4700::1")
    assert unsafe(check(addresses=())) == []


def test_to_look_up_a_route_sends_nothing_and_needs_none() -> None:
    for version in (4, 6):
        found = checking._goes_from(version)
        assert found is None or ip_address(found).version == version


def test_a_host_that_takes_any_address_cannot_tell_its_own(check: Check, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checking, "is_own", lambda ip: True)
    assert any("ip_nonlocal_bind" in one for one in unsafe(check()))


def test_a_misspelt_setting_of_the_environment(check: Check) -> None:
    environ = {
        "PORTBOOK_TRUSTED_PROXY": "10.0.0.1",
        "PORTBOOK_QUOTAS__PORTS": "10",
        "portbook_mode": "lan",
        "PATH": "",
    }
    found = unsafe(check(environ={**environ, "PORTBOOK_PURE": "1"}))
    assert len(found) == 1
    assert "PORTBOOK_TRUSTED_PROXY" in found[0]
