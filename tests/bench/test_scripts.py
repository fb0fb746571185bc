"""The benchmarks run, print what they should, and leave nothing behind; what they measure is not asked here."""

from __future__ import annotations

import importlib
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Sequence

BENCH = Path(__file__).parents[2] / "bench"
SMALL = ("--rounds", "1", "--sockets", "400")
PAGE = "before\n<!-- results of bench/report.py: begin -->\n{}<!-- results of bench/report.py: end -->\nafter\n"

if not sys.platform.startswith("linux"):
    pytest.skip("the benchmarks are of Linux", allow_module_level=True)

beside_ss = pytest.mark.skipif(not shutil.which("ss"), reason="ss is not installed")


def printed(script: str, *options: str) -> str:
    """Return what a script prints; it must end well."""
    done = subprocess.run([sys.executable, BENCH / script, *options], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def verdicts(text: str) -> dict[str, str]:
    """Return the verdict on each measure: the lines below the second headings."""
    _, _, below = text.partition("\nmeasure  ")
    return {line.split("  ")[0]: line.rsplit("  ", 1)[1].strip() for line in below.splitlines()[1:]}


@pytest.fixture
def imported(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return the import of a script by its name."""
    monkeypatch.syspath_prepend(str(BENCH))
    return importlib.import_module


def established(host: str) -> int:
    """Return how many established TCP sockets have this address."""
    packed = f"{int.from_bytes(socket.inet_aton(host), sys.byteorder):08X}"
    lines = Path("/proc/net/tcp").read_text(encoding="ascii").splitlines()[1:]
    return sum(line.split()[1].startswith(packed) and line.split()[3] == "01" for line in lines)


@pytest.mark.parametrize(
    ("script", "options", "measures"),
    [
        ("bench_startup.py", SMALL[:2], ["portbook what 443 against python3 -c pass"]),
        ("bench_quiet.py", SMALL[:2], ["portbook sockets -tan"]),
        (
            "bench_growth.py",
            ("--rounds", "1", "--sockets", "200", "400"),
            ["exponent of portbook sockets -tan, 2 crowds (1 is linear)"],
        ),
        (
            "bench_crowd.py",
            SMALL,
            [
                "portbook sockets -tan against ss -tan",
                "portbook sockets -tanp against ss -tanp",
                "portbook sockets -tanp against netstat -tanp",
                "portbook sockets -tan --format ndjson against ss -tan",
                "peak memory of portbook sockets -tan",
                "peak memory of portbook sockets -tanp",
                "peak memory of portbook sockets -tan --format ndjson",
                "peak memory of portbook sockets -tanp --format ndjson",
            ],
        ),
    ],
)
@beside_ss
def test_a_script_prints_the_machine_and_a_verdict_on_each_bar(
    script: str, options: Sequence[str], measures: list[str]
) -> None:
    told = printed(script, *options)
    assert re.search(r"^.+ cores, \d+ GiB; Linux .+; Python 3\.", told, re.MULTILINE)
    found = verdicts(told)
    assert list(found) == measures
    without_netstat = {name for name in measures if "netstat" in name and not shutil.which("netstat")}
    for name, verdict in found.items():
        assert verdict in (("not measured",) if name in without_netstat else ("met", "missed"))


@pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("nft"), reason="it needs root and nft")
def test_ports_are_reached_and_none_is_missed() -> None:
    before = set(os.listdir("/run/netns")) if os.path.isdir("/run/netns") else set()
    told = verdicts(printed("bench_reach.py", "--rounds", "1", "--runs", "1", "--ports", "100"))
    missed = {name: verdict for name, verdict in told.items() if "missed" in name}
    assert len(missed) == 3
    assert set(missed.values()) == {"met"}
    assert set(told.values()) <= {"met", "missed", "not measured"}
    mine = {name for name in os.listdir("/run/netns") if name.startswith("portbook-bench-")}
    assert mine <= before


def test_the_twins_are_compared_on_the_same_bytes() -> None:
    found = verdicts(printed("bench_twins.py", *SMALL))
    assert set(found.values()) <= {"met", "missed", "not measured"}
    assert "decode a netlink dump, twin against reference" in found


@beside_ss
def test_other_questions_are_timed_without_a_bar() -> None:
    told = printed("bench_where.py", *SMALL)
    for question in ("portbook sockets -tan --where", "portbook talks", "portbook who"):
        assert re.search(rf"^{question} +\d", told, re.MULTILINE)
    assert "verdict" not in told


def test_commands_of_ones_own_are_measured_side_by_side() -> None:
    nap = f"{sys.executable} -c 'import time; time.sleep(0.2); print(6 * \"x\")'"
    told = printed("side_by_side.py", "--rounds", "3", f"{sys.executable} -c pass", nap)
    first, second = (line.split() for line in told.splitlines()[-2:])
    assert first[-1] == "1.00"
    assert float(second[-1]) > 1


def test_a_command_that_fails_is_no_measure() -> None:
    failing = f"{sys.executable} -c 'raise SystemExit(\"no\")'"
    done = subprocess.run(
        [sys.executable, BENCH / "side_by_side.py", failing], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert "ended with 1: no" in done.stderr


def test_a_command_that_is_not_installed_is_left_out(imported: Any, capsys: pytest.CaptureFixture[str]) -> None:
    side_by_side = imported("side_by_side")
    runs = side_by_side.measure({"absent": ["portbook-is-not-this"], "here": [sys.executable, "-c", "pass"]}, 1)
    assert list(runs) == ["here"]
    assert "absent is left out" in capsys.readouterr().err
    assert side_by_side.ratio(runs, "here", "absent") is None


def test_a_ratio_is_the_median_of_the_rounds(imported: Any) -> None:
    side_by_side = imported("side_by_side")
    one, other = ([side_by_side.Run(wall, 0, 0, 0) for wall in walls] for walls in ((2, 30, 4), (1, 10, 4)))
    assert side_by_side.ratio({"one": one, "other": other}, "one", "other") == 2


def test_the_exponent_tells_linear_growth_from_quadratic(imported: Any) -> None:
    exponent = imported("bench_growth").exponent
    assert exponent({count: count * 3e-6 for count in (10, 50, 100)}) == pytest.approx(1)
    assert exponent({count: count**2 * 3e-6 for count in (10, 50, 100)}) == pytest.approx(2)


def test_a_bar_is_met_at_its_limit_unless_it_is_strict(imported: Any) -> None:
    bar = imported("printed").Bar
    assert bar("a", 4.0, 4, "times").verdict == "met"
    assert bar("a", 4.0, 4, "times", strict=True).verdict == "missed"
    assert bar("a", 4.1, 4, "times").verdict == "missed"
    assert bar("a", None, 4, "times").verdict == "not measured"


def test_a_crowd_stands_and_is_gone_afterwards(imported: Any) -> None:
    crowd = imported("crowd")
    before = established(crowd.address(0))
    with crowd.crowd(300) as pids:
        assert established(crowd.address(0)) - before == 300
        assert all(Path(f"/proc/{pid}").exists() for pid in pids)
    assert established(crowd.address(0)) == before
    assert not any(Path(f"/proc/{pid}").exists() for pid in pids)


def test_the_connections_are_shared_out_so_that_no_process_has_too_many(imported: Any) -> None:
    shares = imported("crowd").shares(50_000)
    assert sum(shares) == 50_000
    assert len(shares) >= 5
    assert max(shares) - min(shares) <= 1


@pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_a_crowd_is_gone_when_its_maker_is_ended(end: signal.Signals) -> None:
    made = subprocess.Popen(
        [sys.executable, BENCH / "crowd.py", "200"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    with made:
        assert made.stdout is not None
        told = made.stdout.readline()
        member = int(told.split()[-1])
        assert told.startswith("200 sockets stand")
        os.kill(made.pid, end)
    deadline = time.monotonic() + 20
    while alive(member) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not alive(member)


def alive(pid: int) -> bool:
    """Whether a process runs: one that has ended may wait for a parent to ask how."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_what_the_machine_cannot_hold_is_not_tried(imported: Any) -> None:
    crowd = imported("crowd")
    assert crowd.obstacle(100) is None
    assert "GB" in crowd.obstacle(10**12)


@beside_ss
def test_the_report_replaces_its_own_sections_only(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(PAGE.format("\n### `bench_crowd.py`\n\nOn a day:\n\n### `bench_quiet.py`\n\nold\n\n"))
    printed("report.py", "quiet", "--rounds", "1", "--page", str(page))
    written = page.read_text()
    assert written.startswith("before\n")
    assert written.endswith("-->\nafter\n")
    assert "old" not in written
    assert written.index("bench_quiet.py") < written.index("### `bench_crowd.py`\n\nOn a day:\n\n")
    assert re.search(r"```text\nA quiet machine: .*\n```\n", written, re.DOTALL)


def test_the_report_refuses_a_page_without_its_markers(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("nothing of ours\n")
    done = subprocess.run(
        [sys.executable, BENCH / "report.py", "quiet", "--page", page], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert "it has no markers" in done.stderr
    assert page.read_text() == "nothing of ours\n"
