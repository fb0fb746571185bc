"""The makes that answer by HTTP and name themselves otherwise than by Server: in a field, a body, or at a path.

What an answer tells is `naming`, which paths are worth asking for `further`. Both are chosen by what an answer holds,
the second by the port's number too where nothing else is known. How HTTP is spoken is http.py's.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from portbook.protocols.conversation import text

MOST_FURTHER = 2
"""How many paths are asked for beyond the first."""


FIRST = {32400: "/identity"}
"""The paths asked for first instead of /, by port: Plex closes the connection after a refusal."""


class Make(NamedTuple):
    """A product, and what proves it: something in the head, in the body, or in both, of an answer; at one path only.

    A group named `version` has the version.
    """

    product: str
    head: re.Pattern[bytes] | None = None
    body: re.Pattern[bytes] | None = None
    path: str | None = None


class Hint(NamedTuple):
    """The paths worth asking for where the first answer's head and body match, or at the home ports of a make."""

    paths: tuple[str, ...]
    head: re.Pattern[bytes] | None = None
    body: re.Pattern[bytes] | None = None
    ports: tuple[int, ...] = ()


def _field(name: bytes, value: bytes = rb"[^\r\n]*") -> re.Pattern[bytes]:
    return re.compile(rb"(?i)\n" + name + rb": ?" + value)


def _body(pattern: bytes) -> re.Pattern[bytes]:
    return re.compile(pattern)


_NUMBER = rb"[vV]?(?P<version>\d[^\s\"'<>,;()]{0,60})"
_VERSION = rb'"[vV]ersion" ?: ?"' + _NUMBER
_HEALTH = rb'\{(?=[^{}]{0,300}"database" ?: ?")[^{}]{0,300}?'

_PROMETHEUS = _field(b"Location", rb"[^\r\n]{0,100}/(?:graph|query)\r?\n")

