"""What an operator may set, its defaults, and where it is read: a TOML file, then PORTBOOK_... of the environment.

Every setting stands here once. What is unsafe about a whole of them is checking.py's to say.
"""

from __future__ import annotations

import os
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Annotated, Literal, TypeVar
from urllib.parse import urlsplit

from limits import parse_many
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict, TomlConfigSettingsSource

from portbook.columns import pack_address
from portbook.endpoint import Endpoint, reach
from portbook.errors import N_, BadQuestion
from portbook.registry.lookup import user_data_folder
from portbook.web.allowed import Allowed
from portbook.web.visitor import normalised

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from pydantic_settings import PydanticBaseSettingsSource

Network = Annotated[IPv4Network | IPv6Network, BeforeValidator(lambda text: ip_network(text, strict=False))]
Port = Annotated[int, Field(ge=0, le=65535)]
Mode = Literal["local", "lan", "public"]

LAN = ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7")
"""Private networks (RFC 1918, RFC 4193)."""
_LAN = tuple(map(ip_network, LAN))


_LOOPBACK = ("localhost", "127.0.0.1", "::1")
_MOST_OF_ISSUER = 140
"""Characters: with a subject, which may have 255, it stands in a column of 400."""


def _endpoint(value: object) -> Endpoint:
    """Return ADDRESS:PORT or [IPv6]:PORT taken apart."""
    if isinstance(value, Endpoint):
        return value
    ip, colon, port = str(value).rpartition(":")
    ip = ip.removeprefix("[").removesuffix("]")
    if not colon or not (port.isascii() and port.isdigit() and int(port) <= 65535):
        raise ValueError("ADDRESS:PORT, or [IPv6]:PORT")
    ip_network(ip)
    return Endpoint(ip, int(port))


def _rate(text: str) -> str:
    parse_many(text)
    return text


def _origin(text: str) -> str:
    scheme, slashes, host = text.rstrip("/").partition("://")
    if scheme not in ("http", "https") or not slashes or not host or "/" in host:
        raise ValueError("https://HOST")
    return text.rstrip("/")


def _issuer(text: str) -> str:
    """Return the issuer of a provider as it stands: its tokens must name it to the last slash."""
    parts = urlsplit(text)
    trusted = parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in _LOOPBACK)
    plain = text.isascii() and text.isprintable() and not {" ", "@", "?", "#"} & set(text)
    if not (trusted and plain and parts.hostname and len(text) <= _MOST_OF_ISSUER):
        raise ValueError("https://HOST/PATH")
    return text


def _host(text: str) -> str:
    try:
        Allowed.of((text,))
    except BadQuestion as error:
        raise ValueError(str(error)) from error
    return text


def _own_address(text: str) -> str:
    """Return an address as all of the server writes it."""
    try:
        return str(normalised(text))
    except BadQuestion as error:
        raise ValueError(str(error)) from error


def _private(network: IPv4Network | IPv6Network) -> IPv4Network | IPv6Network:
    if not any(network.version == one.version and network.subnet_of(one) for one in _LAN):  # type: ignore[arg-type]
        raise ValueError(f"{network} is none of the private networks ({', '.join(LAN)})")
    return network


def _listed(value: object) -> object:
    """Return the items of a list, which the environment holds as `a,b`."""
    return [item.strip() for item in value.split(",") if item.strip()] if isinstance(value, str) else value


