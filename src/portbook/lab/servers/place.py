"""The place of a server: directories that it finds empty, files that it finds at fixed paths, the user that it is.

All of it is for its own processes, in a mount namespace of theirs, and ends with them.
"""

from __future__ import annotations

import ctypes
import os
from contextlib import suppress

from portbook.lab import namespaces

TYPE_CHECKING = False
if TYPE_CHECKING:
    from portbook.lab.servers.program import Program

_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_RAISE, _CAP_NET_BIND_SERVICE = 47, 2, 10


def furnish(program: Program, folder: str) -> None:
    """Make this process one of a program's: at its place, and as its user, who may have ports below 1024.

    Raises OSError, KeyError where there is no such user.
    """
    _leave_confinement()
    if program.empty or program.binds:
        namespaces.unshare(namespaces.NEW_MOUNTS)
        namespaces.mount("none", "/", None, namespaces.MS_REC | namespaces.MS_PRIVATE)
        for path in program.empty:
            namespaces.mount_empty(path, 0o1777)
        for name, path in program.binds:
            namespaces.mount(f"{folder}/{name}", path, None, namespaces.MS_BIND | namespaces.MS_REC)
    if program.user is not None:
        import pwd

        user = pwd.getpwnam(program.user)
        namespaces.keep_rights()
        os.initgroups(user.pw_name, user.pw_gid)
        os.setresgid(user.pw_gid, user.pw_gid, user.pw_gid)
        os.setresuid(user.pw_uid, user.pw_uid, user.pw_uid)
        # The one right of root's that is left (capabilities(7)); as an ambient one it outlasts execve(2).
        namespaces.set_rights(namespaces.LOW_PORTS, namespaces.LOW_PORTS)
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.prctl(_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_RAISE, _CAP_NET_BIND_SERVICE, 0, 0):
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number))


def _leave_confinement() -> None:
    """Have the next program run without its AppArmor profile, which knows only the places that it has on the machine.

    Nothing happens where the kernel has no AppArmor, or does not let this user.
    """
    with suppress(OSError), open("/proc/self/attr/apparmor/exec", "w", encoding="ascii") as file:
        file.write("exec unconfined")


def give(folder: str, user: str) -> None:
    """Make a folder and all that is in it a user's. Raises OSError, KeyError where there is no such user."""
    import pwd

    found = pwd.getpwnam(user)
    os.chown(folder, found.pw_uid, found.pw_gid)
    for parent, folders, files in os.walk(folder):
        for name in (*folders, *files):
            os.chown(os.path.join(parent, name), found.pw_uid, found.pw_gid, follow_symlinks=False)
