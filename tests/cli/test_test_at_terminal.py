"""`portbook test` at a terminal: its progress, colours and width, and what a server may not send there."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import struct
import subprocess
import sys
import termios

import pytest

from .doors import HOME, Greeter, closed, greeter, silent


def at_terminal(width: int, *arguments: str, **environ: str) -> tuple[int, str]:
    """Run a command line at a terminal of that width; return its exit code and what the terminal was sent."""
    terminal, line = pty.openpty()
    fcntl.ioctl(line, termios.TIOCSWINSZ, struct.pack("HHHH", 24, width, 0, 0))
    kept = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "LINES", "NO_COLOR")}
    process = subprocess.Popen(
        [sys.executable, "-m", "portbook", "test", *arguments],
        stdin=line,
        stdout=line,
        stderr=line,
        env={**kept, "LC_ALL": "C.UTF-8", "LANGUAGE": "en", "TERM": "xterm-256color", **environ},
    )
    os.close(line)
    said = b""
    try:
        while data := os.read(terminal, 65536):
            said += data
    except OSError:
        pass  # the other end is gone
    finally:
        os.close(terminal)
    return process.wait(), said.decode()


def plain(text: str) -> str:
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text)


def test_a_terminal_sees_progress_and_then_the_table_alone(ssh: Greeter) -> None:
    with closed(60) as ports, silent() as port:
        code, said = at_terminal(100, HOME, "-p", ",".join(map(str, (ssh.port, port, *ports))), "--no-identify")
    assert code == 0
    assert "/62" in said
    assert f"{ssh.port}" in plain(said.rpartition("/62")[2])
    assert "filtered" in plain(said.rpartition("/62")[2])


def test_states_have_colours_at_a_terminal(ssh: Greeter, shut: int) -> None:
    question = (HOME, "-p", f"{ssh.port},{shut}")
    _, said = at_terminal(100, *question)
    assert "\x1b[32mopen" in said
    assert "\x1b[2mclosed" in said
    assert "\x1b[32m" not in at_terminal(100, *question, NO_COLOR="1")[1]


@pytest.mark.parametrize("width", [20, 40, 60, 80])
def test_a_narrow_terminal_keeps_port_and_state_and_says_what_it_left_out(
    width: int, ssh: Greeter, shut: int
) -> None:
    _, said = at_terminal(width, HOME, "-p", f"{ssh.port},{shut}")
    lines = [line.rstrip() for line in plain(said).splitlines()]
    table = [line for line in lines if line and not line.startswith("portbook:")]
    assert any(str(ssh.port) in line and "open" in line for line in table[:4]) or width == 20
    if width < 60:
        assert "--columns" in " ".join(lines)


def test_a_terminal_is_sent_no_escape_of_a_server() -> None:
    with greeter(greeting=b"\x1b]0;owned\x07\x1b[2J220 evil\r\n") as server:
        _, said = at_terminal(200, f"{HOME}:{server.port}", "--columns", "port,banner,product,note")
    assert "\x1b]0" not in said
    assert "\x1b[2J" not in said
