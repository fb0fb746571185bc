"""Mail servers: postfix, exim and OpenSMTPD for SMTP, Dovecot for POP3 and IMAP, over TLS too.

Each takes mail for its host's name and localhost, for the users portbook and postmaster alone, keeps it in its
folder, and relays nothing (RFC 5321, section 3.6.1). Boxes are read as the user portbook with the password portbook.
"""

from __future__ import annotations

from portbook.lab.servers.program import Candidate, Program, addresses, bracketed, certificate, has_ipv6, version

TYPE_CHECKING = False
if TYPE_CHECKING:
    from portbook.lab.scenario import ServicePlan

USER = "portbook"
"""The user whose mail it is, and its password."""

_MESSAGE = """\
Return-Path: <{user}@{host}>
Date: Thu, 1 Jan 2026 00:00:00 +0000
From: The lab <{user}@{host}>
To: {user}@{host}
Subject: Mail for the lab
Message-ID: <1@{host}>

It was here before you came.
"""

_PRIVATE = ("install", "-d", "-o", "nobody", "-g", "nogroup", "-m", "700")

_POSTFIX_SERVICES = """\
cleanup   unix n - n - 0 cleanup
qmgr      unix n - n 300 1 qmgr
tlsmgr    unix - - n 1000? 1 tlsmgr
rewrite   unix - - n - - trivial-rewrite
bounce    unix - - n - 0 bounce
defer     unix - - n - 0 bounce
trace     unix - - n - 0 bounce
error     unix - - n - - error
retry     unix - - n - - error
virtual   unix - n n - - virtual
postlog   unix-dgram n - n - 1 postlogd
"""
"""What postfix needs besides its door (master(5)): neither what delivers elsewhere nor what takes mail locally."""

_POSTFIX_QUEUE = ("active", "bounce", "corrupt", "defer", "deferred", "hold", "incoming", "private", "trace")


def _postfix(path: str, service: ServicePlan, folder: str) -> Program:
    host = service.host
    postconf = f"{path.removesuffix('postfix')}postconf"
    name = str(service.port) if service.address is None else f"{bracketed(service.address)}:{service.port}"
    tls = " -o smtpd_tls_wrappermode=yes" if service.kind == "smtps" else ""
    boxes = " ".join(f"{{ {user}@{at} = kept/ }}" for user in (USER, "postmaster") for at in (host, "localhost"))
    settings = {
        "compatibility_level": "3.6",
        "queue_directory": f"{folder}/queue",
        "data_directory": f"{folder}/data",
        "maillog_file": "/dev/stdout",
        "inet_protocols": "all" if has_ipv6() else "ipv4",
        "myhostname": host,
        "smtpd_banner": "$myhostname ESMTP $mail_name (Debian/GNU)",
        "mydestination": "",
        "local_recipient_maps": "",
        "alias_maps": "",
        "append_dot_mydomain": "no",
        "virtual_mailbox_domains": f"{host}, localhost",
        "virtual_mailbox_maps": f"inline:{{ {boxes} }}",
        "virtual_mailbox_base": folder,
        # The least that virtual(8) takes is 100.
        "virtual_uid_maps": "static:65534",
        "virtual_gid_maps": "static:65534",
        "smtpd_relay_restrictions": "reject_unauth_destination",
        "default_transport": "error:nothing leaves the lab",
        "disable_dns_lookups": "yes",
        "smtpd_peername_lookup": "no",
        "smtpd_client_connection_count_limit": "0",
        "smtpd_timeout": "1d",
        "default_process_limit": "10000",
        "smtpd_tls_security_level": "may",
        "smtpd_tls_cert_file": f"{folder}/certificate.pem",
        "smtpd_tls_key_file": f"{folder}/key.pem",
    }
    main = "".join(f"{key} = {value}\n" for key, value in settings.items())
    queue = [f"{folder}/queue/{name}" for name in _POSTFIX_QUEUE]
    own = ("install", "-d", "-o", "postfix", "-m")
    daemons = version(postconf, "-dh", "daemon_directory", pattern=r"/\S+") or "/usr/lib/postfix/sbin"
    return Program(
        (f"{daemons}/master", "-c", f"{folder}/etc", "-s"),
        version(postconf, "-dh", "mail_version"),
        (("etc/main.cf", main), ("etc/master.cf", f"{name} inet n - n - - smtpd{tls}\n{_POSTFIX_SERVICES}")),
        (
            certificate(service, folder),
            ("install", "-d", "-m", "755", f"{folder}/queue", f"{folder}/queue/pid"),
            (*own, "700", f"{folder}/data", *queue),
            (*own, "710", "-g", "postdrop", f"{folder}/queue/public"),
            (*own, "730", "-g", "postdrop", f"{folder}/queue/maildrop"),
            (*_PRIVATE, f"{folder}/kept"),
        ),
    )


