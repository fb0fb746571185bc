"""The script that writes iana.tsv: from the package to the same bytes every time."""

from __future__ import annotations

import json
import runpy
import sys
from pathlib import Path

import pytest

from portbook.registry.lines import body, is_whole

SCRIPT = Path(__file__).parents[2] / "scripts" / "build_registry.py"
PACKAGE = {
    "7/tcp": ["echo", "Echo"],
    "7/udp": ["echo", "Echo"],
    "2/udp": ["", "Reserved"],
    "42/tcp": ["nameserver", "Host  Name\nServer"],
    "42/udp": ["nameserver", "Host Name Server"],
    "66/tcp": ["sql*net", "Oracle SQL*NET"],
    "80/tcp": ["www-http", "World Wide Web HTTP"],
    "80/udp": ["www-http", "World Wide Web HTTP"],
    **{f"{port}/{transport}": ["last", "Last"] for port in (3478, 5349) for transport in ("tcp", "udp")},
}


def run(monkeypatch: pytest.MonkeyPatch, written: Path, *arguments: str) -> int:
    """Run the script with another place for its file and return its exit code."""
    monkeypatch.setattr(sys, "argv", [str(SCRIPT), *arguments])
    main = runpy.run_path(str(SCRIPT))["main"]
    main.__globals__["REGISTRY"] = written
    code: int = main()
    return code


@pytest.fixture
def package(tmp_path: Path) -> Path:
    folder = tmp_path / "package"
    folder.mkdir()
    (folder / "index.json").write_text(json.dumps(PACKAGE))
    (folder / "package.json").write_text(json.dumps({"version": "9.9.9"}))
    return folder


def test_the_same_package_gives_the_same_bytes(
    package: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = tmp_path / "iana.tsv"
    assert run(monkeypatch, written, str(package), "--date", "2026-01-02") == 0
    first = written.read_bytes()
    (package / "index.json").write_text(json.dumps(dict(reversed(PACKAGE.items()))))
    assert run(monkeypatch, written, str(package), "--date", "2026-01-02") == 0
    assert written.read_bytes() == first
    assert is_whole(first)
    assert b"9.9.9" in first
    assert b"\n# date: 2026-01-02\n" in first


def test_names_and_ranges_that_the_package_leaves_out_are_there(
    package: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = tmp_path / "iana.tsv"
    run(monkeypatch, written, str(package), "--date", "2026-01-02")
    lines = body(written.read_bytes()).decode().splitlines()
    assert "2\tudp\t\tReserved" in lines
    assert "7\ttcp,udp\techo\tEcho" in lines
    assert lines.index("42\ttcp,udp\tname\tHost Name Server") + 1 == lines.index(
        "42\ttcp,udp\tnameserver\tHost Name Server"
    )
    assert lines.index("66\ttcp\tsql-net\tOracle SQL*NET") + 1 == lines.index("66\ttcp\tsql*net\tOracle SQL*NET")
    assert "80\ttcp,udp\thttp\tWorld Wide Web HTTP" in lines
    assert "6000-6063\ttcp,udp\tx11\tX Window System" in lines


def test_a_check_compares_and_writes_nothing(package: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written = tmp_path / "iana.tsv"
    asked = (str(package), "--date", "2026-01-02")
    assert run(monkeypatch, written, *asked, "--check") == 1
    assert not written.exists()
    run(monkeypatch, written, *asked)
    assert run(monkeypatch, written, *asked, "--check") == 0
    changed = written.read_bytes().replace(b"Echo", b"Ohce")
    written.write_bytes(changed)
    assert run(monkeypatch, written, *asked, "--check") == 1
    assert written.read_bytes() == changed
