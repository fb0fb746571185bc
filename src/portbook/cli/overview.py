"""`portbook` alone: this host at a glance, on one screen, for somebody who has never used it."""

from __future__ import annotations

from portbook.cli.arguments import Parser
from portbook.cli.context import ExitCode
from portbook.cli.verbs import VERBS
from portbook.errors import N_
from portbook.socket import WIDEST_FIRST

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from portbook.cli.context import Context
    from portbook.columns import Table
    from portbook.socket import Listener

SUMMARY = N_("the port book of this machine: who listens, who can reach it, who is talking")
SHELLS = ("bash", "zsh", "fish")

_MOST_LISTENERS = 12
_MOST_GROUPS = 6
_LISTENER_COLUMNS = ("scope", "transport", "local_port", "service", "process", "pids", "container", "conversations")
_GROUP_COLUMNS = ("service", "peer", "conversations", "client_payload", "server_payload")


def parser(context: Context) -> Parser:
    """Return the parser of the command without a verb, whose help lists the verbs."""
    _ = context.gettext
    made = Parser(None, SUMMARY, context, raw=True)
    made.usage = f"portbook [{_('VERB')}] [-h] [--version] [--lang {_('LANGUAGE')}] [--color COLOR]"
    verbs = "\n".join(f"  {verb:<10} {_(summary)}" for verb, summary in VERBS.items())
    more = _("portbook VERB --help tells more of one; without a verb: this host at a glance")
    made.epilog = f"{_('verbs')}:\n{verbs}\n\n{more}"
    made.add_argument(
        "--completion", choices=SHELLS, help=_("print the completions for a shell, to load with source")
    )
    made.share(table=False)
    return made


def run(arguments: Sequence[str], context: Context) -> ExitCode:
    """Answer one command line."""
    found = parser(context).read(arguments)
    if found is None:
        return ExitCode.YES
    if found.completion:
        from pathlib import Path

        context.stdout.write((Path(__file__).parent / "completion" / f"portbook.{found.completion}").read_text())
        return ExitCode.YES
    from portbook.host.listeners import listener_table, listeners
    from portbook.host.reading import PORTED, Selection, read
    from portbook.host.sockets import View
    from portbook.host.talks import Talks, grouped
    from portbook.registry.lookup import open_registry

    view = View(read(Selection(PORTED, owners=True, detailed=True, netns="seen")), open_registry())
    waiting = sorted(listeners(view), key=lambda one: (WIDEST_FIRST.index(one.scope or "loopback"), one.port))
    talks = Talks(view)
    groups = grouped(talks, ("service", "peer"))
    _ = context.gettext
    _section(
        context,
        context.ngettext("{count} service listens", "{count} services listen", len(waiting)).format(
            count=len(waiting)
        ),
        listener_table(waiting, view).select(_LISTENER_COLUMNS),
        _MOST_LISTENERS,
        "portbook who",
    )
    _section(
        context,
        context.ngettext("{count} conversation", "{count} conversations", len(talks)).format(count=len(talks)),
        groups.select(_GROUP_COLUMNS),
        _MOST_GROUPS,
        "portbook talks",
    )
    for message, values in view.reading.notes:
        _line(context, context.words(message, values))
    _line(context, _("Ask next:"))
    for command, meaning in _hints(waiting, context):
        _line(context, f"  {command:<28}  {meaning}")
    return ExitCode.YES


def _section(context: Context, title: str, table: Table, most: int, command: str) -> None:
    """Write the first lines of a table below its title, and what shows the others."""
    _line(context, title, style="1")
    part = table.limited(most)
    if context.on_terminal or context.color == "always":
        from portbook.output import terminal

        spare = ("container", "pids", "transport")
        terminal.show(part, context.stdout, color=context.color, spare=spare, gettext=context.gettext)
    else:
        from portbook.output import formats

        context.stdout.flush()
        formats.write(part, "table", context.stdout.buffer, gettext=context.gettext)
    if len(table) > most:
        more = context.ngettext("{count} more: {command}", "{count} more: {command}", len(table) - most)
        _line(context, more.format(count=len(table) - most, command=command))
    _line(context, "")


def _line(context: Context, text: str, style: str = "") -> None:
    from portbook.output.terminal import coloured

    if style and coloured(context.color, context.stdout):
        text = f"\x1b[{style}m{text}\x1b[0m"
    context.stdout.write(text + "\n")


def _hints(waiting: Sequence[Listener], context: Context) -> list[tuple[str, str]]:
    """Return three questions that follow from what was seen, each with what it answers."""
    _ = context.gettext
    open_wide = next((one for one in waiting if one.scope in ("any", "public")), None)
    hints = []
    if open_wide is not None:
        hints.append((f"portbook who {open_wide.port}", _("everything on the port that is open widest")))
    if waiting:
        named = next((one for one in waiting if one.service), waiting[0])
        hints.append((f"portbook what {named.port}", _("what that port is, and what this host does with it")))
    hints.append(("portbook talks --by process", _("which programs talk, and how much")))
    hints.append(("portbook what 443", _("what a port is: any number, name or word")))
    hints.append(("portbook sockets -tulpn", _("every listening socket, as ss and netstat show it")))
    return hints[:3]
