"""`portbook test` in the middle of its work: results that stream, readers that leave, Ctrl-C."""

from __future__ import annotations

import json
import signal
import socket
import threading
import time
from pathlib import Path

import pytest

from .doors import HOME, Greeter, running


def test_results_stream_as_they_come(ssh: Greeter, mute: int) -> None:
    with running("test", HOME, "-p", f"{ssh.port},{mute}", "--no-identify", "--format", "ndjson") as process:
        assert process.stdout is not None
        first = json.loads(process.stdout.readline())
        assert process.poll() is None
        assert (first["port"], first["state"]) == (ssh.port, "open")
        rest = [json.loads(line) for line in process.stdout]
    assert [(row["port"], row["state"]) for row in rest] == [(mute, "filtered")]


def test_a_reader_that_has_enough_is_no_error(ssh: Greeter, mute: int) -> None:
    with running("test", HOME, "-p", f"{ssh.port},{mute}", "--format", "ndjson") as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == ""
        assert process.wait(60) == 0


@pytest.mark.parametrize("style", ["ndjson", "json", "csv"])
def test_ctrl_c_prints_what_is_known(ssh: Greeter, mute: int, style: str, tmp_path: Path) -> None:
    journal = tmp_path / "journal"
    options = ("--no-identify", "--format", style, "--resume", str(journal))
    with running("test", HOME, "-p", f"{ssh.port},{mute}", *options) as process:
        while not (journal.exists() and journal.read_text().count("\n") == 2):
            assert process.poll() is None
            time.sleep(0.005)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    assert process.returncode == 3
    assert "1 of 2" in err
    assert "Traceback" not in err
    assert str(ssh.port) in out
    assert str(mute) not in out


def test_ctrl_c_tells_of_open_ports_whose_service_is_not_known_yet() -> None:
    heard = threading.Event()
    with socket.create_server((HOME, 0)) as server:

        def listen() -> None:
            # The first connection is the test, the next the question what speaks there: it gets no answer.
            for _ in range(2):
                client, _ = server.accept()
                clients.append(client)
            heard.set()

        clients: list[socket.socket] = []
        thread = threading.Thread(target=listen)
        thread.start()
        port = server.getsockname()[1]
        with running("test", f"{HOME}:{port}", "--format", "json") as process:
            assert heard.wait(30)
            process.send_signal(signal.SIGINT)
            out, err = process.communicate(timeout=60)
        thread.join()
        for client in clients:
            client.close()
    assert process.returncode == 3
    assert [(row["port"], row["state"]) for row in json.loads(out)] == [(port, "open")]
    assert "0 of 1" in err
