"""`portbook lab`: small networks of real hosts on this machine, raised, watched, entered and ended."""

from __future__ import annotations

import os
import sys
from contextlib import contextmanager, suppress

from portbook.cli.arguments import Output, Parser, show
from portbook.cli.context import ExitCode
from portbook.cli.main import split_verb
from portbook.cli.verbs import VERBS
from portbook.errors import N_, BadQuestion, Unavailable
from portbook.output.formats import deliver

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Iterator, Sequence

    from portbook.cli.context import Context
    from portbook.columns import Column, Table
    from portbook.lab.state import Event

ACTIONS = {
    "list": N_("the scenarios that ship, and the labs that are up"),
    "up": N_("raise a scenario, until each of its services answers"),
    "show": N_("which client socket speaks to which server socket, by which service"),
    "exec": N_("run a command inside a host, a shell without one"),
    "capture": N_("write what passes a host's interfaces to a pcap file, until Ctrl-C"),
    "cut": N_("pull the cables of a host"),
    "restore": N_("plug the cables of a host in again"),
    "down": N_("end a lab; nothing is left of it"),
    "install": N_("install the Debian packages of a scenario, without starting their daemons"),
}
"""What can be done with labs."""

_TRANSLATED = ("server_after", "client_after", "translated_by")
_SPARE = ("program", "transport", *_TRANSLATED)

_EVENTS = {
    "host": N_("host {name}: {detail}"),
    "service": N_("service {name} ({place}): {detail}"),
    "left-out": N_("service {name} ({place}) is left out; it needs: {detail}"),
    "client": N_("client on {name} to {place}: {detail}"),
}

_OUTCOMES = {
    "answered": N_("answered"),
    "refused": N_("refused"),
    "rejected": N_("rejected by a firewall"),
    "silent": N_("silence"),
    "no-source-port": N_("no source port left"),
    "not-spoken": N_("another protocol"),
}


def parser(context: Context) -> Parser:
    """Return the parser of this verb, with one below it for each of ACTIONS."""
    _ = context.gettext
    made = Parser("lab", VERBS["lab"], context)
    made.epilog = _("portbook lab ACTION --help tells more of one")
    made.add_actions(ACTIONS, action_parser)
    made.share(table=False)
    return made


def action_parser(action: str, context: Context) -> Parser:
    """Return the parser of one of ACTIONS."""
    _ = context.gettext
    made = Parser(f"lab {action}", ACTIONS[action], context)
    add = made.add_argument
    if action in ("up", "install"):
        add("scenario", metavar=_("NAME|FILE"), help=_("a scenario that ships, or a file: ./mine.toml"))
    if action in ("exec", "capture", "cut", "restore"):
        add("host", metavar=_("HOST"), help=_("the name of a host"))
    if action == "exec":
        add("command", nargs="*", metavar=_("COMMAND"), help=_("stands behind --: exec server -- ss -tn"))
    if action == "up":
        add("--foreground", action="store_true", help=_("stay until Ctrl-C, and end the lab then"))
    if action == "show":
        add("--listeners", action="store_true", help=_("who listens on which host instead"))
        add("--counts", action="store_true", help=_("how many conversations of each kind there are instead"))
        add("--watch", action="store_true", help=_("repeat every second"))
    if action == "capture":
        add("-o", "--output", required=True, metavar=_("FILE"), help=_("the file to write"))
    if action == "down":
        add("name", nargs="?", metavar=_("NAME"), help=_("the name of a lab, where several are up"))
        add("--all", action="store_true", help=_("end all of this user's labs"))
    if action == "up":
        add("--lab", metavar=_("NAME"), help=_("the name that the lab gets, else that of the scenario"))
    elif action not in ("list", "install"):
        add("--lab", metavar=_("NAME"), help=_("the name of the lab, where several are up"))
    made.share(table=action in ("list", "show"))
    return made


