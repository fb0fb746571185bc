"""Passwords: which may be set, and how they are kept and compared (argon2id, RFC 9106)."""

from __future__ import annotations

import asyncio
import secrets
import unicodedata
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import TypeVar

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from portbook.errors import N_, BadQuestion

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

FEWEST, MOST = 10, 1000
"""Characters of a password."""

_Answer = TypeVar("_Answer")

_hasher = PasswordHasher()
_hashing = ThreadPoolExecutor(2, "argon2")
"""Each hash takes 64 MiB while it is made: so many at once, and the others wait."""


async def hashed(password: str) -> str:
    """Return what is kept of a password. Raises BadQuestion for one that is too short or too long."""
    composed = _composed(password)
    if not FEWEST <= len(composed) <= MOST:
        raise BadQuestion(N_("a password has {fewest} to {most} characters"), fewest=FEWEST, most=MOST)
    return await _in_thread(_hasher.hash, composed)


async def fits(kept: str | None, password: str) -> bool:
    """Whether a password is the one of which `kept` was kept; with None it never is, and costs the same work."""
    nobody = await _in_thread(_nobody, _hasher)
    return await _in_thread(_verify, kept or nobody, _composed(password[: MOST + 1])) and kept is not None


def is_outdated(kept: str) -> bool:
    """Whether a password would be kept with other costs today."""
    return _hasher.check_needs_rehash(kept)


async def _in_thread(work: Callable[..., _Answer], *arguments: object) -> _Answer:
    return await asyncio.get_running_loop().run_in_executor(_hashing, work, *arguments)


def _composed(password: str) -> str:
    """Return a password in one of the forms that keyboards give it (NIST SP 800-63B, section 5.1.1.2)."""
    return unicodedata.normalize("NFKC", password)


def _verify(kept: str, password: str) -> bool:
    try:
        return _hasher.verify(kept, password)
    except (VerificationError, InvalidHashError):
        return False


@cache
def _nobody(hasher: PasswordHasher) -> str:
    """Return what is kept of a password that nobody knows, at the costs of all others."""
    return hasher.hash(secrets.token_urlsafe(32))
