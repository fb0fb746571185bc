"""`portbook test` at a terminal: its progress, colours and width, and what a server may not send there."""

from __future__ import annotations

import pytest

from .doors import HOME, Greeter, closed, greeter, silent
from .terminal import at_terminal, plain


def test_a_terminal_sees_progress_and_then_the_table_alone(ssh: Greeter) -> None:
    with closed(60) as ports, silent() as port:
        code, said = at_terminal(
            100, "test", HOME, "-p", ",".join(map(str, (ssh.port, port, *ports))), "--no-identify"
        )
    assert code == 0
    assert "/62" in said
    table = plain(said.rpartition("/62")[2])
    assert any(str(ssh.port) in line and "open" in line for line in table)
    assert any(str(port) in line and "filtered" in line for line in table)


def test_states_have_colours_at_a_terminal(ssh: Greeter, shut: int) -> None:
    question = (HOME, "-p", f"{ssh.port},{shut}")
    _, said = at_terminal(100, "test", *question)
    assert "\x1b[32mopen" in said
    assert "\x1b[2mclosed" in said
    assert "\x1b[32m" not in at_terminal(100, "test", *question, NO_COLOR="1")[1]


@pytest.mark.parametrize("width", [20, 40, 60, 80])
def test_a_narrow_terminal_keeps_port_and_state_and_says_what_it_left_out(
    width: int, ssh: Greeter, shut: int
) -> None:
    _, said = at_terminal(width, "test", HOME, "-p", f"{ssh.port},{shut}")
    lines = [line.rstrip() for line in plain(said)]
    table = [line for line in lines if line and not line.startswith("portbook:")]
    assert len(table) == 3
    assert max(map(len, table)) <= width
    port = str(ssh.port) if width > 20 else f"{str(ssh.port)[:2]}…"
    assert any(port in line and "open" in line for line in table)
    if width <= 60:
        assert "--columns" in " ".join(lines)


def test_a_terminal_is_sent_no_escape_of_a_server() -> None:
    with greeter(greeting=b"\x1b]0;owned\x07\x1b[2J220 evil\r\n") as server:
        _, said = at_terminal(200, "test", f"{HOME}:{server.port}", "--columns", "port,banner,product,note")
    assert "\x1b]0" not in said
    assert "\x1b[2J" not in said
