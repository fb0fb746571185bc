"""Servers of remote desktops: xrdp, TigerVNC, and x11vnc on a screen that nobody sees.

A screen is an X server, whose sockets and locks are found in /tmp: each has one of its own. Nobody can log in by
xrdp, since nothing is there that would start a session.
"""

from __future__ import annotations

from portbook.lab.servers.program import (
    Candidate,
    Program,
    addresses,
    addresses_apart,
    certificate,
    user_among,
    version,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from portbook.lab.scenario import ServicePlan

_SCREEN = "1024x768x24"

_ON_A_SCREEN = """
trap 'kill $shown $screen' TERM
mkfifo /tmp/number
Xvfb -displayfd 3 -screen 0 "$0" -nolisten tcp -nolisten unix -noreset 3> /tmp/number &
screen=$!
read -r number < /tmp/number
"$@" -display ":$number" &
shown=$!
wait $shown
kill $shown $screen 2> /dev/null
wait
"""
"""Runs an X server on the first display that is free and a command that shows it, and ends both on SIGTERM."""


_WITH_CHILDREN = """
trap 'kill -KILL 0' TERM
"$0" "$@" &
wait $!
"""
"""Runs a command, and on SIGTERM ends its whole process group: what it has started heeds no other signal."""


def _xrdp(path: str, service: ServicePlan, folder: str) -> Program:
    # Its sockets of :: would take IPv4 too.
    listens = (
        f"tcp6://{{{address}}}:{service.port}" if ":" in address else f"tcp://{address}:{service.port}"
        for address in addresses_apart(service)
    )
    lines = (
        "[Globals]",
        "ini_version=1",
        "fork=true",
        f"port={' '.join(listens)}",
        "security_layer=negotiate",
        "crypt_level=high",
        f"certificate={folder}/certificate.pem",
        f"key_file={folder}/key.pem",
        "ssl_protocols=TLSv1.2, TLSv1.3",
        "tcp_keepalive=true",
        "[Logging]",
        f"LogFile={folder}/xrdp.log",
        "LogLevel=WARNING",
        "EnableSyslog=false",
        "[Channels]",
        "[Xorg]",
        "name=Xorg",
        "lib=libxup.so",
        "username=ask",
        "password=ask",
        "port=-1",
        "code=20",
    )
    return Program(
        # It has a process for each client, which does not end with it.
        ("sh", "-c", _WITH_CHILDREN, path, "--nodaemon", "--config", f"{folder}/xrdp.ini"),
        version(path, "--version", pattern=r"xrdp ([\d.]+)"),
        (("xrdp.ini", "\n".join(lines) + "\n"),),
        (certificate(service, folder),),
        user=user_among("xrdp"),
    )


def _tigervnc(path: str, service: ServicePlan, _folder: str) -> Program:
    interface = () if service.address is None else ("-interface", service.address)
    return Program(
        (
            # Where it tells which display it took is closed then, so that must not be its log.
            *("sh", "-c", 'exec "$0" "$@" -displayfd 3 3>&2', path),
            *("-rfbport", str(service.port), *interface, "-SecurityTypes", "None"),
            *("-AlwaysShared", "-UseBlacklist=0", "-desktop", service.name, "-geometry", "1024x768"),
            *("-nolisten", "tcp", "-nolisten", "unix", "-noreset"),
        ),
        version(path, "-version", pattern=r"TigerVNC ([\d.]+)"),
        empty=("/tmp",),  # noqa: S108 - its own
        user=user_among(),
    )


def _x11vnc(path: str, service: ServicePlan, _folder: str) -> Program:
    # Its own listening for IPv6 leaves that of its library at port 5900, so it is the library's that is used.
    listens = ["-no6"]
    found = {":" in address: address for address in addresses(service)}
    for six, port, listen, none in ((False, "-rfbport", "-listen", "0"), (True, "-rfbportv6", "-listenv6", "-1")):
        listens += [port, str(service.port), listen, found[six]] if six in found else [port, none]
    quiet = ("-quiet", "-norc", "-nolookup", "-nopw")
    return Program(
        (
            *("sh", "-c", _ON_A_SCREEN, _SCREEN, path, *listens, *quiet),
            *("-forever", "-shared", "-desktop", service.name),
        ),
        version(path, "-version", pattern=r"x11vnc: ([\d.]+)"),
        empty=("/tmp",),  # noqa: S108 - its own
        user=user_among(),
    )


RDP = (Candidate("xrdp", "xrdp", "xrdp", _xrdp, also=("openssl",)),)
VNC = (
    Candidate("Xtigervnc", "TigerVNC", "tigervnc-standalone-server", _tigervnc),
    Candidate("x11vnc", "x11vnc", "x11vnc", _x11vnc, also=("xvfb",), needs=("Xvfb",)),
)
