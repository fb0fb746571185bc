"""What all requests of a worker share: the settings, the registry, the board, the counters, the templates."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from importlib import import_module

from itsdangerous import BadSignature, URLSafeTimedSerializer
from jinja2 import Environment, PackageLoader, StrictUndefined

from portbook.probe.connecting import is_own
from portbook.probe.port_sets import TOP
from portbook.registry.lookup import open_registry
from portbook.web.board import LocalBoard
from portbook.web.database import Database
from portbook.web.languages import languages
from portbook.web.metrics import Metrics
from portbook.web.quotas import Quotas
from portbook.web.runs import Runs
from portbook.web.shared_board import SharedBoard
from portbook.web.this_host import Shared

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from markupsafe import Markup
    from starlette.requests import Request

    from portbook.registry.lookup import Registry
    from portbook.web.board import Board
    from portbook.web.settings import Settings

_TOKEN_SECONDS = 120


@dataclass
class Site:
    """One worker's share of the server; `secret` signs what visitors carry."""

    settings: Settings
    secret: str
    waiting_runs: dict[object, Markup] = field(default_factory=dict)
    """Pieces of the page that many visitors are shown."""

    @cached_property
    def registry(self) -> Registry:
        """The registry of ports."""
        return open_registry()

    @cached_property
    def board(self) -> Board:
        """Where results stand."""
        return LocalBoard() if self.settings.shared is None else SharedBoard(self.settings.shared)

    @cached_property
    def metrics(self) -> Metrics:
        """What an operator's Prometheus reads."""
        return Metrics(self.settings)

    @cached_property
    def quotas(self) -> Quotas:
        """The counters."""
        return Quotas(self.settings, self.metrics)

    @cached_property
    def runs(self) -> Runs:
        """The tests that run here."""
        return Runs(self.settings, self.board, lambda port, transport: self.names[transport].get(port), self.metrics)

    @cached_property
    def names(self) -> Mapping[str, Mapping[int, str]]:
        """The names of the ports, by transport."""
        return {transport: self.registry.names(transport) for transport in ("tcp", "udp")}

    @cached_property
    def database(self) -> Database:
        """What outlives the process."""
        return Database(self.settings)

    @cached_property
    def this_host(self) -> Shared:
        """What was seen of this host a moment ago."""
        return Shared()

    @cached_property
    def main_ports(self) -> tuple[tuple[int, str], ...]:
        """The main ports with their transports, by number."""
        found = [(port, transport) for transport in ("tcp", "udp") for port in self.registry.main_ports(transport)]
        return tuple(sorted(found))

    @cached_property
    def port_sets(self) -> Mapping[str, Mapping[str, Sequence[int]]]:
        """The sets of ports that have a name, by transport."""
        return {
            transport: {"main": self.registry.main_ports(transport), "top100": TOP[transport]}
            for transport in ("tcp", "udp")
        }

    @cached_property
    def templates(self) -> Environment:
        """The templates; what stands in them is escaped unless it says that it is HTML."""
        made = Environment(
            loader=PackageLoader("portbook.web"),
            autoescape=True,
            undefined=StrictUndefined,
            auto_reload=False,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        made.globals["site"] = self
        return made

    def warm(self) -> None:
        """Make now what the first visitors would wait for."""
        import_module("portbook.probe.identify")
        import_module("portbook.probe.tls")
        languages()
        for name in self.templates.list_templates():
            self.templates.get_template(name)
        self.names  # noqa: B018 - it is kept

    @cached_property
    def _addresses(self) -> URLSafeTimedSerializer:
        return URLSafeTimedSerializer(self.secret, salt="address")

    def token(self, ip: str) -> str:
        """Return the proof that a visitor came from an address, which is good for two minutes."""
        return str(self._addresses.dumps(ip))

    def proven(self, token: str) -> str | None:
        """Return the address that a token proves, None where it proves none any more."""
        try:
            return str(self._addresses.loads(token, max_age=_TOKEN_SECONDS))
        except BadSignature:
            return None

    def is_own(self, ip: str) -> bool:
        """Whether an address is this server's."""
        return is_own(ip)


def site_of(request: Request) -> Site:
    """Return the site that answers a request."""
    found: Site = request.app.state.site
    return found
