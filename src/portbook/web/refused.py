"""A request that is not answered as it was asked: the status that says so, and when it is worth asking again."""

from __future__ import annotations

from portbook.errors import PortbookError


class Refused(PortbookError):
    """What a visitor may not have, or not now; `retry_after` is in seconds."""

    def __init__(self, status: int, message: str, /, retry_after: int | None = None, **values: object) -> None:
        super().__init__(message, **values)
        self.status = status
        self.retry_after = retry_after
