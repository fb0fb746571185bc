"""Web servers: nginx, over TLS too."""

from __future__ import annotations

from portbook.lab.servers.program import (
    Candidate,
    Program,
    addresses,
    bracketed,
    certificate,
    may_become_others,
    version,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from portbook.lab.scenario import ServicePlan


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
    user = "user nobody nogroup;" if may_become_others() else "user root root; master_process off;"
    body = f'default_type text/plain; return 200 "Here is {service.name}.\\n";'
    text = (
        f"daemon off; {user} worker_processes 1; pid {folder}/nginx.pid; error_log stderr warn;\n"
        "events { worker_connections 4096; }\n"
        f"http {{ access_log off; {temporary} keepalive_timeout 1d; keepalive_requests 1000000;\n"
        f"  server {{ {listens} {keys} location / {{ {body} }} }} }}\n"
    )
    return Program(
        (path, "-e", "stderr", "-p", folder, "-c", f"{folder}/nginx.conf"),
        version(path, "-v", pattern=r"nginx/([\w.]+)"),
        (("nginx.conf", text),),
        (certificate(service, folder),) if tls else (),
    )


HTTP = (Candidate("nginx", "nginx", "nginx-light", _nginx),)
HTTPS = (Candidate("nginx", "nginx", "nginx-light", _nginx, also=("openssl",)),)
