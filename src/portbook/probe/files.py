"""How many files this process may open, sockets among them: the kernel counts them together."""

from __future__ import annotations

import resource

from portbook.errors import N_, Unavailable

SPARE_FILES = 64
"""Left to all that is no connection."""

_UNLIMITED = 1 << 20


def room_for_files() -> int:
    """Return how many more files this process may open; the limit is raised to the hard one first."""
    soft, hard = (_UNLIMITED if limit == resource.RLIM_INFINITY else limit for limit in _limits())
    if soft < hard:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, _limits()[1]))
            soft = hard
        except (ValueError, OSError):
            pass  # more than the system has for any process
    return max(1, soft - min(SPARE_FILES, soft // 2))


def _limits() -> tuple[int, int]:
    return resource.getrlimit(resource.RLIMIT_NOFILE)


def no_files(error: OSError) -> Unavailable:
    """Return what is to be said where not even one more can be opened."""
    return Unavailable(
        N_("no connection can be begun: {reason}; close other programs or raise the limit of open files (ulimit -n)"),
        reason=error.strerror,
    )
