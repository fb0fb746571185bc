from __future__ import annotations

import runpy
import sys
from pathlib import Path

import pytest

HARNESSES = sorted((Path(__file__).parent.parent / "fuzz").glob("fuzz_*.py"))


@pytest.mark.parametrize("harness", HARNESSES, ids=lambda path: str(path.stem))
def test_a_harness_finds_nothing_in_a_short_run(harness: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(harness.parent)
    monkeypatch.setattr(sys, "argv", [str(harness), "500"])
    runpy.run_path(str(harness), run_name="__main__")


def test_there_are_harnesses() -> None:
    assert {"fuzz_sock_diag", "fuzz_procnet"} <= {path.stem for path in HARNESSES}