def _exim(path: str, service: ServicePlan, folder: str) -> Program:
    # Only by this name does it leave IPv4 to a socket of its own.
    listens = ["::0" if address == "::" else address for address in addresses(service)]
    on_connect = f"tls_on_connect_ports = {service.port}\n" if service.kind == "smtps" else ""
    text = (
        f"primary_hostname = {service.host}\n"
        f"daemon_smtp_ports = {service.port}\n{on_connect}"
        f"local_interfaces = <; {' ; '.join(listens)}\ndaemon_startup_retries = 0\n"
        f"disable_ipv6 = {'false' if has_ipv6() else 'true'}\n"
        "exim_user = nobody\nexim_group = nogroup\ndeliver_drop_privilege\nkeep_environment =\n"
        f"spool_directory = {folder}/spool\nlog_file_path = {folder}/log/%slog\n"
        f"tls_advertise_hosts = *\ntls_certificate = {folder}/certificate.pem\ntls_privatekey = {folder}/key.pem\n"
        "smtp_accept_max = 0\nsmtp_connect_backlog = 128\nsmtp_receive_timeout = 1d\n"
        "rfc1413_query_timeout = 0s\nmessage_logs = false\n"
        f"domainlist local = {service.host} : localhost\n"
        "acl_smtp_rcpt = rcpt\nacl_smtp_data = data\n"
        "begin acl\n"
        "rcpt:\n"
        "  require message = relay not permitted\n    domains = +local\n"
        "  require verify = recipient\n  accept\n"
        "data:\n  accept\n"
        "begin routers\n"
        "kept:\n  driver = accept\n  domains = +local\n"
        f"  local_parts = {USER} : postmaster\n  transport = kept\n"
        "begin transports\n"
        f"kept:\n  driver = appendfile\n  directory = {folder}/kept\n  maildir_format\n"
    )
    return Program(
        (path, "-C", f"{folder}/exim.conf", "-bdf", "-q1h"),
        version(path, "-bV", pattern=r"Exim version ([\w.]+)"),
        (("exim.conf", text),),
        (
            certificate(service, folder),
            ("chown", "nobody:nogroup", f"{folder}/key.pem"),
            (*_PRIVATE, f"{folder}/spool", f"{folder}/log", f"{folder}/kept"),
        ),
    )


def _opensmtpd(path: str, service: ServicePlan, _folder: str) -> Program:
    # Its socket for smtpctl(8) is at a fixed place in /run, so there it finds its folder.
    place = "/run"
    listens = "".join(
        f'listen on "{address}" port {service.port} hostname "{service.host}"\n' for address in addresses(service)
    )
    text = (
        f'table users {{ {USER} = "65534:65534:{place}/kept" }}\n'
        f"table names {{ {USER} = {USER}, postmaster = {USER} }}\n"
        f"{listens}"
        f'action "keep" maildir "{place}/kept" userbase <users> alias <names>\n'
        f'match from any for domain {{ "{service.host}", "localhost" }} action "keep"\n'
    )
    return Program(
        (path, "-d", "-f", f"{place}/smtpd.conf"),
        version(path, "-h", pattern=r"OpenSMTPD ([\w.]+)"),
        (("smtpd.conf", text),),
        ((*_PRIVATE, f"{place}/kept"),),
        empty=("/var/spool",),
        binds=((".", place),),
    )


def _dovecot(path: str, service: ServicePlan, folder: str) -> Program:
    protocol = service.kind.removesuffix("s")
    listens = ", ".join(addresses(service))
    other = protocol if service.kind != protocol else f"{protocol}s"
    ssl = "\n    ssl = yes" if service.kind != protocol else ""
    text = f"""\
protocols = {protocol}
listen = {listens}
base_dir = {folder}/run
state_dir = {folder}/state
log_path = /dev/stderr
ssl = yes
ssl_cert = <{folder}/certificate.pem
ssl_key = <{folder}/key.pem
disable_plaintext_auth = no
mail_location = maildir:{folder}/mail
default_internal_user = nobody
default_internal_group = nogroup
default_login_user = nobody
mail_max_userip_connections = 0
auth_failure_delay = 0
passdb {{
  driver = passwd-file
  args = {folder}/users
}}
userdb {{
  driver = static
  args = uid=nobody gid=nogroup home={folder}/mail
}}
service anvil {{
  chroot =
}}
service stats {{
  chroot =
}}
service {protocol}-login {{
  chroot =
  service_count = 0
  inet_listener {service.kind} {{
    port = {service.port}{ssl}
  }}
  inet_listener {other} {{
    port = 0
  }}
}}
"""
    return Program(
        (path, "-F", "-c", f"{folder}/dovecot.conf"),
        version(path, "--version"),
        (
            ("dovecot.conf", text),
            ("users", f"{USER}:{{PLAIN}}{USER}\n"),
            ("mail/new/1.lab", _MESSAGE.format(user=USER, host=service.host)),
        ),
        (
            certificate(service, folder),
            ("chmod", "400", f"{folder}/users"),
        ),
        user="nobody",
    )


_WITH_TLS = (
    Candidate("postfix", "Postfix", "postfix", _postfix, also=("openssl",), needs_users=True),
    Candidate("exim4", "Exim", "exim4-daemon-light", _exim, also=("openssl",), needs_users=True),
)
# Its TLS fails with OpenSSL 3 up to 6.8.0p2, which Debian 12 has, and works from 7.3.0p0 on, so it is run without:
# https://github.com/OpenSMTPD/OpenSMTPD/issues/1171, mended by pull request 1208.
SMTP = (*_WITH_TLS, Candidate("smtpd", "OpenSMTPD", "opensmtpd", _opensmtpd, needs_users=True))
SMTPS = _WITH_TLS
POP3 = (Candidate("dovecot", "Dovecot", "dovecot-pop3d", _dovecot, also=("openssl",), needs_users=True),)
IMAP = (Candidate("dovecot", "Dovecot", "dovecot-imapd", _dovecot, also=("openssl",), needs_users=True),)
