"""The verbs of the command line and what each answers; what they do stands in the module named like each."""

from __future__ import annotations

from portbook.errors import N_

VERBS = {
    "what": N_("what a port is: the registry, and what this host does with it"),
    "who": N_("who has a port: the listeners and their owners"),
    "sockets": N_("every socket, with the flags of ss and netstat"),
    "talks": N_("who talks through a port: the conversations of this host now"),
    "test": N_("whether ports can be reached, and what really speaks there"),
    "serve": N_("a page and an API that test a visitor's ports"),
    "lab": N_("real hosts on one machine: networks, servers and clients"),
}
"""Each verb and what it answers."""
