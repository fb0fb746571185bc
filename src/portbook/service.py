"""A service of the registry: its columns and one assignment as a value."""

from __future__ import annotations

from typing import NamedTuple

from portbook.columns import Column
from portbook.errors import N_

COLUMNS = (
    Column("port", "integer", N_("Port")),
    Column("transport", "text", N_("Transport")),
    Column("service", "text", N_("Service")),
    Column("description", "text", N_("Description")),
    Column("range", "text", N_("Range")),
    Column("assigned", "text", N_("Assigned")),
    Column("reference", "text", N_("Reference")),
    Column("here", "text", N_("Here"), foreign=True),
    Column("source_range", "boolean", N_("Source port")),
    Column("privileged", "boolean", N_("Privileged")),
    Column("kept_free", "boolean", N_("Kept free")),
)
"""The columns of `what`. The last four say what this host does with the port: what holds it, whether source ports
are taken there, whether only the privileged may bind it, and whether ip_local_reserved_ports keeps it from being
taken as a source port."""


class Service(NamedTuple):
    """One assignment: what a port of a transport is for, and who says so.

    `transport` is None where the port is told of for every transport; `assigned` is iana, unofficial, reserved or
    unassigned.
    """

    port: int
    transport: str | None
    service: str | None
    description: str
    assigned: str
    reference: str | None = None
