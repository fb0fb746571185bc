"""Worker processes of a real server: what they share, and what happens when one, all, or their parent end."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from threading import Thread

import httpx
import pytest

from portbook.errors import BadQuestion, Unavailable
from portbook.web.settings import read_settings
from portbook.web.workers import Crew, Tether, supervise

from .. import servers
from ..linux.children import in_child
from .boards import tell, url
from .processes import Serving, command, environment, eventually, is_alive, started

pytestmark = pytest.mark.servers

TWO = 2


@pytest.fixture(scope="module")
def store() -> Iterator[servers.Server]:
    with servers.redis() as server:
        yield server


@pytest.fixture
def serving(store: servers.Server, tmp_path: Path) -> Iterator[Serving]:
    tell(store, "flushall")
    with started(tmp_path, workers=TWO, shared=url(store)) as server:
        assert eventually(lambda: len(server.workers) == TWO)
        yield server


@contextmanager
def silent() -> Iterator[int]:
    """Give a port that accepts and says nothing, so that a test of it goes on for a while."""
    with socket.create_server(("127.0.0.1", 0), backlog=1024) as server:
        yield int(server.getsockname()[1])


def test_workers_without_a_store_are_refused_with_one_line(tmp_path: Path) -> None:
    with pytest.raises(BadQuestion, match="shared"):
        read_settings(None, {"workers": TWO, "data": str(tmp_path)})
    done = subprocess.run(
        command("serve", "--workers", "2"), env=environment(tmp_path), capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1
    assert "2 workers" in done.stderr


def test_a_store_that_is_not_there_is_told_with_one_line(tmp_path: Path) -> None:
    done = subprocess.run(
        command("serve", "--listen", f"127.0.0.1:{servers.free_port()}"),
        env=environment(tmp_path, shared=f"redis://127.0.0.1:{servers.free_port()}"),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode != 0
    assert "cannot be reached" in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr


def test_two_servers_share_quotas_and_tests_in_flight(store: servers.Server, tmp_path: Path) -> None:
    tell(store, "flushall")
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    given = {"shared": url(store), "quotas__address": "1/hour", "quotas__cached": "0"}
    with started(tmp_path / "a", **given) as here, started(tmp_path / "b", **given) as there, silent() as port:
        run = here.begin(str(port))
        assert there.begin("1") == run
        events: list[str] = []
        with httpx.stream("GET", f"{there.url}/api/v1/tests/{run}/events", timeout=60) as stream:
            for line in stream.iter_lines():
                if line.startswith("event:"):
                    events.append(line.partition(":")[2].strip())
                if events and events[-1] == "over":
                    break
        # One port: asked for, open, and what speaks there.
        assert events == ["asked", "test", "test", "over"]
        assert there.result(run)["tests"] == here.result(run)["tests"]
        refused = [
            httpx.post(f"{one.url}/api/v1/tests", json={"ports": "1"}, timeout=60).status_code
            for one in (here, there)
        ]
    assert refused == [429, 429]


def test_a_worker_that_is_killed_is_begun_again_and_the_other_goes_on(serving: Serving) -> None:
    before = serving.workers
    victim, other = sorted(before)
    os.kill(victim, signal.SIGKILL)
    assert all(serving.answers() for _ in range(20))
    assert eventually(lambda: len(serving.workers) == TWO)
    assert other in serving.workers
    assert victim not in serving.workers
    assert f"worker {victim} ended with -9" in serving.log.read_text()


def test_the_readers_of_a_killed_workers_run_are_told_that_it_is_over(serving: Serving) -> None:
    with silent() as port:
        run = serving.begin(str(port))
        # Both are: the run was that of one of them. What takes their places does not know it.
        for pid in serving.workers:
            os.kill(pid, signal.SIGKILL)
        assert eventually(lambda: len(serving.workers) == TWO and serving.answers())
        assert eventually(lambda: "stopped during the test" in str(serving.result(run)["note"]))

        def is_free() -> bool:
            return serving.begin(str(port)) != run

        assert eventually(is_free)


def test_workers_end_when_their_parent_is_killed(serving: Serving) -> None:
    workers = serving.workers
    serving.running.kill()
    serving.running.wait()
    assert eventually(lambda: not any(map(is_alive, workers)))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("workers", [1, TWO])
def test_the_end_is_told_to_who_reads(
    store: servers.Server, tmp_path: Path, workers: int, number: signal.Signals
) -> None:
    tell(store, "flushall")
    lines: list[str] = []

    def read(address: str) -> None:
        with httpx.stream("GET", address, timeout=60) as stream:
            lines.extend(stream.iter_lines())

    with started(tmp_path, workers=workers, shared=url(store)) as server, silent() as port:
        run = server.begin(str(port))
        reading = Thread(target=read, args=(f"{server.url}/api/v1/tests/{run}/events",))
        reading.start()
        assert eventually(lambda: server.result(run)["tests"])
        workers_before = server.workers
        assert server.end(number) == 0
        reading.join(30)
        assert not any(map(is_alive, workers_before))
        assert "Traceback" not in server.log.read_text()
    assert "event: over" in lines


def test_hang_up_renews_the_workers_and_loses_nothing(serving: Serving) -> None:
    before = serving.workers
    with silent() as port:
        run = serving.begin(str(port))
        failed: list[int] = []
        asked = 0
        os.kill(serving.running.pid, signal.SIGHUP)
        until = time.monotonic() + 60
        while (not serving.result(run)["over"] or serving.workers & before) and time.monotonic() < until:
            asked += 1
            if not serving.answers():
                failed.append(asked)
        assert not serving.workers & before
        assert failed == []
        assert serving.result(run)["note"] is None
        assert [row["state"] for row in serving.result(run)["tests"]] == ["open"]
    assert len(serving.workers) == TWO


def test_hang_up_with_settings_that_are_wrong_changes_nothing(store: servers.Server, tmp_path: Path) -> None:
    file = tmp_path / "portbook.toml"
    file.write_text(f'workers = 2\nshared = "{url(store)}"\ndata = "{tmp_path}/serve"\n')
    port = servers.free_port()
    log = tmp_path / "log"
    with ExitStack() as stack:
        output = stack.enter_context(log.open("wb"))
        words = command("serve", "--listen", f"127.0.0.1:{port}", "--config", str(file))
        running = subprocess.Popen(words, stdout=output, stderr=output, env=environment(tmp_path))
        stack.callback(running.wait)
        stack.callback(running.kill)
        server = Serving(f"http://127.0.0.1:{port}", running, log)
        assert eventually(server.answers)
        before = server.workers
        file.write_text("workers = nonsense")
        running.send_signal(signal.SIGHUP)
        assert eventually(lambda: "settings cannot be renewed" in log.read_text())
        assert server.answers()
        assert server.workers == before
        assert server.end() == 0


def never_answers(tether: Tether) -> None:
    raise ValueError(f"{tether.ready}")


def test_workers_that_never_begin_are_given_up() -> None:
    def whole() -> str:
        crew = Crew(TWO, never_answers)
        try:
            supervise(crew, lambda: crew)
        except Unavailable as error:
            return error.message
        return ""

    assert "as soon as they begin" in in_child(whole)
