"""Servers of remote shells: OpenSSH."""

from __future__ import annotations

from portbook.lab.servers.program import Candidate, Program, bracketed, version

TYPE_CHECKING = False
if TYPE_CHECKING:
    from portbook.lab.scenario import ServicePlan


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
        version(path, "-V", pattern=r"OpenSSH_([\w.]+)"),
        (("sshd_config", text),),
        (
            ("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", f"{folder}/host_key"),
            # Where it gives up its rights to; it wants the place empty and root's.
            ("mkdir", "-p", "-m", "755", "/run/sshd"),
        ),
    )


SSH = (Candidate("sshd", "OpenSSH", "openssh-server", _sshd, needs_users=True),)
