from __future__ import annotations

import os
import pty
import signal
import socket

from .doors import running

WATCH = ("talks", "--watch", "0.1")


def test_in_a_pipe_the_answers_follow_each_other_until_ctrl_c() -> None:
    with running(*WATCH, "--format", "csv") as process:
        assert process.stdout is not None
        headings = 0
        for line in process.stdout:
            headings += line.startswith("transport,")
            if headings == 3:
                break
        assert headings == 3
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=30)
    assert process.returncode == 0
    assert "Traceback" not in err


def test_on_a_terminal_each_takes_the_place_of_the_last() -> None:
    outer, inner = pty.openpty()
    environ = {"TERM": "xterm", "COLUMNS": "100", "LINES": "30"}
    with running(*WATCH, "--netns", "all", stdout=inner, **environ) as process:
        os.close(inner)
        written = b""
        while b"\x1b[?1049h" not in written:
            written += os.read(outer, 65536)
        process.send_signal(signal.SIGINT)
        try:
            while part := os.read(outer, 65536):
                written += part
        except OSError:
            pass  # the other end is gone
        _, err = process.communicate(timeout=30)
    os.close(outer)
    assert process.returncode == 0
    assert "Traceback" not in err
    assert b"\x1b[?25h" in written
    assert b"\x1b[?1049l" in written


def test_on_a_terminal_the_newest_answer_stands_alone() -> None:
    outer, inner = pty.openpty()
    environ = {"TERM": "xterm", "COLUMNS": "200", "LINES": "12"}
    with (
        socket.create_server(("127.0.0.1", 0)) as server,
        socket.create_connection(server.getsockname()) as client,
        running(
            *WATCH, str(server.getsockname()[1]), "--netns", str(os.getpid()), stdout=inner, **environ
        ) as process,
    ):
        os.close(inner)
        written = b""
        end = f"127.0.0.1:{client.getsockname()[1]}".encode()
        while written.count(end) < 3:
            written += os.read(outer, 65536)
        process.send_signal(signal.SIGINT)
    os.close(outer)
    # Each answer begins at the top left and fills the screen.
    first, second = written.split(b"\x1b[1;1H")[1:3]
    assert (first.count(end), second.count(end)) == (1, 1)
    assert b"\x1b[12;1H" in first
    assert b"\x1b[13;1H" not in first
