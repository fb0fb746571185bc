"""What the FTP servers of a lab have to give, whichever they are."""

from __future__ import annotations

SMALL, LARGE = "harbour.txt", "logbook.txt"
"""The names of the files. The large one is more than a connection takes in while nobody reads from it."""

_PAGES = 8192


def files() -> dict[str, str]:
    """Return the text of each file by its name; its lines end as those of TYPE A do (RFC 959, section 3.1.1)."""
    ships = "".join(
        f"Page {page:4}: a ship came in, and a ship went out with the tide.\r\n" for page in range(_PAGES)
    )
    return {SMALL: "Ships that came and went are written in the port book.\r\n", LARGE: ships}