_MAKES = (
    Make("Jenkins", head=_field(b"X-Jenkins", _NUMBER)),
    Make("Hudson", head=_field(b"X-Hudson", _NUMBER)),
    Make("Podman", body=_body(rb'"Name":"Podman Engine","Version":"' + _NUMBER)),
    Make("Docker", body=_body(rb'"Name":"Engine","Version":"' + _NUMBER)),
    Make("Docker", body=_body(rb'\A.{0,40}"Version":"' + _NUMBER + rb'","ApiVersion":"'), path="/version"),
    Make("Docker Registry", head=_field(b"Docker-Distribution-Api-Version", rb"registry/")),
    Make("Kubernetes", body=_body(rb'"gitVersion": ?"' + _NUMBER)),
    Make("Kubernetes", body=_body(rb'"kind": ?"Status",\s{0,9}"apiVersion": ?"v1"')),
    Make("etcd", body=_body(rb'"etcdserver": ?"' + _NUMBER)),
    Make("OpenSearch", body=_body(rb'(?s)"number" ?: ?"' + _NUMBER + rb'".{0,800}The OpenSearch Project')),
    Make("Elasticsearch", body=_body(rb'(?s)"number" ?: ?"' + _NUMBER + rb'".{0,800}You Know, for Search')),
    Make("Elasticsearch", head=_field(b"X-Elastic-Product", rb"Elasticsearch")),
    Make("Grafana Mimir", body=_body(rb'"application":"Grafana Mimir","version":"' + _NUMBER)),
    Make("Prometheus", body=_body(rb'"data":\{"version":"' + _NUMBER + rb'","revision"')),
    Make("Prometheus", _PROMETHEUS, _body(rb'<a href="[^"]{0,100}/(?:graph|query)">Found</a>')),
    Make("Alertmanager", body=_body(rb'"versionInfo":\{[^{}]{0,400}"version":"' + _NUMBER)),
    Make("Alertmanager", body=_body(rb"<title>Alertmanager</title>")),
    Make("Prometheus Node Exporter", body=_body(rb"(?s)<title>Node Exporter</title>.{0,4000}\(version=" + _NUMBER)),
    Make("Prometheus Node Exporter", body=_body(rb"<title>Node Exporter</title>")),
    Make(
        "Grafana Loki",
        body=_body(rb'\A\{"version":"' + _NUMBER + rb'","revision"'),
        path="/loki/api/v1/status/buildinfo",
    ),
    Make("Grafana", body=_body(_HEALTH + _VERSION), path="/api/health"),
    Make("Grafana", body=_body(rb"<title>Grafana</title>")),
    Make("Grafana", head=_field(b"Set-Cookie", rb"grafana_session=")),
    Make("InfluxDB", head=_field(b"X-Influxdb-Version", _NUMBER)),
    Make("CouchDB", body=_body(rb'"couchdb": ?"Welcome", ?"version": ?"' + _NUMBER)),
    Make("Consul", body=_body(rb'(?s)"Config": ?\{\s{0,20}"Datacenter".{0,600}?' + _VERSION)),
    Make("Consul", head=_field(b"X-Consul-[A-Za-z-]{1,40}")),
    Make("Consul", body=_body(rb"<title>Consul by HashiCorp</title>")),
    Make("Nomad", body=_body(rb'(?s)"Version":\{[^{}]{0,300}"Version":"' + _NUMBER), path="/v1/agent/self"),
    Make("Vault", body=_body(rb'"initialized": ?\w+,\s{0,9}"sealed"[^{}]{0,600}?' + _VERSION)),
    Make("GitLab", head=_field(b"X-Gitlab-Meta")),
    Make("GitLab", head=_field(b"Set-Cookie", rb"_gitlab_session=")),
    Make("Forgejo", body=_body(rb'\A\{"version":"(?P<version>\d[^"+]{0,40})\+gitea-'), path="/api/v1/version"),
    Make("Gitea", body=_body(rb'\A\{"version":"' + _NUMBER + rb'"\}'), path="/api/v1/version"),
    Make("Forgejo", body=_body(rb'<meta name="author" content="Forgejo')),
    Make("Gitea", body=_body(rb'<meta name="author" content="Gitea')),
    Make("Gitea", head=_field(b"Set-Cookie", rb"i_like_gitea=")),
    Make("RabbitMQ", body=_body(rb"<title>RabbitMQ Management</title>")),
    Make("RabbitMQ", head=_field(b"WWW-Authenticate", rb'Basic realm="RabbitMQ Management"')),
    Make("ActiveMQ", head=_field(b"WWW-Authenticate", rb'Basic realm="ActiveMQRealm"')),
    Make("MinIO", head=_field(b"Server", rb"MinIO(?:/(?P<version>\S{1,60}))?")),
    Make("ownCloud", body=_body(rb'"versionstring":"' + _NUMBER + rb'"[^{}]{0,200}"productname":"ownCloud"')),
    Make("Nextcloud", body=_body(rb'"versionstring":"' + _NUMBER + rb'"[^{}]{0,200}"extendedSupport"')),
    Make("Nextcloud", head=_field(b"Set-Cookie", rb"(?:__Host-)?nc_sameSiteCookie")),
    Make("Home Assistant", body=_body(rb"<title>Home Assistant</title>")),
    Make("Jellyfin", body=_body(rb'"Version":"' + _NUMBER + rb'","ProductName":"Jellyfin Server"')),
    Make("Emby", body=_body(rb'\{(?=[^{}]{0,600}"LocalAddress)[^{}]{0,600}?' + _VERSION), path="/System/Info/Public"),
    Make("Plex Media Server", body=_body(rb'<MediaContainer [^<>]{0,200}\bversion="' + _NUMBER)),
    Make("Plex Media Server", head=_field(b"X-Plex-Protocol")),
    Make("Portainer", body=_body(rb'\{(?=[^{}]{0,300}"InstanceID":")[^{}]{0,300}?' + _VERSION)),
    Make("Portainer", body=_body(rb"<title>Portainer</title>")),
    Make("Traefik", body=_body(_VERSION + rb'","Codename":')),
    Make("Kibana", body=_body(rb'"version":\{"number":"' + _NUMBER + rb'","build_hash"')),
    Make("Kibana", head=_field(b"kbn-(?:name|version|license-sig)")),
    Make("Solr", body=_body(rb'"solr-spec-version" ?: ?"' + _NUMBER)),
    Make("Solr", head=_field(b"Location", rb"(?:https?://[^/\s]{1,100})?/solr/\r?\n")),
    Make("ClickHouse", body=_body(rb"(?s)DB::Exception.{0,600}?\(version " + _NUMBER)),
    Make("ClickHouse", head=_field(b"X-ClickHouse-[A-Za-z-]{1,40}")),
    Make("ClickHouse", body=_body(rb"Use / or /ping for health checks")),
    Make("CUPS", body=_body(rb"(?i)<title>[^<>]{0,60} - CUPS " + _NUMBER)),
    Make("Apache Tomcat", body=_body(rb"<(?:title|h3)>Apache Tomcat/" + _NUMBER)),
    Make("Syncthing", head=_field(b"X-Syncthing-Version", _NUMBER)),
    Make("Artifactory", head=_field(b"X-JFrog-Version", rb"Artifactory/" + _NUMBER)),
    Make("SonarQube", body=_body(rb"\A" + _NUMBER + rb"\s?\Z"), path="/api/server/version"),
    Make("SonarQube", body=_body(rb"<title>SonarQube")),
    Make("Neo4j", body=_body(rb'"neo4j_version" ?: ?"' + _NUMBER)),
    Make("Qdrant", body=_body(rb'"title":"qdrant[^"]{0,60}","version":"' + _NUMBER)),
    Make("Ollama", body=_body(rb'\A\{"version":"' + _NUMBER + rb'"\}'), path="/api/version"),
    Make("Ollama", body=_body(rb"\AOllama is running")),
    Make("NATS", body=_body(rb'"server_id": ?"[A-Z0-9]{10,80}"(?s:.{0,300}?)"version": ?"' + _NUMBER)),
    Make(
        "PHP",
        body=_body(rb'The requested resource <code class="url">[^<]{0,200}</code> was not found on this server'),
    ),
    Make("HAProxy", body=_body(rb"<h1>503 Service Unavailable</h1>\s?No server is available to handle this request")),
    Make("HAProxy", body=_body(rb"<h1>400 Bad request</h1>\s?Your browser sent an invalid request\.\s")),
    Make("Varnish", body=_body(rb"(?s)<h3>Guru Meditation:</h3>.{0,300}<p>Varnish cache server</p>")),
)
"""The makes, those before others that are told from them by more."""