def run(arguments: Sequence[str], context: Context) -> int:
    """Answer one command line."""
    own, command = _split_command(arguments)
    action, rest = split_verb(own)
    if action not in ACTIONS:
        if "--help" in own or "-h" in own:
            context.stdout.write(parser(context).format_help())
            return ExitCode.YES
        raise BadQuestion(N_("what is to be done? portbook lab takes one of: {actions}"), actions=", ".join(ACTIONS))
    found = action_parser(action, context).read(rest)
    if found is None:
        return ExitCode.YES
    if command and action != "exec":
        raise BadQuestion(N_("only lab exec takes a command behind --"))
    if not sys.platform.startswith("linux"):
        raise Unavailable(N_("a lab is made of Linux's namespaces, which this system has not; use a Linux machine"))
    if action == "exec":
        if found.command:
            raise BadQuestion(
                N_("the command stands behind --: portbook lab exec {host} -- {command}"),
                host=found.host,
                command=" ".join(found.command),
            )
        from portbook.lab.hosts import enter
        from portbook.lab.state import find

        context.stdout.flush()
        return enter(find(found.lab), found.host, command or [context.environ.get("SHELL") or "/bin/sh"])
    return _ACTIONS[action](found, context)


def _split_command(arguments: Sequence[str]) -> tuple[list[str], list[str]]:
    """Return what stands before `--` and what stands behind it."""
    words = list(arguments)
    place = words.index("--") if "--" in words else len(words)
    return words[:place], words[place + 1 :]


def _list(found: argparse.Namespace, context: Context) -> ExitCode:
    from portbook.lab.state import SCENARIO_COLUMNS, scenarios

    output = Output.of(found, SCENARIO_COLUMNS)
    table = scenarios(context.gettext)
    names = [column.name for column in SCENARIO_COLUMNS]
    brief = [name for name in names if name != "hosts" and (name != "missing" or any(_values(table, name)))]
    return show(output.arrange(table, output.shown(brief, names)), output, context)


def _up(found: argparse.Namespace, context: Context) -> ExitCode:
    from portbook.lab.keeper import down, up
    from portbook.lab.scenario import load

    def report(event: Event) -> None:
        # Whoever read has enough; the lab is wanted all the same.
        with suppress(BrokenPipeError):
            deliver((_words(event, context) + "\n",), context.stdout)

    try:
        state, bound = up(load(found.scenario), report, found.lab, bound=found.foreground)
    except KeyboardInterrupt:
        return ExitCode.NO
    if not found.foreground:
        context.say(N_("the lab {lab} is up; portbook lab down {lab} ends it"), lab=state.name)
        return ExitCode.YES
    try:
        context.say(N_("the lab {lab} is up; Ctrl-C ends it"), lab=state.name)
        os.read(bound, 1)  # returns when the lab has ended, by whomever
    except KeyboardInterrupt:
        down(state)
    return ExitCode.YES


def _words(event: Event, context: Context) -> str:
    """Return what came about as lines for a reader."""
    if event.kind in ("lab", "step"):
        lines = [_own_words(event.name, context), *([_own_words(event.detail, context)] if event.detail else [])]
        if context.on_terminal and event.kind == "lab":
            from textwrap import wrap

            lines[1:] = [part for line in lines[1:] for part in wrap(line, 100)]
        return "\n    ".join(lines)
    parts = [f"{count} {context.gettext(_OUTCOMES[outcome])}" for outcome, count in event.outcomes.items()]
    parts += [f"{server} {count}" for server, count in event.servers.items()]
    values = {"name": event.name, "detail": event.detail or ", ".join(parts), "place": event.place}
    return context.words(_EVENTS[event.kind], values)


def _own_words(text: str, context: Context) -> str:
    """Return a text of a scenario in the reader's language, where it is one that ships; cleaned where it is not."""
    from portbook.output.clean import clean

    translated = context.gettext(text)
    return clean(text) if translated == text else translated


