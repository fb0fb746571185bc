"""Web servers: nginx, the Apache HTTP Server and lighttpd, each over TLS too."""

from __future__ import annotations

import os

from portbook.lab.servers.program import (
    Candidate,
    Program,
    addresses,
    addresses_apart,
    bracketed,
    certificate,
    user_among,
    version,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from portbook.lab.scenario import ServicePlan

_LIGHTTPD_TLS = "/usr/lib/lighttpd/mod_openssl.so"


def _nginx(path: str, service: ServicePlan, folder: str) -> Program:
    tls = service.kind == "https"
    # Two sockets, so that every table shows IPv4 as IPv4.
    listens = " ".join(
        f"listen {bracketed(address)}:{service.port}{' ssl' if tls else ''};" for address in addresses(service)
    )
    keys = f"ssl_certificate {folder}/certificate.pem; ssl_certificate_key {folder}/key.pem;" if tls else ""
    temporary = " ".join(
        f"{kind}_temp_path {folder}/{kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    # Where there is nobody else, its folders stay root's, and no worker is started that would change its user.
    user = user_among("nobody")
    root = "" if user else "user root root; master_process off;"
    body = f'default_type text/plain; return 200 "Here is {service.name}.\\n";'
    text = (
        f"daemon off; {root} worker_processes 1; pid {folder}/nginx.pid; error_log stderr warn;\n"
        "events { worker_connections 4096; }\n"
        f"http {{ access_log off; {temporary} keepalive_timeout 1d; keepalive_requests 1000000;\n"
        f"  server {{ {listens} {keys} location / {{ {body} }} }} }}\n"
    )
    return Program(
        (path, "-e", "stderr", "-p", folder, "-c", f"{folder}/nginx.conf"),
        version(path, "-v", pattern=r"nginx/([\w.]+)"),
        (("nginx.conf", text),),
        (certificate(service, folder),) if tls else (),
        user=user,
    )


def _page(service: ServicePlan) -> tuple[str, str]:
    return "pages/index.txt", f"Here is {service.name}.\n"


def _apache(path: str, service: ServicePlan, folder: str) -> Program:
    tls = service.kind == "https"
    modules = f"{os.path.dirname(os.path.dirname(path))}/lib/apache2/modules"
    names = ("mpm_event", "authz_core", "dir", *(("ssl",) if tls else ()))
    lines = (
        *(f"LoadModule {name}_module {modules}/mod_{name}.so" for name in names),
        *(f"Listen {bracketed(address)}:{service.port} http" for address in addresses_apart(service)),
        f"ServerName {service.host}",
        # What Debian's configuration says: the version and the system, but not the modules.
        "ServerTokens OS",
        f"DefaultRuntimeDir {folder}",
        f"PidFile {folder}/apache2.pid",
        f"ErrorLog {folder}/error.log",
        "LogLevel error",
        # One process whose threads wait for no idle connection.
        *("StartServers 1", "ServerLimit 1", "ThreadsPerChild 32", "MaxRequestWorkers 32"),
        *("MinSpareThreads 1", "MaxSpareThreads 32", "AsyncRequestWorkerFactor 128"),
        *("KeepAlive On", "KeepAliveTimeout 86400", "MaxKeepAliveRequests 0", "Timeout 86400"),
        f"DocumentRoot {folder}/pages",
        *("DirectoryIndex index.txt", f"<Directory {folder}/pages>", "ForceType text/plain", "</Directory>"),
    )
    keys = (
        *("SSLEngine on", "SSLSessionCache none"),
        *(f"SSLCertificateFile {folder}/certificate.pem", f"SSLCertificateKeyFile {folder}/key.pem"),
    )
    return Program(
        (path, "-D", "FOREGROUND", "-d", folder, "-f", f"{folder}/apache2.conf"),
        version(path, "-v", pattern=r"Apache/([\w.]+)"),
        (("apache2.conf", "\n".join((*lines, *(keys if tls else ()), ""))), _page(service)),
        (certificate(service, folder),) if tls else (),
        user="nobody",
    )


def _lighttpd(path: str, service: ServicePlan, folder: str) -> Program:
    tls = service.kind == "https"
    keys = f'ssl.engine = "enable" ssl.pemfile = "{folder}/certificate.pem" ssl.privkey = "{folder}/key.pem"'
    first, *others = addresses(service)
    lines = (
        f"server.port = {service.port}",
        f'server.bind = "{bracketed(first)}"',
        *(
            f'$SERVER["socket"] == "{bracketed(address)}:{service.port}" {{ {keys if tls else ""} }}'
            for address in others
        ),
        *(('server.modules += ( "mod_openssl" )', keys) if tls else ()),
        f'server.document-root = "{folder}/pages"',
        'index-file.names = ( "index.txt" )',
        'mimetype.assign = ( ".txt" => "text/plain" )',
        "server.max-fds = 4096",
        "server.max-connections = 4000",
        # The most that it takes: 18 hours.
        *(
            f"server.max-{what} = 65535"
            for what in ("keep-alive-idle", "keep-alive-requests", "read-idle", "write-idle")
        ),
    )
    return Program(
        (path, "-D", "-f", f"{folder}/lighttpd.conf"),
        version(path, "-v", pattern=r"lighttpd/([\w.]+)"),
        (("lighttpd.conf", "\n".join((*lines, ""))), _page(service)),
        (certificate(service, folder),) if tls else (),
        user=user_among("nobody"),
    )


HTTP = (
    Candidate("nginx", "nginx", "nginx-light", _nginx),
    Candidate("apache2", "Apache httpd", "apache2-bin", _apache, needs_users=True),
    Candidate("lighttpd", "lighttpd", "lighttpd", _lighttpd),
)
HTTPS = (
    Candidate("nginx", "nginx", "nginx-light", _nginx, also=("openssl",)),
    Candidate("apache2", "Apache httpd", "apache2-bin", _apache, also=("openssl",), needs_users=True),
    Candidate(
        "lighttpd",
        "lighttpd",
        "lighttpd",
        _lighttpd,
        also=("lighttpd-mod-openssl", "openssl"),
        needs=(_LIGHTTPD_TLS,),
    ),
)
