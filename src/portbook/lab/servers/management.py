"""Servers that networks are watched by: Net-SNMP's agent; rsyslog and syslog-ng, which keep what others report."""

from __future__ import annotations

from portbook.lab.servers.program import (
    Candidate,
    Program,
    addresses,
    bracketed,
    user_among,
    version,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from portbook.lab.scenario import ServicePlan

MESSAGES = "messages"
"""The file in a service's folder that has what was reported to it."""


def _snmpd(path: str, service: ServicePlan, folder: str) -> Program:
    agents = ",".join(
        f"{'udp6' if ':' in address else 'udp'}:{bracketed(address)}:{service.port}" for address in addresses(service)
    )
    lines = [
        f"agentaddress {agents}",
        "rocommunity public default",
        "rocommunity6 public default",
        f"sysName {service.host}",
    ]
    modules = "-smux,agentx,mteTrigger,mteTriggerConf"
    return Program(
        (path, "-f", "-Le", "-C", "-c", f"{folder}/snmpd.conf", "-I", modules),
        version(path, "-v", pattern=r"version: +([\d.]+)"),
        (("snmpd.conf", "\n".join(lines) + "\n"),),
        empty=("/var/lib/snmp",),
        user=user_among("Debian-snmp"),
    )


def _rsyslogd(path: str, service: ServicePlan, folder: str) -> Program:
    lines = [
        f'global(workDirectory="{folder}" net.enableDNS="off")',
        'module(load="imudp")',
        *(f'input(type="imudp" address="{address}" port="{service.port}")' for address in addresses(service)),
        f'action(type="omfile" file="{folder}/{MESSAGES}" template="RSYSLOG_SyslogProtocol23Format")',
    ]
    return Program(
        (path, "-n", "-f", f"{folder}/rsyslog.conf", "-i", f"{folder}/rsyslogd.pid"),
        version(path, "-v", pattern=r"rsyslogd +([\d.]+)"),
        (("rsyslog.conf", "\n".join(lines) + "\n"),),
        user=user_among("syslog"),
    )


def _syslog_ng(path: str, service: ServicePlan, folder: str) -> Program:
    told = version(path, "--version", pattern=r"Config version: ([\d.]+)")
    sources = " ".join(
        f'network(transport("udp") ip-protocol({6 if ":" in address else 4}) ip("{address}") port({service.port})'
        " flags(syslog-protocol));"
        for address in addresses(service)
    )
    text = (
        f"@version: {told}\n"
        "options { use-dns(no); dns-cache(no); keep-hostname(yes); stats-freq(0); };\n"
        f"source reports {{ {sources} }};\n"
        f'destination kept {{ file("{folder}/{MESSAGES}" flags(syslog-protocol)); }};\n'
        "log { source(reports); destination(kept); };\n"
    )
    private = ("-R", f"{folder}/persist", "-p", f"{folder}/pid", "-c", f"{folder}/control")
    return Program(
        (path, "-F", "--no-caps", "-f", f"{folder}/syslog-ng.conf", *private),
        version(path, "--version", pattern=r"syslog-ng \d+ \(([\d.]+)\)"),
        (("syslog-ng.conf", text),),
        user=user_among("syslog"),
    )


SNMP = (Candidate("snmpd", "Net-SNMP", "snmpd", _snmpd),)
SYSLOG = (
    Candidate("rsyslogd", "rsyslog", "rsyslog", _rsyslogd),
    Candidate("syslog-ng", "syslog-ng", "syslog-ng-core", _syslog_ng),
)
