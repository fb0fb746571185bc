"""`portbook serve check` as an operator meets it: lines, and an exit code that a script can ask."""

from __future__ import annotations

from pathlib import Path

import pytest

from .conftest import Ask

LOCAL = ("--listen", "127.0.0.1:8080", "--mode", "local")


@pytest.fixture
def check(ask: Ask, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Ask:
    """Runs `serve check` with a data folder of the test's own."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    monkeypatch.setenv("PORTBOOK_DATA", str(tmp_path / "serve"))
    monkeypatch.setenv("PORTBOOK_CONNECTIONS__ALL", "50")
    monkeypatch.setenv("PORTBOOK_QUOTAS__AT_ONCE", "50")
    return lambda *arguments, **environ: ask("serve", "check", *arguments, **environ)


def test_nothing_unsafe_is_0(check: Ask) -> None:
    answer = check(*LOCAL)
    assert (answer.code, answer.err) == (0, "")
    assert "127.0.0.1:8080" in answer.lines[0]
    assert answer.lines[-1] == "nothing unsafe was found"


def test_something_unsafe_is_1(check: Ask) -> None:
    answer = check("--listen", "0.0.0.0:8080", "--mode", "public")
    assert answer.code == 1
    assert any(line.startswith("unsafe: ") and "contact" in line for line in answer.lines)
    assert "nothing unsafe" not in answer.out


def test_a_file_is_read(check: Ask, tmp_path: Path) -> None:
    path = tmp_path / "portbook.toml"
    path.write_text('mode = "public"\nlisten = "127.0.0.1:81"\ntrusted_proxies = ["0.0.0.0/0"]\n', encoding="utf-8")
    answer = check("--config", str(path))
    assert answer.code == 1
    assert "127.0.0.1:81" in answer.lines[0]
    assert any("0.0.0.0/0" in line for line in answer.lines if line.startswith("unsafe: "))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("mode = ", "cannot be read"),
        ('mode = "open"', "mode"),
        ("colour = 1", "colour"),
        ('listen = "127.0.0.1"', "listen"),
        ('lan = ["8.8.8.0/24"]', "lan"),
        ('addresses = ["ports.example"]', "addresses"),
        ('trusted_proxies = ["proxy"]', "trusted_proxies"),
        ('[quotas]\naddress = "often"', "quotas.address"),
        ("[connections]\nhead = 0", "connections.head"),
        ('listen = "0.0.0.0:80"', "set mode"),
        ("workers = 2", "shared"),
    ],
)
def test_what_cannot_be_read_is_2_and_one_line(check: Ask, tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "portbook.toml"
    path.write_text(text, encoding="utf-8")
    answer = check("--config", str(path))
    assert (answer.code, answer.out) == (2, "")
    assert answer.err.count("\n") == 1
    assert said in answer.err


def test_a_file_that_is_not_there(check: Ask, tmp_path: Path) -> None:
    answer = check("--config", str(tmp_path / "none.toml"))
    assert (answer.code, answer.out) == (2, "")
    assert "none.toml" in answer.err


@pytest.mark.parametrize("arguments", [("--colour",), ("80",), ("--mode", "open")])
def test_what_is_no_question(check: Ask, arguments: tuple[str, ...]) -> None:
    answer = check(*arguments)
    assert answer.code == 2
    assert answer.err.count("\n") == 1


def test_help_says_what_it_is_for(check: Ask) -> None:
    answer = check("--help")
    assert answer.code == 0
    assert "unsafe" in answer.out
    assert "--config" in answer.out


def test_a_hostile_setting_does_nothing_to_the_terminal(check: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PORTBOOK_HOSTS", "a\x1b[2J\u202eb")
    answer = check(*LOCAL)
    assert "\x1b" not in answer.out
    assert "\u202e" not in answer.out


def test_the_unknown_name_in_the_environment_is_told(check: Ask) -> None:
    answer = check(*LOCAL, PORTBOOK_CONTCAT="abuse@ports.example")
    assert answer.code == 1
    assert "PORTBOOK_CONTCAT" in answer.out
