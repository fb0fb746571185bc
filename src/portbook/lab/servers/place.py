"""The place of a server: directories that it finds empty, files that it finds at fixed paths, the user that it is.

All of it is for its own processes, in a mount namespace of theirs, and ends with them.
"""

from __future__ import annotations

import os

from portbook.lab import namespaces

TYPE_CHECKING = False
if TYPE_CHECKING:
    from portbook.lab.servers.program import Program


def furnish(program: Program, folder: str) -> None:
    """Make this process one of a program's: at its place, and as its user. Raises OSError, KeyError for no user."""
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
        os.initgroups(user.pw_name, user.pw_gid)
        os.setresgid(user.pw_gid, user.pw_gid, user.pw_gid)
        os.setresuid(user.pw_uid, user.pw_uid, user.pw_uid)


def give(folder: str, user: str) -> None:
    """Make a folder and all that is in it a user's. Raises OSError, KeyError where there is no such user."""
    import pwd

    found = pwd.getpwnam(user)
    os.chown(folder, found.pw_uid, found.pw_gid)
    for parent, folders, files in os.walk(folder):
        for name in (*folders, *files):
            os.chown(os.path.join(parent, name), found.pw_uid, found.pw_gid, follow_symlinks=False)
