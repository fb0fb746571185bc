"""What a program calls itself where a protocol has a field for that: Server, User-Agent, SOFTWARE, SERVER of UPnP.

All are written as RFC 9110, section 10.1.5 has it, or as somebody thought that it has: `product/version (comment)`.
"""

from __future__ import annotations

import re

_TOLD = re.compile(
    r"(?P<product>[^\s/(\[][^/(\[]*?)"
    r"(?:/ *[vVrR]?(?P<version>\d[\w.+~:-]*)|[ -]+[vV]?(?P<joined>\d+\.[\w.+~:-]*)|\s*\(v?(?P<inside>\d[\w.+~:-]*)"
    r"|(?:/[^\s\d]*)?(?=[\s/(\[;,]*[(\[;,])|/[^\s\d]\S*|/?\s*\Z)"
)
_UPNP = re.compile(r"UPnP/\d\.\d[,;]?\s+(?P<rest>\S.*)", re.IGNORECASE)
_DATED = re.compile(r"\d{1,2}[A-Z][a-z]{2}\d{4}\Z")

_CALLED = {
    "apache-coyote": "Apache Tomcat",
    "ats": "Apache Traffic Server",
    "asterisk pbx": "Asterisk",
    "fpbx": "FreePBX",
    "freeswitch-mod_sofia": "FreeSWITCH",
    "kamailio": "Kamailio",
    "libpod": "Podman",
    "none": None,
    "opensips": "OpenSIPS",
    "squid": "Squid",
    "tornadoserver": "Tornado",
    "twistedweb": "Twisted",
    "coturn": "coturn",
    "varnish": "Varnish",
}
"""What people call programs that write their names otherwise; the keys are in lower case."""

_NO_VERSION = frozenset({"apache-coyote"})
"""Those whose number is not the program's."""


def software(told: str) -> tuple[str | None, str | None]:
    """Return the product and the version in what a program says of itself; the first, where it names several.

    UPnP wants `system/version UPnP/1.1 product/version`, of which the last is the program (UPnP Device Architecture
    2.0, section 1.3.3); Python's servers put their library or its language first.
    """
    told = told[:300].strip()
    behind = _UPNP.search(told)
    if behind is not None:
        told = behind["rest"]
    elif told.startswith(("Python/", "CPython/")) and " " in told:
        told = told.partition(" ")[2]
    named = _TOLD.match(told)
    if named is None:
        return told or None, None
    product = named["product"].strip(" -,;")
    version = named["version"] or named["joined"] or named["inside"]
    if version is not None:
        version = version.rstrip(".,:-")
        if _DATED.match(version):
            version = None
    key = product.lower()
    return _CALLED.get(key, product) or None, None if key in _NO_VERSION else version
