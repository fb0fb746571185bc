"""FTP servers: vsftpd, ProFTPD and Pure-FTPd, for anonymous visitors who may fetch two files.

Each opens the data connection of active mode from the port below that of the control connection (RFC 959,
section 3.2) but Pure-FTPd, which takes port 20 whatever its own is. They wait as long as they can for whom they
serve: Pure-FTPd a day, the others without end.
"""

from __future__ import annotations

import os

from portbook.lab.ftp_files import files
from portbook.lab.servers import inetd
from portbook.lab.servers.program import Candidate, Program, version

TYPE_CHECKING = False
if TYPE_CHECKING:
    from portbook.lab.scenario import ServicePlan

_USERS = """\
root:x:0:0:root:/root:/bin/sh
ftp:x:65534:65534:anonymous visitors:{home}:/usr/sbin/nologin
"""


def _public() -> tuple[tuple[str, str], ...]:
    return tuple((f"public/{name}", text) for name, text in files().items())


def _vsftpd(path: str, service: ServicePlan, folder: str) -> Program:
    # It goes home first, whoever it becomes.
    visitor = "ftp" if os.path.isdir(os.path.expanduser("~ftp")) else "daemon"
    settings = {
        # It has one socket at most: inetd listens for it, on one of each family.
        "listen": "NO",
        "anonymous_enable": "YES",
        "ftp_username": visitor,
        "nopriv_user": "nobody",
        "anon_root": f"{folder}/public",
        "secure_chroot_dir": f"{folder}/empty",
        "one_process_model": "YES",
        "connect_from_port_20": "YES",
        "ftp_data_port": str(service.port - 1),
        "seccomp_sandbox": "NO",
        "isolate": "NO",
        "isolate_network": "NO",
        "idle_session_timeout": "0",
        "data_connection_timeout": "0",
    }
    return Program(
        inetd.argv(folder),
        # It tells its version to where its client would be.
        version("sh", "-c", f"exec {path} -v 0>&1", pattern=r"version ([\w.]+)"),
        (
            inetd.configuration(service, "root", path, f"{folder}/vsftpd.conf"),
            ("vsftpd.conf", "".join(f"{name}={value}\n" for name, value in settings.items())),
            *_public(),
        ),
        (("mkdir", "-m", "555", f"{folder}/empty"),),
    )


def _proftpd(path: str, service: ServicePlan, folder: str) -> Program:
    lines = (
        # As by itself it takes IPv4 by a socket of IPv6, inetd listens for it.
        *("ServerType inetd", f"Port {service.port}", "UseIPv6 on", f'ServerName "{service.name}"'),
        *("User nobody", "Group nogroup", "AuthPAM off", "UseFtpUsers off", "RequireValidShell off"),
        # Without root's rights it would take any port for active mode.
        "RootRevoke off",
        *(f"ScoreboardFile {folder}/scoreboard", f"PidFile {folder}/proftpd.pid", "DelayEngine off"),
        *("WtmpLog off", "TransferLog NONE", f"SystemLog {folder}/proftpd.log"),
        *("UseReverseDNS off", "UseSendfile off"),
        *(f"Timeout{what} 0" for what in ("Idle", "Login", "NoTransfer", "Stalled")),
        f"<Anonymous {folder}/public>",
        *("User nobody", "Group nogroup", "UserAlias anonymous nobody", "UserAlias ftp nobody"),
        *("<Limit WRITE>", "DenyAll", "</Limit>", "</Anonymous>"),
    )
    return Program(
        inetd.argv(folder),
        version(path, "--version", pattern=r"Version ([\w.]+)"),
        (
            inetd.configuration(service, "root", path, "-c", f"{folder}/proftpd.conf"),
            ("proftpd.conf", "".join(f"{line}\n" for line in lines)),
            *_public(),
        ),
    )


def _pureftpd(path: str, service: ServicePlan, folder: str) -> Program:
    # An empty address is every one of both families.
    patient = ("-c", "10000", "-I", "1440")
    quiet = ("-f", "none", "-H", "-g", f"{folder}/pure-ftpd.pid")
    return Program(
        (path, "-S", f"{service.address or ''},{service.port}", "-e", "-i", *patient, *quiet),
        version(path, "--help", pattern=r"pure-ftpd v([\w.]+)"),
        (("passwd", _USERS.format(home=f"{folder}/public")), *_public()),
        # Its anonymous visitors are the user ftp, whoever and wherever that is.
        binds=(("passwd", "/etc/passwd"),),
    )


_LISTENED_FOR = ((inetd.PACKAGE,), True, (inetd.PROGRAM,))
"""What those need for which inetd listens. All must be root, for only root can shut visitors in their folder."""

FTP = (
    Candidate("vsftpd", "vsftpd", "vsftpd", _vsftpd, *_LISTENED_FOR),
    Candidate("proftpd", "ProFTPD", "proftpd-core", _proftpd, *_LISTENED_FOR),
    Candidate("pure-ftpd", "Pure-FTPd", "pure-ftpd", _pureftpd, needs_users=True),
)
