"""What tests of several folders share."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from portbook.linux import processes


@pytest.fixture
def control_group() -> Iterator[Path]:
    """Make a control group of version 2 at the top of the tree, and remove it afterwards."""
    points = [mount.point for mount in processes.mounts() if mount.kind == "cgroup2" and mount.root == "/"]
    if not points or not os.access(points[0], os.W_OK):
        pytest.skip("control groups of version 2 are not mounted, or may not be made")
    made = Path(points[0]) / f"portbook-{os.getpid()}"
    try:
        made.mkdir()
    except OSError as error:
        pytest.skip(f"a control group cannot be made: {error}")
    try:
        yield made
    finally:
        made.rmdir()