def _show(found: argparse.Namespace, context: Context) -> ExitCode:
    from portbook.lab import show as tables
    from portbook.lab.state import find, is_up

    declared: tuple[Column, ...] = tables.CONVERSATION_COLUMNS
    if found.listeners:
        declared = tables.LISTENER_COLUMNS
    elif found.counts:
        declared = tables.COUNT_COLUMNS
    output = Output.of(found, declared)
    names = [column.name for column in declared]
    state = find(found.lab)

    def answer() -> Table:
        if found.listeners:
            table = tables.listeners(state)
        else:
            table = tables.conversations(state)
            table = tables.counts(table) if found.counts else table
        brief = [name for name in names if name not in _absent(table)] if output.columns is None else names
        return output.arrange(table, output.shown(brief, names))

    if not found.watch:
        return show(answer(), output, context, _SPARE)
    from portbook.cli.watching import watch

    def next_answer() -> Table:
        if not is_up(state):
            raise ProcessLookupError
        return answer()

    try:
        return watch(next_answer, output, context, 1.0)
    except ProcessLookupError:
        context.say(N_("the lab {lab} has ended"), lab=state.name)
        return ExitCode.YES


def _absent(table: Table) -> set[str]:
    """Return the columns of what a gateway translates, where none does."""
    translated = [column.name for column in table.columns if column.name in _TRANSLATED]
    return {name for name in translated if all(row is None for row in _values(table, name))}


def _values(table: Table, name: str) -> list[object]:
    vector = table.vector(name)
    return [vector[row] for row in table.shown()]


def _capture(found: argparse.Namespace, context: Context) -> ExitCode:
    from portbook.lab.capture import capture, packet_socket
    from portbook.lab.state import find

    state = find(found.lab)
    with packet_socket(state, found.host) as packets, _stopped_or_ended(state.host(found.host).pid) as over:
        try:
            with open(found.output, "wb") as file:
                context.say(N_("capturing on {host}; Ctrl-C ends it"), host=found.host)
                count = capture(packets, file, over)
        except BrokenPipeError:
            raise
        except OSError as error:
            raise Unavailable(
                N_("{path} cannot be written: {reason}"), path=found.output, reason=error.strerror
            ) from error
    context.say(N_("packets captured: {count}"), count=count)
    return ExitCode.YES


@contextmanager
def _stopped_or_ended(pid: int) -> Iterator[Callable[[], bool]]:
    """Give what tells whether a signal asks to stop, or the process of that PID has ended."""
    import select
    import signal

    stopped = False

    def stop(*_: object) -> None:
        nonlocal stopped
        stopped = True

    process = select.poll()
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        yield lambda: True
        return
    process.register(descriptor, select.POLLIN)
    held = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield lambda: stopped or bool(process.poll(0))
    finally:
        os.close(descriptor)
        for number, handler in held.items():
            signal.signal(number, handler)


def _cut(found: argparse.Namespace, context: Context) -> ExitCode:
    from portbook.lab.network import cut
    from portbook.lab.state import find

    cut(find(found.lab), found.host)
    context.say(N_("{host} is cut off; portbook lab restore {host} joins it again"), host=found.host)
    return ExitCode.YES


def _restore(found: argparse.Namespace, context: Context) -> ExitCode:
    from portbook.lab.network import restore
    from portbook.lab.state import find

    restore(find(found.lab), found.host)
    context.say(N_("{host} is joined again"), host=found.host)
    return ExitCode.YES


def _down(found: argparse.Namespace, context: Context) -> ExitCode:
    from portbook.lab.keeper import down
    from portbook.lab.state import find, running

    if found.all and (found.name or found.lab):
        raise BadQuestion(N_("--all ends every lab; leave the name out"))
    for state in running() if found.all else [find(found.name or found.lab)]:
        down(state)
        context.say(N_("the lab {lab} has ended"), lab=state.name)
    return ExitCode.YES


def _install(found: argparse.Namespace, context: Context) -> ExitCode:
    from portbook.lab.packages import install, install_command, missing
    from portbook.lab.programs import packages
    from portbook.lab.scenario import load

    scenario = load(found.scenario)
    wanted = missing(packages(scenario))
    if not wanted:
        context.say(N_("every package that {scenario} needs is installed"), scenario=scenario.name)
        return ExitCode.YES
    if os.geteuid() == 0:
        install(wanted)
        return ExitCode.YES
    context.stdout.write(" ".join(install_command(wanted)) + "\n")
    context.say(N_("only root may install packages; the command is on standard output"))
    return ExitCode.NO


_ACTIONS = {
    "list": _list,
    "up": _up,
    "show": _show,
    "capture": _capture,
    "cut": _cut,
    "restore": _restore,
    "down": _down,
    "install": _install,
}
