"""`python -m tests.lab.telling SCENARIO|KIND NAME [ours]` raises a lab, checks it and ends it.

It needs nothing but the standard library, so that it runs as any user with any interpreter. It ends with 3 where no
namespaces can be made.
"""

from __future__ import annotations

import os
import sys
import time
from io import BytesIO

from portbook.errors import Unavailable
from portbook.lab import capture, hosts, keeper, programs, scenario
from portbook.lab.scenario import ClientPlan, Scenario, ServicePlan
from portbook.lab.state import Event, LabState
from tests.lab.plans import two_hosts
from tests.lab.stories import check_closed_doors, check_port_conflict, check_web_ftp

NO_NAMESPACES = 3


def one_service(kind: str) -> Scenario:
    """Return the plan of one service, and clients that hold conversations with it over both families."""
    asks = (
        ClientPlan("client", kind, "server", 80, count=2),
        ClientPlan("client", kind, "server", 80, family="ipv6"),
    )
    plan = two_hosts(ServicePlan("one", "server", kind, 80))
    return Scenario(plan.name, plan.title, plan.story, plan.networks, plan.hosts, plan.services, asks)


def check_rights(state: LabState) -> None:
    """Assert that root's server has become nobody."""
    pids = hosts.run(state, "server", ["pgrep", "-f", "portbook.lab.serve"]).stdout.split()
    users = {hosts.run(state, "server", ["stat", "-c", "%u", f"/proc/{pid}"]).stdout for pid in pids}
    assert users == {"65534\n"}, users


def check_capture(state: LabState) -> None:
    """Assert that what a client sends is captured on its host."""
    begin = "import socket; socket.create_connection(('server', 80), 5)"
    with capture.packet_socket(state, "client") as packets:
        assert hosts.run(state, "client", ["python3", "-c", begin]).returncode == 0
        assert capture.capture(packets, BytesIO(), lambda: True) >= 3


def main(what: str, name: str, *ours: str) -> int:
    """Raise it, check it, end it."""
    if ours:
        programs.CANDIDATES = {}
    events: list[Event] = []
    plan = one_service(what) if what in programs.OURS else scenario.load(what)
    try:
        state, bound = keeper.up(plan, events.append, name, bound=True)
    except Unavailable as error:
        sys.stderr.write(f"{error}\n")
        return NO_NAMESPACES if "make no namespaces" in str(error) else 1
    try:
        assert os.stat(f"/proc/{state.keeper}").st_uid == os.geteuid()
        if what == "web-ftp":
            check_web_ftp(state)
            check_capture(state)
        elif what == "port-conflict":
            check_port_conflict(state, events)
        elif what == "closed-doors":
            check_closed_doors(state)
        else:
            check_rights(state)
    finally:
        os.close(bound)
    # Nobody has to clear away what ends by itself.
    for _ in range(2000):
        if not os.path.exists(state.folder):
            return 0
        time.sleep(0.01)
    raise AssertionError(f"{state.folder} is left")


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
