"""The makes that answer by HTTP are told by what they say of themselves, at few paths and on one connection."""

from __future__ import annotations

import pytest

from portbook.protocols.http import converse
from portbook.protocols.http_apis import MOST_FURTHER, further

from .driving import ASKED, Played, play


def _answer(status: str, fields: str = "", body: str = "") -> bytes:
    size = f"Content-Length: {len(body)}\r\n"
    return f"HTTP/1.1 {status}\r\n{fields}{size}\r\n{body}".encode()


def _asked(answers: dict[str, bytes], port: int = 1234, cut: int = 65536) -> Played:
    def answer(question: bytes) -> bytes:
        return answers.get(question.split(b" ")[1].decode(), _answer("404 Not Found"))

    return play(converse(ASKED._replace(port=port)), answer, cut=cut)


GO = _answer("404 Not Found", "X-Content-Type-Options: nosniff\r\n", "404 page not found\n")
_BUILD = '{"status":"success","data":{"version":"2.42.0+ds","revision":"2.42.0+ds-5","branch":"debian/sid"}}'

# What each says: etcd 3.4.23, Prometheus 2.42.0, InfluxDB 1.6.7 and Docker's registry 2.8.2 as they ran here, the
# others as their documentation has it, shortened.
MAKES = [
    ("etcd", "3.4.23", {"/": GO, "/version": _answer("200 OK", "", '{"etcdserver":"3.4.23","etcdcluster":"3.4.0"}')}),
    (
        "Prometheus",
        "2.42.0+ds",
        {
            "/": _answer("302 Found", "Location: /classic/graph\r\n", '<a href="/classic/graph">Found</a>.\n\n'),
            "/api/v1/status/buildinfo": _answer("200 OK", "", _BUILD),
        },
    ),
    (
        "InfluxDB",
        "1.6.7~rc0",
        {"/": _answer("404 Not Found", "X-Influxdb-Version: 1.6.7~rc0\r\n", "404 page not found\n")},
    ),
    ("InfluxDB", "2.7.1", {"/": _answer("200 OK", "X-Influxdb-Build: OSS\r\nX-Influxdb-Version: v2.7.1\r\n")}),
    (
        "Docker Registry",
        None,
        {
            "/": b"HTTP/1.1 200 OK\r\nCache-Control: no-cache\r\nDate: Sat, 21 Nov 2026 16:06:22 GMT\r\n"
            b"Content-Length: 0\r\n\r\n",
            "/v2/": _answer("200 OK", "Docker-Distribution-Api-Version: registry/2.0\r\n", "{}"),
        },
    ),
    (
        "Docker",
        "24.0.5",
        {
            "/": _answer("404 Not Found", "", '{"message":"page not found"}\n'),
            "/version": _answer(
                "200 OK",
                "Api-Version: 1.43\r\nServer: Docker/24.0.5 (linux)\r\n",
                '{"Platform":{"Name":"Docker Engine - Community"},"Components":[{"Name":"Engine","Version":"24.0.5"},'
                '{"Name":"containerd","Version":"1.6.22"}],"Version":"24.0.5","ApiVersion":"1.43"}',
            ),
        },
    ),
    (
        "Docker",
        "1.12.6",
        {
            "/": _answer("404 Not Found", "", '{"message":"page not found"}\n'),
            "/version": _answer("200 OK", "", '{"Version":"1.12.6","ApiVersion":"1.24","GoVersion":"go1.6.4"}'),
        },
    ),
    (
        "Podman",
        "4.3.1",
        {
            "/": _answer("404 Not Found", "", '{"message":"page not found"}\n'),
            "/version": _answer("200 OK", "", '{"Components":[{"Name":"Podman Engine","Version":"4.3.1"}]}'),
        },
    ),
    (
        "Kubernetes",
        "1.27.3",
        {
            "/": _answer("403 Forbidden", "", '{"kind":"Status","apiVersion":"v1","status":"Failure","code":403}'),
            "/version": _answer("200 OK", "", '{\n  "major": "1",\n  "gitVersion": "v1.27.3"\n}'),
        },
    ),
    (
        "Elasticsearch",
        "8.9.0",
        {
            "/": _answer(
                "200 OK",
                "X-elastic-product: Elasticsearch\r\n",
                '{"name":"a","version":{"number":"8.9.0","build_flavor":"default"},"tagline":"You Know, for Search"}',
            )
        },
    ),
    ("Elasticsearch", None, {"/": _answer("401 Unauthorized", "X-elastic-product: Elasticsearch\r\n", "{}")}),
    (
        "OpenSearch",
        "2.9.0",
        {
            "/": _answer(
                "200 OK",
                "",
                '{"version" : {"distribution" : "opensearch", "number" : "2.9.0"},'
                ' "tagline" : "The OpenSearch Project: https://opensearch.org/"}',
            )
        },
    ),
    (
        "Grafana",
        "10.0.3",
        {
            "/": _answer(
                "302 Found", "Location: /login\r\nX-Frame-Options: deny\r\n", '<a href="/login">Found</a>.\n\n'
            ),
            "/api/health": _answer(
                "200 OK", "", '{\n  "commit": "a",\n  "database": "ok",\n  "version": "10.0.3"\n}'
            ),
        },
    ),
    ("CouchDB", "3.3.2", {"/": _answer("200 OK", "", '{"couchdb":"Welcome","version":"3.3.2","features":[]}\n')}),
    (
        "Consul",
        "1.15.2",
        {
            "/": _answer("301 Moved Permanently", "Location: /ui/\r\n", '<a href="/ui/">Moved Permanently</a>.\n\n'),
            "/v1/agent/self": _answer(
                "200 OK", "", '{"Config":{"Datacenter":"dc1","NodeName":"a","Version":"1.15.2"},"DebugConfig":{}}'
            ),
        },
    ),
    (
        "Vault",
        "1.13.1",
        {
            "/": _answer("307 Temporary Redirect", "Location: /ui/\r\n"),
            "/v1/sys/health": _answer("503 Sealed", "", '{"initialized":true,"sealed":true,"version":"1.13.1"}'),
        },
    ),
    (
        "Jenkins",
        "2.401.3",
        {"/": _answer("403 Forbidden", "Server: Jetty(10.0.13)\r\nX-Hudson: 1.395\r\nX-Jenkins: 2.401.3\r\n")},
    ),
    (
        "Gitea",
        "1.20.2",
        {
            "/": _answer("200 OK", "Set-Cookie: i_like_gitea=1; Path=/\r\n"),
            "/api/v1/version": _answer("200 OK", "", '{"version":"1.20.2"}'),
        },
    ),
    (
        "Forgejo",
        "7.0.1",
        {
            "/": _answer("200 OK", "", '<meta name="author" content="Forgejo">'),
            "/api/v1/version": _answer("200 OK", "", '{"version":"7.0.1+gitea-1.22.0"}'),
        },
    ),
    ("GitLab", None, {"/": _answer("302 Found", "Server: nginx\r\nSet-Cookie: _gitlab_session=1\r\n")}),
    ("RabbitMQ", None, {"/": _answer("200 OK", "server: Cowboy\r\n", "<title>RabbitMQ Management</title>")}),
    ("MinIO", None, {"/": _answer("403 Forbidden", "Server: MinIO\r\n")}),
    (
        "Nextcloud",
        "27.0.2",
        {
            "/": _answer("302 Found", "Server: Apache/2.4.57\r\nSet-Cookie: nc_sameSiteCookielax=true\r\n"),
            "/status.php": _answer(
                "200 OK",
                "Server: Apache/2.4.57\r\n",
                '{"installed":true,"version":"27.0.2.1","versionstring":"27.0.2","productname":"Nextcloud",'
                '"extendedSupport":false}',
            ),
        },
    ),
    ("Home Assistant", None, {"/": _answer("200 OK", "", "<title>Home Assistant</title>")}),
    (
        "Jellyfin",
        "10.8.10",
        {
            "/": _answer("302 Found", "Server: Kestrel\r\nLocation: web/index.html\r\n"),
            "/System/Info/Public": _answer(
                "200 OK", "", '{"ServerName":"a","Version":"10.8.10","ProductName":"Jellyfin Server"}'
            ),
        },
    ),
    (
        "Portainer",
        "2.18.4",
        {
            "/": _answer("200 OK", "", "<title>Portainer</title>"),
            "/api/system/status": _answer("200 OK", "", '{"Version":"2.18.4","InstanceID":"a-b"}'),
        },
    ),
    (
        "Traefik",
        "2.10.1",
        {
            "/": _answer("302 Found", "Location: /dashboard/\r\n"),
            "/api/version": _answer("200 OK", "", '{"Version":"2.10.1","Codename":"saintmarcelin"}'),
        },
    ),
    (
        "Kibana",
        "8.9.0",
        {
            "/": _answer("302 Found", "location: /login?next=%2F\r\nkbn-name: a\r\n"),
            "/api/status": _answer("200 OK", "", '{"name":"a","version":{"number":"8.9.0","build_hash":"b"}}'),
        },
    ),
    (
        "Solr",
        "9.2.1",
        {
            "/": _answer("302 Found", "Location: http://a:8983/solr/\r\n"),
            "/solr/admin/info/system?wt=json": _answer("200 OK", "", '{"lucene":{"solr-spec-version":"9.2.1"}}'),
        },
    ),
    (
        "ClickHouse",
        "23.3.1.2823",
        {
            "/": _answer("200 OK", "Connection: Keep-Alive\r\n", "Ok.\n"),
            "/?query=": _answer(
                "400 Bad Request",
                "",
                "Code: 62. DB::Exception: Empty query. (SYNTAX_ERROR) (version 23.3.1.2823 (official))",
            ),
        },
    ),
    ("Syncthing", "1.23.0", {"/": _answer("200 OK", "X-Syncthing-Version: v1.23.0\r\n")}),
]


