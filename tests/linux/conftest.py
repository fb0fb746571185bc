"""What the tests of portbook.linux share."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from .proc_tree import Tree

if not sys.platform.startswith("linux"):
    collect_ignore_glob = ["*"]


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    made = Tree(tmp_path / "proc")
    made.write("stat", "cpu 1 2 3\nbtime 1700000000\nprocesses 9\n")
    return made
