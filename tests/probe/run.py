"""Runs of Reach inside hosts, in children of their own: with rights, without them, or with few files."""

from __future__ import annotations

import resource
from typing import TYPE_CHECKING, Any

from portbook.probe.reach import Limits, Reach
from tests.linux.children import drop_rights, in_child

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from contextlib import AbstractContextManager

    Address = tuple[str, int]


_STAYED: list[object] = []
"""A child without rights cannot leave a host again, and must not try."""


def reached(
    inside: Callable[[], AbstractContextManager[object]],
    ports: Sequence[Address],
    limits: Limits | None = None,
    likely: Iterable[Address] = (),
    unprivileged: bool = False,
    files: int | None = None,
) -> tuple[dict[Address, Any], float]:
    """Return each outcome by its address, each of which came once, and how likely one was missed."""

    def body() -> object:
        here = inside()
        here.__enter__()
        _STAYED.append(here)
        if unprivileged:
            drop_rights()
        if files is not None:
            resource.setrlimit(resource.RLIMIT_NOFILE, (files, files))
        reach = Reach(limits or Limits(self_clocked=True))
        return [tuple(outcome) for outcome in reach.outcomes(ports, likely)], reach.missed

    outcomes, missed = in_child(body)
    found = {outcome[0]: outcome for outcome in outcomes}
    assert len(found) == len(outcomes)
    return found, missed