@pytest.mark.parametrize("cut", [1, 65536])
@pytest.mark.parametrize(("product", "version", "answers"), MAKES, ids=[f"{one[0]} {one[1]}" for one in MAKES])
def test_makes_name_themselves(product: str, version: str | None, answers: dict[str, bytes], cut: int) -> None:
    played = _asked(answers, cut=cut)
    assert played.finding is not None
    assert (played.finding.service, played.finding.product, played.finding.version) == ("http", product, version)
    assert len(played.said) <= 1 + MOST_FURTHER


@pytest.mark.parametrize(
    ("port", "answers", "product", "version"),
    [
        (2379, {"/version": _answer("200 OK", "", '{"etcdserver":"3.5.0","etcdcluster":"3.5.0"}')}, "etcd", "3.5.0"),
        (
            32400,
            {
                "/identity": _answer(
                    "200 OK", "", '<MediaContainer size="0" machineIdentifier="a" version="1.32.5-8f">'
                )
            },
            "Plex Media Server",
            "1.32.5-8f",
        ),
        (1234, {"/version": _answer("200 OK", "", '{"etcdserver":"3.5.0"}')}, None, None),
    ],
)
def test_the_port_is_a_hint(port: int, answers: dict[str, bytes], product: str | None, version: str | None) -> None:
    found = _asked(answers, port).finding
    assert found is not None
    assert (found.product, found.version) == (product, version)


