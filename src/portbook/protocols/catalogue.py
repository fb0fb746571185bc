"""Which protocols there are, in the order in which their recognisers are tried; imported with the first use.

In which order a mute port is asked is order.py's.
"""

from __future__ import annotations

from functools import cache
from importlib import import_module

TYPE_CHECKING = False
if TYPE_CHECKING:
    from portbook.protocols.conversation import Protocol

MODULES = (
    "http",
    "ssh",
    "ftp",
    "smtp",
    "pop3",
    "imap",
    "nntp",
    "irc",
    "telnet",
    "postgresql",
    "rdp",
    "smb",
    "mysql",
    "rfb",
    "sip",
    "domain",
    "rtsp",
    "stun",
    "kerberos",
    "openvpn",
    "mqtt",
    "redis",
    "ldap",
    "tds",
    "mongodb",
    "amqp",
    "kafka",
    "socks",
    "rpc",
    "x11",
    "cassandra",
    "epmap",
    "ajp13",
    "oracle_tns",
    "elasticsearch_nodes",
    "memcached",
    "rsync",
    "sieve",
    "subversion",
    "nats",
    "xmpp",
    "beanstalkd",
    "zookeeper",
    "git",
    "ident",
    "finger",
    "gopher",
    "whois",
    "inetd",
    "ntp",
    "snmp",
    "tftp",
    "bootp",
    "netbios_ns",
    "isakmp",
    "ssdp",
    "mdns",
    "coap",
    "quic",
    "ws_discovery",
    "silent",
)
"""The modules that have a PROTOCOL, or PROTOCOLS."""


@cache
def protocols() -> tuple[Protocol, ...]:
    """Return all protocols."""
    found: list[Protocol] = []
    for name in MODULES:
        module = import_module(f"portbook.protocols.{name}")
        found += getattr(module, "PROTOCOLS", None) or (module.PROTOCOL,)
    return tuple(found)
