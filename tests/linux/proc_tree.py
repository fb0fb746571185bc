"""A made-up /proc for the tests of portbook.linux."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


class Tree:
    """A made-up /proc below a folder of the test's own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.path = str(folder)

    def write(self, path: str, data: bytes | str) -> None:
        file = self.folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(data if isinstance(data, bytes) else data.encode())

    def link(self, path: str, target: str) -> None:
        link = self.folder / path
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(target)

    def process(
        self,
        pid: int,
        name: bytes = b"name",
        command: bytes = b"",
        cgroup: str = "/",
        inodes: tuple[int, ...] = (),
        ticks: int = 250,
    ) -> None:
        """Make a process that holds sockets and has started so many ticks after the boot."""
        after = b"S 1 1 1 0 -1 4194560 0 0 0 0 0 0 0 0 20 0 1 0 %d 0 0" % ticks
        self.write(f"{pid}/stat", b"%d (%s) %s" % (pid, name, after))
        self.write(f"{pid}/status", b"Name:\t" + name.replace(b"\n", b"\\n") + b"\nUid:\t5\t1000\t5\t5\n")
        self.write(f"{pid}/comm", name + b"\n")
        self.write(f"{pid}/cmdline", command)
        self.write(f"{pid}/cgroup", f"0::{cgroup}\n")
        (self.folder / f"{pid}/fd").mkdir(exist_ok=True)
        for number, inode in enumerate(inodes):
            self.link(f"{pid}/fd/{number}", f"socket:[{inode}]")
