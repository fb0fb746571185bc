"""News servers: INN as its readers meet it (RFC 3977).

It is nnrpd(8) by itself: innd(8), which takes articles from other servers, has none to take them from.
"""

from __future__ import annotations

from portbook.lab.servers.program import Candidate, Program, addresses, version

TYPE_CHECKING = False
if TYPE_CHECKING:
    from portbook.lab.scenario import ServicePlan

GROUP = "local.test"
"""The newsgroup that there is."""

_ARTICLE = """\
Path: {host}!not-for-mail
From: The lab <portbook@{host}>
Newsgroups: {group}
Subject: News for the lab
Date: Thu, 1 Jan 2026 00:00:00 +0000
Message-ID: <1@{host}>
Xref: {host} {group}:1

It was here before you came.
"""

_PLACES = {
    "pathetc": "etc",
    "pathdb": "db",
    "pathlog": "log",
    "pathrun": "run",
    "pathtmp": "tmp",
    "pathspool": "spool",
    "patharticles": "spool/articles",
    "pathoverview": "spool/overview",
    "pathincoming": "spool/incoming",
    "pathoutgoing": "spool/outgoing",
    "patharchive": "spool/archive",
}


def _nnrpd(path: str, service: ServicePlan, folder: str) -> Program:
    programs = path.removesuffix("/nnrpd")
    settings = {
        "mta": '"/bin/false"',
        "organization": '"portbook lab"',
        "pathhost": service.host,
        # Without one it asks the resolver for the host's, and does not run where there is none.
        "domain": "lab.test",
        "pathnews": programs.removesuffix("/bin"),
        "hismethod": "hisv6",
        "ovmethod": "tradindexed",
        "initialtimeout": "86400",
        "clienttimeout": "86400",
        "nnrpdloadlimit": "0",
        **{name: f"{folder}/{place}" for name, place in _PLACES.items()},
    }
    listens = [word for address in addresses(service) for word in ("-6" if ":" in address else "-4", address)]
    configured = ("env", f"INNCONF={folder}/etc/inn.conf")
    article = _ARTICLE.format(host=service.host, group=GROUP)
    return Program(
        (*configured, path, "-D", "-f", "-p", str(service.port), *listens),
        version(f"{programs}/innconfval", "-v", pattern=r"INN ([\w.]+)"),
        (
            ("etc/inn.conf", "".join(f"{name}: {value}\n" for name, value in settings.items())),
            ("etc/storage.conf", "method tradspool {\n  newsgroups: *\n  class: 0\n}\n"),
            (
                "etc/readers.conf",
                'auth lab {\n  hosts: "*"\n  default: "<reader>"\n}\n'
                'access lab {\n  users: "*"\n  newsgroups: "*"\n  access: R\n}\n',
            ),
            ("db/active", f"{GROUP} 0000000001 0000000001 y\n"),
            ("db/newsgroups", f"{GROUP}\tWhat is tried in the lab.\n"),
            (f"spool/articles/{GROUP.replace('.', '/')}/1", article.replace("\n", "\r\n")),
        ),
        (
            ("mkdir", "-p", *(f"{folder}/{place}" for place in _PLACES.values())),
            ("chown", "-R", "news:news", folder),
            (*configured, f"{programs}/makehistory", "-x", "-O"),
        ),
    )


NNTP = (Candidate("nnrpd", "INN", "inn2", _nnrpd, needs_users=True),)
