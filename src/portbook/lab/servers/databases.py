"""Servers of databases: MariaDB, PostgreSQL, Redis and memcached.

Those that know users have one named portbook, who needs no password, comes from anywhere and may see nothing but the
server itself. What they store lies in the service's folder and is never forced to a disk, since it ends with the lab.
"""

from __future__ import annotations

import os

from portbook.lab.servers.program import Candidate, Program, addresses, user_among, version

TYPE_CHECKING = False
if TYPE_CHECKING:
    from portbook.lab.scenario import ServicePlan

_MANY = 10_000
"""More clients at once than any plan has."""

_SMALL = ("--skip-innodb", "--default-storage-engine=Aria", "--aria-log-file-size=8M", "--skip-log-bin")
"""Options of MariaDB by which its tables take five megabytes instead of eighty, and are there in half a second."""


def _mariadbd(path: str, service: ServicePlan, folder: str) -> Program:
    user = user_among("mysql")
    # It runs as root only where it is told to.
    rooted = () if user else ("--user=root",)
    places = (f"--datadir={folder}/data", f"--tmpdir={folder}/data")
    options = (
        *("--no-defaults", *rooted, *places, *_SMALL),
        *(f"--socket={folder}/data/socket", f"--pid-file={folder}/data/pid", f"--init-file={folder}/users.sql"),
        *(f"--bind-address={','.join(addresses(service))}", f"--port={service.port}", "--skip-name-resolve"),
        *("--log-warnings=1", "--character-set-server=utf8mb4", "--skip-performance-schema"),
        *(f"--max-connections={_MANY}", "--max-connect-errors=4294967295", "--wait-timeout=31536000"),
    )
    return Program(
        (path, *options),
        version(path, "--version"),
        (("users.sql", "CREATE USER portbook@'%';\n"),),
        (
            # A service that a story starts again begins anew.
            ("rm", "-rf", f"{folder}/data"),
            (
                *("mariadb-install-db", "--no-defaults", *rooted, *places, *_SMALL),
                *("--skip-test-db", "--auth-root-authentication-method=normal"),
            ),
        ),
        user=user,
    )


def _postgres(path: str, service: ServicePlan, folder: str) -> Program:
    data = f"{folder}/data"
    settings = {
        "listen_addresses": ",".join(addresses(service)),
        "port": service.port,
        "unix_socket_directories": folder,
        "hba_file": f"{folder}/pg_hba.conf",
        "max_connections": 1100,
        "shared_buffers": "16MB",
        "fsync": "off",
        "autovacuum": "off",
        "wal_level": "minimal",
        "max_wal_senders": 0,
        "max_logical_replication_workers": 0,
        "jit": "off",
        "log_min_messages": "error",
    }
    options = (word for name, value in settings.items() for word in ("-c", f"{name}={value}"))
    # From outside only portbook comes in, who owns nothing.
    entries = "local all all trust\nhost all portbook all trust\n"
    # It may have been found by a symbolic link.
    initdb = f"{os.path.dirname(os.path.realpath(path))}/initdb"
    locale = ("--encoding=UTF8", "--locale=C", "--no-instructions", "--wal-segsize=1")
    single = f"exec {path} --single -D {data} -c fsync=off postgres < {folder}/users.sql > /dev/null"
    # SIGTERM would have it wait until its last client goes.
    ending = '"$@" & trap "kill -INT $!" TERM; wait; wait'
    return Program(
        ("sh", "-c", ending, "sh", path, "-D", data, *options),
        version(path, "--version"),
        (("pg_hba.conf", entries), ("users.sql", "CREATE ROLE portbook LOGIN\n")),
        (
            ("rm", "-rf", data),
            (initdb, "-D", data, "-A", "trust", "--no-sync", *locale),
            ("sh", "-c", single),
        ),
        # Its shared memory would be the whole machine's.
        empty=("/dev/shm",),  # noqa: S108 - its own
        user="postgres",
    )


def _redis(path: str, service: ServicePlan, folder: str) -> Program:
    text = (
        f"bind {' '.join(addresses(service))}\nport {service.port}\nprotected-mode no\ndaemonize no\ndir {folder}\n"
        f'save ""\nappendonly no\nmaxclients {_MANY}\nmaxmemory 64mb\nlogfile ""\nloglevel warning\n'
    )
    return Program(
        (path, f"{folder}/redis.conf"),
        version(path, "--version", pattern=r"v=([\w.]+)"),
        (("redis.conf", text),),
        user=user_among("redis"),
    )


def _memcached(path: str, service: ServicePlan, _folder: str) -> Program:
    listens = ("-l", ",".join(addresses(service)), "-p", str(service.port), "-U", "0")
    small = ("-m", "16", "-t", "1", "-c", str(_MANY))
    user = user_among("memcache")
    return Program(
        (path, *listens, *small, *(() if user else ("-u", "root"))),
        version(path, "-V"),
        user=user,
    )


MYSQL = (Candidate("mariadbd", "MariaDB", "mariadb-server", _mariadbd, needs=("mariadb-install-db",)),)
POSTGRESQL = (Candidate("postgres", "PostgreSQL", "postgresql", _postgres, needs_users=True),)
REDIS = (Candidate("redis-server", "Redis", "redis-server", _redis),)
MEMCACHED = (Candidate("memcached", "memcached", "memcached", _memcached),)
