"""What a stranger installs: the wheel built from the tree, here where there is no compiler."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from portbook.registry.about import LANGUAGES

ROOT = Path(__file__).parent.parent


def tracked_files() -> list[str]:
    """Return the files of the project as git tracks them, or as they lie where there is no git."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=False)
    if listed.returncode == 0:
        return [name for name in listed.stdout.decode().split("\0") if name]
    return [str(path.relative_to(ROOT)) for path in ROOT.rglob("*") if path.is_file() and ".venv" not in path.parts]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Returns the wheel that pip builds from a copy of the tree with a compiler that fails."""
    tree, wheels = tmp_path_factory.mktemp("tree"), tmp_path_factory.mktemp("wheels")
    for name in tracked_files():
        source, target = ROOT / name, tree / name
        if source.exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(source.read_bytes())
    command = [
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "--no-deps",
        "--no-build-isolation",
        "-w",
        str(wheels),
        str(tree),
    ]
    done = subprocess.run(
        command, env={**os.environ, "CC": "/bin/false"}, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr
    [built] = wheels.iterdir()
    return built


def test_the_wheel_holds_what_runs_and_nothing_else(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    for wanted in (
        "portbook/registry/iana.tsv",
        *(f"portbook/registry/about.{language}.tsv" for language in LANGUAGES),
        "portbook/locale/languages.tsv",
        "portbook/web/static/learn.css",
        "portbook/web/templates/learn.html",
        "portbook/web/templates/pictures/pair.svg",
        "portbook/locale/fr/LC_MESSAGES/portbook.mo",
        "portbook/cli/completion/portbook.zsh",
        "portbook/py.typed",
    ):
        assert wanted in names
    assert any(name.endswith("share/man/fr/man1/portbook.1") for name in names)
    assert not [name for name in names if name.endswith((".c", ".so")) or name.startswith("tests")]


def test_without_a_compiler_it_is_right_all_the_same(wheel: Path, tmp_path: Path) -> None:
    zipfile.ZipFile(wheel).extractall(tmp_path)
    environ = {"PATH": os.environ["PATH"], "PYTHONPATH": str(tmp_path), "LC_ALL": "fr_FR.UTF-8"}

    def run(*arguments: str) -> str:
        command = [sys.executable, "-P", "-m", "portbook", *arguments]
        return subprocess.run(command, env=environ, capture_output=True, text=True, timeout=60, check=True).stdout

    assert "compiled parts: none" in run("--version")
    assert "https" in run("what", "443")
    assert "écouter" in run("what", "443", "--about")
    assert run("sockets", "-s").startswith("Transport")