def test_a_chunked_answer_keeps_the_connection() -> None:
    first = (
        b"HTTP/1.1 404 Not Found\r\nTransfer-Encoding: chunked\r\n\r\n8\r\n404 page\r\nb\r\n not found\n\r\n0\r\n\r\n"
    )
    version = _answer("200 OK", "", '{"etcdserver":"3.5.0"}')
    found = _asked({"/": first, "/version": version}, cut=1).finding
    assert found is not None
    assert found.version == "3.5.0"


@pytest.mark.parametrize(
    "first",
    [
        GO.replace(b"HTTP/1.1", b"HTTP/1.0"),
        GO.replace(b"X-Content-Type-Options: nosniff", b"Connection: close"),
        GO.replace(b"Content-Length: 19", b"Content-Length: 40"),
    ],
)
def test_nothing_more_is_asked_where_the_connection_does_not_last(first: bytes) -> None:
    played = _asked({"/": first})
    assert played.finding is not None
    assert len(played.said) == 1


def test_a_known_product_is_not_asked_by_its_port() -> None:
    played = _asked({"/": _answer("200 OK", "Server: nginx/1.22.1\r\n", "hello")}, 2379)
    assert len(played.said) == 1


def test_nothing_is_asked_for_after_a_page_that_matches_nothing() -> None:
    assert further(b"HTTP/1.1 200 OK\r\n" * 500, b'{"' * 16384, 1234, known=False) == ()
