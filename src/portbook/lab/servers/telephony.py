"""Servers of telephony: Kamailio."""

from __future__ import annotations

from portbook.lab.servers.program import Candidate, Program, addresses_apart, bracketed, user_among, version

TYPE_CHECKING = False
if TYPE_CHECKING:
    from portbook.lab.scenario import ServicePlan

_ROUTES = """
loadmodule "sl.so"
request_route {
    if (method == "OPTIONS") {
        sl_send_reply("200", "OK");
    } else {
        sl_send_reply("405", "Method Not Allowed");
    }
}
"""


def _kamailio(path: str, service: ServicePlan, folder: str) -> Program:
    settings = {
        "debug": "0",
        "children": "1",
        "tcp_children": "1",
        "tcp_max_connections": "4096",
        "tcp_connection_lifetime": "86400",
        "auto_aliases": "no",
        "dns": "no",
        "rev_dns": "no",
        "use_dns_cache": "off",
        "disable_tcp": "no" if "tcp" in service.transports else "yes",
    }
    lines = [f"{name}={value}" for name, value in settings.items()]
    # Its sockets of :: would take IPv4 too.
    for address in addresses_apart(service):
        lines += [f"listen={transport}:{bracketed(address)}:{service.port}" for transport in service.transports]
    return Program(
        # In the foreground, with its log on standard error, 16 megabytes for all and 4 for each process.
        (path, "-DD", "-E", "-m", "16", "-M", "4", "-Y", folder, "-f", f"{folder}/kamailio.cfg"),
        version(path, "-v", pattern=r"kamailio ([\d.]+)"),
        (("kamailio.cfg", "\n".join(lines) + _ROUTES),),
        user=user_among("kamailio"),
    )


SIP = (Candidate("kamailio", "Kamailio", "kamailio", _kamailio),)
