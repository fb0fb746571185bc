"""`portbook what`: what a port is, by the registry, and what this host does with it."""

from __future__ import annotations

from portbook.cli.arguments import Output, Parser, show
from portbook.cli.context import ExitCode
from portbook.cli.verbs import VERBS
from portbook.errors import N_, BadQuestion
from portbook.service import COLUMNS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from portbook.cli.context import Context

_RARE = ("range", "reference")
"""Columns that a terminal shows only on request; the story says it of a single port."""

_SPARE = ("kept_free", "privileged", "source_range", "assigned")


def parser(context: Context) -> Parser:
    """Return the parser of this verb."""
    _ = context.gettext
    made = Parser("what", VERBS["what"], context)
    add = made.add_argument
    add("queries", nargs="*", metavar=_("QUERY"), help=_("443, 53/udp, 8000-8100, https, or words of a description"))
    add("--about", action="store_true", help=_("also the story of a main port, which a terminal shows unasked"))
    add("--update", action="store_true", help=_("replace the registry by IANA's newest, or by that in a file"))
    add("--from", dest="source", metavar=_("FILE"), help=_("IANA's CSV to update from"))
    made.share()
    return made


def run(arguments: Sequence[str], context: Context) -> ExitCode:
    """Answer one command line."""
    made = parser(context)
    found = made.read(arguments)
    if found is None:
        return ExitCode.YES
    if found.source is not None and not found.update:
        raise BadQuestion(N_("--from goes with --update: portbook what --update --from FILE"))
    if found.update:
        return _update(found.source, context)
    if not found.queries:
        raise BadQuestion(N_("name a port, a service or some words: portbook what 443 (see: portbook what --help)"))
    output = Output.of(found, COLUMNS)
    from portbook.host.ports import FOUND_BY_WORDS, answers, services_here
    from portbook.registry.lookup import open_registry

    registry = open_registry()
    services = answers(found.queries, registry, context.language, found.limit or FOUND_BY_WORDS)
    if not services:
        context.say(N_("nothing is known of {query}"), query=" ".join(found.queries))
        return ExitCode.NO
    names = [column.name for column in COLUMNS]
    brief = [name for name in names if name not in _RARE or not context.on_terminal]
    shown = output.shown(brief, names)
    code = show(output.arrange(services_here(services), shown), output, context, _SPARE)
    ports = {service.port for service in services}
    single = len(ports) == 1 and output.format == "table" and output.path is None
    if found.about or (single and context.on_terminal):
        from portbook.cli.story import tell

        tell(sorted(ports), registry, context)
    return code


def _update(source: str | None, context: Context) -> ExitCode:
    from pathlib import Path

    from portbook.registry.lookup import user_data_folder
    from portbook.registry.update import update

    done = update(None if source is None else Path(source), Path(user_data_folder()))
    context.say(
        N_("the registry now holds {assignments} assignments of {ports} ports, as IANA had them on {date}"),
        assignments=done.assignments,
        ports=done.ports,
        date=done.date,
    )
    return ExitCode.YES
