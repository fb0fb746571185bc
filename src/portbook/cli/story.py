"""What is told of a port in whole sentences, below the table: the story of a main port, and what this host does."""

from __future__ import annotations

from portbook.errors import N_

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from portbook.cli.context import Context
    from portbook.registry.lookup import Registry

_WIDEST = 100
"""Columns that a line of prose takes at most: longer ones are hard to read."""


def tell(ports: Sequence[int], registry: Registry, context: Context) -> None:
    """Write the stories of these ports, and for a single one what this host's settings say of it."""
    from rich.console import Console
    from rich.padding import Padding
    from rich.text import Text

    from portbook.output.clean import clean
    from portbook.output.terminal import coloured
    from portbook.registry.about import HEADINGS, abouts

    paint = coloured(context.color, context.stdout)
    console = Console(
        file=context.stdout,
        color_system="standard" if paint else None,
        force_terminal=paint,
        highlight=False,
        no_color=not paint,
        width=None if context.on_terminal else _WIDEST,
    )
    width = min(console.width, _WIDEST)
    stories = abouts(context.language)
    for port in ports:
        if port not in stories:
            continue
        for part, heading in HEADINGS.items():
            console.print(Text(f"\n{context.gettext(heading)}", style="bold"), width=width)
            console.print(Padding(Text(getattr(stories[port], part)), (0, 0, 0, 2), expand=False), width=width)
    if len(ports) == 1:
        console.print(Text(f"\n{context.gettext('This host')}", style="bold"), width=width)
        for sentence in _settings(ports[0], context):
            console.print(Padding(Text(sentence), (0, 0, 0, 2), expand=False), width=width)
    source = context.gettext("embedded") if registry.source == "embedded" else clean(registry.source)
    footer = context.gettext("IANA's data of {date} ({source})").format(date=registry.date, source=source)
    console.print(Text(f"\n{footer}", style="dim"), width=width)


def _settings(port: int, context: Context) -> Iterator[str]:
    """Yield what the standard's ranges and the settings of this host's kernel mean for the port."""
    from portbook.endpoint import port_range
    from portbook.host.settings import port_settings
    from portbook.registry.about import RANGES

    settings = port_settings()
    yield context.gettext(RANGES[port_range(port)])
    if port < settings.unprivileged_from:
        yield context.gettext("Only root, or a process with CAP_NET_BIND_SERVICE, may listen on it.")
    else:
        yield context.gettext("Any process may listen on it.")
    low, high = settings.source.start, settings.source.stop - 1
    if settings.is_source(port):
        message = N_(
            "Connections may take it as their source port (this host takes {low}-{high}; RFC 6335: 49152-65535)."
        )
    elif port in settings.reserved:
        message = N_("It is never taken as a source port: ip_local_reserved_ports keeps it free.")
    else:
        message = N_("It is never taken as a source port (this host takes {low}-{high}; RFC 6335: 49152-65535).")
    yield context.gettext(message).format(low=low, high=high)
