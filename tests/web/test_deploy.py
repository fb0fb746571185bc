"""What deploy/ holds, tried: the settings read, the unit verified, and portbook behind the real nginx and Caddy."""

from __future__ import annotations

import re
import shutil
import socket
import subprocess
import time
import tomllib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path

import httpx
import pytest

from portbook.web.settings import Settings, read_settings

from .. import servers
from .conftest import Serving

FOLDER = Path(__file__).parents[2] / "deploy"
EXAMPLE = "192.0.2.77"
"""Whom a visitor claims to be."""


def written(name: str) -> str:
    return (FOLDER / name).read_text(encoding="utf-8")


def test_the_settings_file_has_every_setting_and_its_default(
    tmp_path: Path, made_settings: Callable[..., Settings]
) -> None:
    made_settings()  # without what the environment sets
    path = tmp_path / "portbook.toml"
    path.write_text(written("portbook.toml"))
    assert read_settings(str(path)).model_dump() == read_settings(None).model_dump()
    path.write_text(re.sub(r"^#(?=[a-z_]+ = |\[)", "", written("portbook.toml"), flags=re.MULTILINE))
    set_there = tomllib.loads(path.read_text())
    assert set(set_there) == set(Settings.model_fields)
    whole = read_settings(str(path))
    default = read_settings(None)
    for part in ("quotas", "connections", "logs"):
        assert set(set_there[part]) == set(type(getattr(default, part)).model_fields)
        assert getattr(whole, part) == getattr(default, part)
    for name in ("listen", "mode", "name", "forwarded_header", "lan", "retention_days", "workers", "metrics"):
        assert getattr(whole, name) == getattr(default, name), name


def test_the_unit_is_right_and_exposes_little() -> None:
    analyze = shutil.which("systemd-analyze")
    if analyze is None:
        pytest.skip("systemd-analyze is not installed")
    path = FOLDER / "portbook.service"
    said = subprocess.run([analyze, "verify", "--man=no", path], capture_output=True, text=True, check=False).stderr
    complaints = [
        line for line in said.splitlines() if "portbook.service" in line and "is not executable" not in line
    ]
    assert complaints == []
    judged = subprocess.run(
        [analyze, "security", "--offline=true", path], capture_output=True, text=True, check=False
    ).stdout
    if not judged:
        pytest.skip("this systemd-analyze cannot judge a file")
    assert float(judged.rpartition("portbook.service: ")[2].split()[0]) < 2


@contextmanager
def nginx(folder: Path, backend: str) -> Iterator[str]:
    def command(place: Path, port: int) -> list[str]:
        site = written("nginx.conf").replace("127.0.0.1:8080;", f"{backend};")
        site = site.replace("listen 80;", f"listen 127.0.0.1:{port};").replace("listen [::]:80;", "")
        temporary = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        places = " ".join(f"{name}_temp_path {place}/{name};" for name in temporary)
        (place / "conf").write_text(
            f"daemon off; pid {place}/pid; error_log {place}/log; events {{}}\n"
            f"http {{ access_log off; {places}\n{site}\n}}"
        )
        return [servers.program("nginx"), "-c", f"{place}/conf", "-e", f"{place}/log"]

    with servers.started(command, "nginx") as server:
        yield f"http://127.0.0.1:{server.port}"


@contextmanager
def caddy(folder: Path, backend: str) -> Iterator[str]:
    def command(place: Path, port: int) -> list[str]:
        site = written("Caddyfile").replace("127.0.0.1:8080 {", f"{backend} {{")
        site = site.replace("ports.example.org {", f"http://127.0.0.1:{port} {{")
        (place / "Caddyfile").write_text(f"{{\n\tadmin off\n\tauto_https off\n}}\n{site}")
        home = ["env", f"HOME={place}", f"XDG_DATA_HOME={place}", f"XDG_CONFIG_HOME={place}"]
        return [*home, servers.program("caddy"), "run", "--adapter", "caddyfile", "--config", f"{place}/Caddyfile"]

    with servers.started(command, "caddy") as server:
        yield f"http://127.0.0.1:{server.port}"


@pytest.mark.servers
@pytest.mark.parametrize(
    ("proxy", "header"), [(nginx, "forwarded"), (caddy, "x-forwarded-for")], ids=["nginx", "caddy"]
)
def test_behind_a_proxy(
    proxy: Callable[[Path, str], AbstractContextManager[str]], header: str, serving: Serving, tmp_path: Path
) -> None:
    backend = serving(forwarded_header=header, trusted_proxies=("127.0.0.2/32",), metrics="all").removeprefix(
        "http://"
    )
    with ExitStack() as stack:
        url = stack.enter_context(proxy(tmp_path, backend))
        # The proxy is no trusted one for this server: its visitors are one address, and its word is not taken.
        assert httpx.get(f"{url}/api/v1/me").json()["ip"] == "127.0.0.1"
    backend = serving(forwarded_header=header, trusted_proxies=("127.0.0.1/32",), metrics="all").removeprefix(
        "http://"
    )
    with ExitStack() as stack:
        url = stack.enter_context(proxy(tmp_path, backend))
        web = stack.enter_context(
            httpx.Client(transport=httpx.HTTPTransport(local_address="127.0.0.9"), base_url=url, timeout=30)
        )
        forged = {"x-forwarded-for": EXAMPLE, "forwarded": f"for={EXAMPLE}", "x-forwarded-proto": "https"}
        told = web.get("/api/v1/me", headers=forged).json()
        assert told["ip"] == "127.0.0.9"
        assert (told["port"] is not None) == (header == "forwarded")
        assert web.get("/metrics").status_code == 403
        run = web.post("/api/v1/tests", json={"ports": "1", "consent": True}, headers={"prefer": "respond-async"})
        assert run.status_code == 202, run.text
        events = [line for line in web.get(run.json()["events"]).text.splitlines() if line.startswith("event:")]
        assert events == ["event: asked", "event: test", "event: over"]


@pytest.mark.servers
@pytest.mark.parametrize(
    ("proxy", "header"), [(nginx, "forwarded"), (caddy, "x-forwarded-for")], ids=["nginx", "caddy"]
)
def test_a_proxy_passes_events_on_as_they_come(
    proxy: Callable[[Path, str], AbstractContextManager[str]], header: str, serving: Serving, tmp_path: Path
) -> None:
    backend = serving(forwarded_header=header, trusted_proxies=("127.0.0.1/32",)).removeprefix("http://")
    with ExitStack() as stack:
        port = stack.enter_context(socket.create_server(("127.0.0.9", 0))).getsockname()[1]
        url = stack.enter_context(proxy(tmp_path, backend))
        asked = {"ports": str(port), "consent": True}
        visitor = httpx.HTTPTransport(local_address="127.0.0.9")
        web = stack.enter_context(httpx.Client(transport=visitor, base_url=url, timeout=60))
        run = web.post("/api/v1/tests", json=asked, headers={"prefer": "respond-async"}).json()
        came: dict[str, float] = {}
        with web.stream("GET", run["events"]) as stream:
            for line in stream.iter_lines():
                if line.startswith("event:"):
                    came.setdefault(line.partition(": ")[2], time.monotonic())
                if "over" in came:
                    break
        # Nobody speaks at the port: that it is open is known long before that nothing is said there.
        assert came["over"] - came["asked"] > 1
        assert came["over"] - came["test"] > 1