_Item = TypeVar("_Item")
List = Annotated[tuple[_Item, ...], NoDecode, BeforeValidator(_listed)]
Rate = Annotated[str, AfterValidator(_rate)]
Origin = Annotated[str, AfterValidator(_origin)]
Issuer = Annotated[str, AfterValidator(_issuer)]
Host = Annotated[str, AfterValidator(_host)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Quotas(_Part):
    """How often may be tested, and how much at once; a rate is written as `20/hour` or `5/minute;50/day`."""

    address: Rate = "30/hour"
    network: Rate = "120/hour"
    all: Rate = "1200/minute"
    requests: Rate = "600/minute"
    network_requests: Rate = "6000/minute"
    signin: Rate = "10/minute;50/day"
    signin_name: Rate = "60/hour;300/day"
    ports: Annotated[int, Field(ge=1, le=4096)] = 128
    at_once: Annotated[int, Field(ge=1, le=1_000_000)] = 8000
    seconds: Annotated[float, Field(gt=0, le=3600)] = 90.0
    cached: Annotated[float, Field(ge=0, le=3600)] = 20.0


class Connections(_Part):
    """How many connections a worker holds, of one address (an IPv6 /64) and in all, and how long they may take, in
    seconds: for a request's head, for its body, and to take an answer.
    """

    address: Annotated[int, Field(ge=1, le=1_000_000)] = 256
    all: Annotated[int, Field(ge=1, le=1_000_000)] = 8192
    head: Annotated[float, Field(gt=0, le=3600)] = 10.0
    body: Annotated[float, Field(gt=0, le=3600)] = 20.0
    answer: Annotated[float, Field(gt=0, le=3600)] = 30.0


class Logs(_Part):
    """What is written of each request; `addresses` is what of the visitor's address: none, its network, or all."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    addresses: Literal["none", "network", "full"] = "none"
    format: Literal["json", "text"] = "json"


class OpenId(_Part):
    """Sign-in by OpenID Connect: the provider, this client, and who may come in (nobody, unless they are `allowed`).

    What has an @ in `allowed` is a mail address that the provider must have verified, all else a subject.
    """

    issuer: Issuer
    client_id: str
    client_secret: str
    name: str = "OpenID Connect"
    allowed: List[str] = ()


class Settings(BaseSettings):
    """All that an operator may set."""

    model_config = SettingsConfigDict(
        env_prefix="PORTBOOK_", env_nested_delimiter="__", extra="forbid", frozen=True, arbitrary_types_allowed=True
    )

    listen: Annotated[Endpoint, BeforeValidator(_endpoint)] = Endpoint("127.0.0.1", 8080)
    mode: Mode | None = None
    name: str = "portbook"
    contact: str | None = None
    hosts: List[str] = ()
    addresses: List[Annotated[str, AfterValidator(_own_address)]] = ()
    trusted_proxies: List[Network] = ()
    forwarded_header: Literal["x-forwarded-for", "forwarded"] = "x-forwarded-for"
    other_family: List[Origin] = ()
    lan: List[Annotated[Network, AfterValidator(_private)]] = _LAN
    never_test: List[Port] = ()
    never_networks: List[Network] = ()
    targets: List[Host] = ()
    webhooks: List[Host] = ()
    retention_days: Annotated[int, Field(ge=1, le=36500)] = 90
    data: str = Field(default_factory=lambda: os.path.join(user_data_folder() or ".", "serve"))
    database: str | None = None
    shared: str | None = None
    workers: Annotated[int, Field(ge=1, le=256)] = 1
    secret: str | None = None
    metrics: Literal["local", "all", "off"] = "local"
    quotas: Quotas = Quotas()
    connections: Connections = Connections()
    logs: Logs = Logs()
    openid: OpenId | None = None

    @property
    def is_local(self) -> bool:
        """Whether only this host's own visitors are served."""
        return self.mode == "local"

    @property
    def database_url(self) -> str:
        """The database, as SQLAlchemy names it."""
        if self.database is None:
            return f"sqlite+aiosqlite:///{os.path.join(self.data, 'portbook.sqlite')}"
        scheme, _, rest = self.database.partition("://")
        return f"{_DRIVERS.get(scheme, scheme)}://{rest}"


_DRIVERS = {
    "sqlite": "sqlite+aiosqlite",
    "postgresql": "postgresql+asyncpg",
    "postgres": "postgresql+asyncpg",
}


def read_settings(path: str | None = None, given: Mapping[str, Any] | None = None) -> Settings:
    """Return the settings as they were `given`, else as the environment has them, else a file.

    Where no mode is set, a server that only this host can reach is local. Raises BadQuestion for what makes no
    setting, and where a mode must be chosen.
    """

    class Read(Settings):
        @classmethod
        def settings_customise_sources(
            cls,
            settings_cls: type[BaseSettings],
            init_settings: PydanticBaseSettingsSource,
            env_settings: PydanticBaseSettingsSource,
            *_: PydanticBaseSettingsSource,
            **__: PydanticBaseSettingsSource,
        ) -> tuple[PydanticBaseSettingsSource, ...]:
            return init_settings, env_settings, TomlConfigSettingsSource(settings_cls, path)

    try:
        if path is not None:
            with open(path, "rb"):
                pass
        settings: Settings = Read(**(given or {}))
    except OSError as error:
        raise BadQuestion(N_("{file} cannot be read: {reason}"), file=path, reason=error.strerror) from error
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(map(str, first["loc"]))
        raise BadQuestion(
            N_("the setting {name}: {reason}"), name=name, reason=first["msg"].removeprefix("Value error, ")
        ) from error
    except ValueError as error:  # of the file's syntax, or a list in the environment
        raise BadQuestion(N_("the configuration cannot be read: {reason}"), reason=error) from error
    if settings.workers > 1 and settings.shared is None:
        raise BadQuestion(
            N_("{count} workers count quotas and tests together only in a store that they share: set shared, too"),
            count=settings.workers,
        )
    if settings.mode is not None:
        return settings
    if reach(pack_address(settings.listen.ip)) != "loopback":
        raise BadQuestion(
            N_("others can reach {listen}: set mode to public (tests addresses of the internet) or lan (private)"),
            listen=settings.listen,
        )
    return settings.model_copy(update={"mode": "local"})
