from __future__ import annotations

import os
import pty
import signal
import subprocess
import sys
import time

WATCH = [sys.executable, "-m", "portbook", "talks", "--watch", "0.1"]


def test_in_a_pipe_the_answers_follow_each_other_until_ctrl_c() -> None:
    with subprocess.Popen([*WATCH, "--format", "csv"], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        headings = 0
        while headings < 3:
            headings += process.stdout.readline().startswith("transport,")
        process.send_signal(signal.SIGINT)
        process.stdout.read()
        assert process.wait(timeout=30) == 0


def test_on_a_terminal_each_takes_the_place_of_the_last() -> None:
    outer, inner = pty.openpty()
    environ = {**os.environ, "TERM": "xterm", "COLUMNS": "100", "LINES": "30"}
    with subprocess.Popen([*WATCH, "--netns", "all"], stdout=inner, stderr=subprocess.PIPE, env=environ) as process:
        os.close(inner)
        written = b""
        deadline = time.monotonic() + 30
        while b"\x1b[?1049h" not in written and time.monotonic() < deadline:
            written += os.read(outer, 65536)
        process.send_signal(signal.SIGINT)
        try:
            while part := os.read(outer, 65536):
                written += part
        except OSError:
            pass
        assert process.wait(timeout=30) == 0
        assert process.stderr is not None
        assert b"Traceback" not in process.stderr.read()
    os.close(outer)
    assert b"\x1b[?1049l" in written
