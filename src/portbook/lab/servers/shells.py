"""Servers of remote shells: OpenSSH and Dropbear, and for telnet that of GNU Inetutils and that of the NetKit.

Nobody can log in to any: OpenSSH and Dropbear take no password and know no key, and behind telnet is a program that
asks for a name and a password, as login(1) does, and turns everybody away.
"""

from __future__ import annotations

from portbook.lab.servers import inetd
from portbook.lab.servers.program import (
    Candidate,
    Program,
    bracketed,
    package_version,
    user_among,
    version,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from portbook.lab.scenario import ServicePlan

_LOGIN = """#!/bin/sh
while printf '%s login: ' "$(uname -n)" && read -r name; do
    stty -echo
    printf 'Password: '
    read -r password
    stty echo
    printf '\\nLogin incorrect\\n'
done
"""


def _sshd(path: str, service: ServicePlan, folder: str) -> Program:
    # A plain `Port` listens on every address of both families.
    listens = f"Port {service.port}"
    if service.address is not None:
        listens = f"ListenAddress {bracketed(service.address)}:{service.port}"
    quiet = ("PidFile none", "UsePAM no", "PasswordAuthentication no", "AuthorizedKeysFile none")
    patient = ("LoginGraceTime 0", "MaxStartups 10000")
    text = "\n".join((listens, f"HostKey {folder}/host_key", *quiet, *patient, ""))
    return Program(
        (path, "-D", "-e", "-f", f"{folder}/sshd_config"),
        # Of the same source: what sshd itself prints may lack the part behind the `p` that it tells its clients.
        version("ssh", "-V", pattern=r"OpenSSH_([\w.]+)"),
        (("sshd_config", text),),
        (
            ("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", f"{folder}/host_key"),
            # Where it gives up its rights to; it wants the place empty and root's.
            ("mkdir", "-p", "-m", "755", "/run/sshd"),
        ),
    )


def _dropbear(path: str, service: ServicePlan, folder: str) -> Program:
    # By itself it would serve five strangers of one address at most, and as root.
    user = user_among("nobody")
    key = f"{folder}/host_key"
    return Program(
        inetd.argv(folder),
        version(path, "-V", pattern=r"v([\w.]+)"),
        (inetd.configuration(service, user or "root", path, "-i", "-s", "-w", "-j", "-k", "-r", key),),
        (("dropbearkey", "-t", "ed25519", "-f", key),),
        user=user,
    )


def _telnetd(path: str, service: ServicePlan, folder: str) -> Program:
    user = user_among("nobody")
    return Program(
        inetd.argv(folder),
        version(path, "--version"),
        (inetd.configuration(service, user or "root", path, "-E", f"{folder}/login"), ("login", _LOGIN)),
        (("chmod", "755", f"{folder}/login"),),
        user=user,
    )


def _netkit(path: str, service: ServicePlan, folder: str) -> Program:
    user = user_among("nobody")
    # It wants a certificate and an RSA key at once, though TLS begins only for a client that asks for it.
    certificate, key = f"{folder}/certificate.pem", f"{folder}/key.pem"
    keys = ("-z", f"cert={certificate}", "-z", f"key={key}")
    made = ("-newkey", "rsa:2048", "-nodes", "-keyout", key, "-out", certificate, "-days", "365")
    return Program(
        inetd.argv(folder),
        package_version("telnetd-ssl"),
        (inetd.configuration(service, user or "root", path, "-N", *keys, "-L", f"{folder}/login"), ("login", _LOGIN)),
        (
            ("openssl", "req", "-x509", *made, "-subj", f"/O=portbook lab/CN={service.host}"),
            ("chmod", "755", f"{folder}/login"),
        ),
        user=user,
    )


SSH = (
    Candidate("sshd", "OpenSSH", "openssh-server", _sshd, needs_users=True),
    Candidate("dropbear", "Dropbear", "dropbear-bin", _dropbear, (inetd.PACKAGE,), needs=(inetd.PROGRAM,)),
)
TELNET = (
    Candidate("telnetd", "GNU Inetutils", "inetutils-telnetd", _telnetd, (inetd.PACKAGE,), needs=(inetd.PROGRAM,)),
    Candidate(
        "in.telnetd", "NetKit telnetd", "telnetd-ssl", _netkit, (inetd.PACKAGE, "openssl"), needs=(inetd.PROGRAM,)
    ),
)