_HINTS = (
    Hint(("/version",), body=_body(rb'\A\{"message":"page not found"\}'), ports=(2375, 2376, 4243)),
    Hint(("/version",), body=_body(rb'"kind": ?"Status",\s{0,9}"apiVersion": ?"v1"'), ports=(6443, 8001, 16443)),
    Hint(("/version",), ports=(2379, 4001)),
    Hint(("/api/v1/status/buildinfo",), _PROMETHEUS, ports=(9090,)),
    Hint(("/api/v2/status",), body=_body(rb"<title>Alertmanager</title>"), ports=(9093,)),
    Hint(("/loki/api/v1/status/buildinfo",), ports=(3100,)),
    Hint(("/api/health",), body=_body(rb"<title>Grafana</title>"), ports=(3000,)),
    Hint(("/api/health",), _field(b"Set-Cookie", rb"(?:grafana_session|redirect_to)=")),
    Hint(("/api/health",), _field(b"Location", rb"/login\r?\n")),
    Hint(("/v1/agent/self",), ports=(8500, 4646)),
    Hint(("/v1/sys/health",), ports=(8200,)),
    Hint(("/v1/agent/self", "/v1/sys/health"), _field(b"Location", rb"/ui/?\r?\n")),
    Hint(("/api/v1/version",), _field(b"Set-Cookie", rb"i_like_gitea=")),
    Hint(("/api/v1/version",), body=_body(rb'<meta name="author" content="(?:Gitea|Forgejo)')),
    Hint(
        ("/status.php",),
        head=_field(b"Set-Cookie", rb"oc[0-9a-z]{8,14}=|(?:__Host-)?nc_sameSiteCookie|oc_sessionPass"),
    ),
    Hint(
        ("/System/Info/Public",),
        head=_field(b"Location", rb"(?:https?://[^/\s]{1,100}/|/)?web/(?:index\.html)?\r?\n"),
    ),
    Hint(("/System/Info/Public",), body=_body(rb"<title>(?:Jellyfin|Emby)"), ports=(8096,)),
    Hint(("/identity",), head=_field(b"X-Plex-Protocol"), ports=(32400,)),
    Hint(("/api/system/status", "/api/status"), body=_body(rb"<title>Portainer</title>")),
    Hint(("/api/version",), head=_field(b"Location", rb"/dashboard/?\r?\n")),
    Hint(("/api/version",), body=_body(rb"\AOllama is running"), ports=(11434,)),
    Hint(("/api/status",), head=_field(b"kbn-(?:name|version|license-sig)"), ports=(5601,)),
    Hint(
        ("/solr/admin/info/system?wt=json",), head=_field(b"Location", rb"[^\r\n]{0,100}/solr/\r?\n"), ports=(8983,)
    ),
    # A query that is empty is refused, and the refusal has the version.
    Hint(("/?query=",), _field(b"X-ClickHouse-[A-Za-z-]{1,40}"), ports=(8123,)),
    Hint(("/?query=",), body=_body(rb"\AOk\.\n\Z")),
    Hint(("/v2/",), ports=(5000, 5001)),
    Hint(
        ("/v2/",),
        re.compile(rb"\AHTTP/1\.1 200 OK\r\nCache-Control: no-cache\r\nDate: [^\r\n]+\r\nContent-Length: 0"),
    ),
    Hint(("/api/server/version",), body=_body(rb"<title>SonarQube")),
    Hint(("/varz",), body=_body(rb"(?i)<title>NATS|nats\.io"), ports=(8222,)),
    # What Go's own server says where there is no such page: most of the above are written in it.
    Hint(("/version", "/v1/agent/self"), body=_body(rb"\A404 page not found\n\Z")),
)


def naming(head: bytes, body: bytes, path: str) -> tuple[str, str | None] | None:
    """Return the product, and its version where it is told, that the answer to a request for a path proves."""
    for make in _MAKES:
        if make.path not in (None, path):
            continue
        parts = ((make.head, head), (make.body, body))
        found = [pattern.search(data) for pattern, data in parts if pattern is not None]
        if all(found):
            versions = [one["version"] for one in found if one is not None and "version" in one.re.groupindex]
            version = next(filter(None, versions), None)
            return make.product, None if version is None else text(version)
    return None


def further(head: bytes, body: bytes, port: int, known: bool) -> tuple[str, ...]:
    """Return the paths to ask for after the answer to the first; by the port only where no product is known yet."""
    paths: dict[str, None] = {}
    for hint in _HINTS:
        parts = ((hint.head, head), (hint.body, body))
        found = [pattern.search(data) for pattern, data in parts if pattern is not None]
        if (found and all(found)) or (not known and port in hint.ports):
            paths.update(dict.fromkeys(hint.paths))
    return tuple(paths)[:MOST_FURTHER]
