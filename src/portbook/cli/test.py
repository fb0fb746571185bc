"""`portbook test`: whether ports can be reached, and what really speaks there."""

from __future__ import annotations

import os
import sys

from portbook.cli.arguments import Output, Parser
from portbook.cli.context import ExitCode
from portbook.cli.verbs import VERBS
from portbook.errors import N_, BadQuestion, Unavailable
from portbook.porttest import COLUMNS

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Iterator, Sequence

    from portbook.cli.context import Context
    from portbook.cli.journal import Journal
    from portbook.columns import Column
    from portbook.porttest import PortTest
    from portbook.probe.testing import Aside, Question

_DOUBT = 0.0001
"""From so likely an open port is among the silent ones the reader is told."""


def parser(context: Context) -> Parser:
    """Return the parser of this verb."""
    _ = context.gettext
    made = Parser("test", VERBS["test"], context)
    made.epilog = _(
        "A port is open (it accepted, or answered), closed (its host refused), rejected (a firewall or a router"
        " refused for it), filtered (silence), open|filtered (a UDP port was silent, as open ones may be) or"
        " unreachable (this host could not send). No root is needed, no credential is sent. Test only what is yours"
        " or what you have permission to test: elsewhere it may be unwelcome, or against the law."
    )
    add = made.add_argument
    add(
        "targets",
        nargs="*",
        metavar=_("TARGET"),
        help=_("host, host:port, [IPv6]:port, a URL, or a block such as 192.0.2.0/24"),
    )
    add("-f", "--file", metavar=_("FILE"), help=_("targets from a file, - for standard input"))
    add(
        "-p",
        "--ports",
        metavar=_("PORTS"),
        default="main",
        help=_("22,80,8000-8100, or main (the 26 that matter most, the default), top100, all"),
    )
    add("--transport", metavar="tcp,udp", help=_("the transports (tcp; main: each port's own)"))
    add("-4", "--ipv4", action="store_true", help=_("IPv4"))
    add("-6", "--ipv6", action="store_true", help=_("IPv6"))
    add("--no-identify", action="store_true", help=_("only connect; do not find out what speaks there"))
    add("--count", metavar="N", type=_whole, help=_("test N times, a second apart, and tell the times that it took"))
    add("--until", choices=("open", "closed"), help=_("test again until every port is so (exit code 0)"))
    add("--timeout", metavar=_("SECONDS"), type=_number, help=_("with --until: give up after so long (exit code 1)"))
    add(
        "--rate",
        metavar="N",
        type=_number,
        help=_("new connections a second at most (500; in private networks 10000, or as fast as they answer)"),
    )
    add("--resume", metavar=_("FILE"), help=_("keep what is known in a file, and go on from there"))
    add("--all", action="store_true", help=_("in a table every answer, however many are alike"))
    add("--yes", action="store_true", help=_("I may test all of this, however much it is"))
    made.share()
    return made


def run(arguments: Sequence[str], context: Context) -> ExitCode:
    """Answer one command line."""
    found = parser(context).read(arguments)
    if found is None:
        return ExitCode.YES
    if not sys.platform.startswith("linux"):
        raise Unavailable(N_("a test reads what only Linux tells of a connection; use a Linux machine"))
    _check(found)
    declared = _columns(found)
    output = Output.of(found, declared)
    _try(output, declared, context)
    question, without = _question(found, output)
    for error in without:
        context.say(error.message, **error.values)
    code = _answer(question, found, output, context)
    return ExitCode.IN_PART if without else code


def _try(output: Output, declared: tuple[Column, ...], context: Context) -> None:
    """Refuse what could not be shown, before anything is tested. Raises BadQuestion, Unavailable."""
    if output.where is not None:
        from portbook.columns import Table

        output.arrange(Table.from_rows(declared, ()), output.shown((), ()))
    if output.path is None:
        from portbook.output import formats

        formats.check(output.format, context.stdout)
    elif number := _barred(output.path):
        raise Unavailable(N_("cannot write {path}: {reason}"), path=output.path, reason=os.strerror(number))


def _barred(path: str) -> int:
    """Return the errno with which a file could not be written whole (formats.write_file), 0 where it can be."""
    import errno

    if os.path.isdir(path):
        return errno.EISDIR
    folder = os.path.dirname(os.path.realpath(path))
    direct = os.path.exists(path) and not os.path.isfile(path)  # a device or a pipe
    if not direct and not os.path.isdir(folder):
        return errno.ENOENT
    return 0 if os.access(path if direct else folder, os.W_OK) else errno.EACCES


def _columns(found: argparse.Namespace) -> tuple[Column, ...]:
    if found.count is None:
        return COLUMNS
    from portbook.cli.repeated import COLUMNS as REPEATED

    return REPEATED


def _check(found: argparse.Namespace) -> None:
    """Refuse options that do not go together. Raises BadQuestion."""
    ways = [
        name
        for name, value in (("--count", found.count), ("--until", found.until), ("--resume", found.resume))
        if value is not None
    ]
    if len(ways) > 1:
        raise BadQuestion(N_("{one} and {other} do not go together"), one=ways[0], other=ways[1])
    if found.timeout is not None and found.until is None:
        raise BadQuestion(N_("--timeout says how long --until waits; it takes --until open or --until closed"))


def _question(found: argparse.Namespace, output: Output) -> tuple[Question, list[BadQuestion]]:
    from portbook.probe.asking import Asking, question
    from portbook.registry.lookup import open_registry

    return question(
        Asking(
            (*found.targets, *_in_file(found.file)),
            found.ports,
            () if found.transport is None else tuple(found.transport.split(",")),
            [version for version, wanted in ((4, found.ipv4), (6, found.ipv6)) if wanted] or (4, 6),
            not found.no_identify,
            found.rate,
            found.yes,
            output.numeric,
        ),
        open_registry(),
    )


def _in_file(path: str | None) -> Iterator[str]:
    from portbook.probe.targets import in_file

    if path is None:
        return
    if path == "-":
        yield from in_file(sys.stdin)
        return
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            yield from in_file(file)
    except OSError as error:
        raise BadQuestion(N_("{file} cannot be read: {reason}"), file=path, reason=error.strerror) from error


def _answer(question: Question, found: argparse.Namespace, output: Output, context: Context) -> ExitCode:
    if found.until is not None:
        from portbook.cli.waiting import wait_until

        return wait_until(found.until, question, found.timeout, output, context, found.all)
    if found.count is not None:
        from portbook.cli.repeated import repeated

        return repeated(question, found.count, output, context)
    if found.resume is None:
        return _once(question, None, found, output, context)
    from portbook.cli.journal import Journal

    journal = Journal(found.resume)
    try:
        if journal.damaged:
            context.say(
                N_("{count} lines of {path} are damaged; what they told is tested again"),
                count=journal.damaged,
                path=found.resume,
            )
        return _once(question, journal, found, output, context)
    finally:
        journal.close()


def _once(
    question: Question, journal: Journal | None, found: argparse.Namespace, output: Output, context: Context
) -> ExitCode:
    """Test everything once, and show it: as it comes where that can be, else when all is known."""
    from portbook.cli.progress import Progress
    from portbook.cli.tested import RowByRow, show_tests
    from portbook.probe.testing import Aside, count

    known = [] if journal is None else journal.known(question)
    question = question._replace(done=question.done | {(test.ip, test.port, test.transport) for test in known})
    rows = RowByRow(output, context) if output.format == "ndjson" and _may_stream(output) else None
    tests: list[PortTest] = []
    aside = Aside()
    left = count(question)

    def give(test: PortTest) -> None:
        tests.append(test)
        if rows is not None:
            rows.give(test)

    for test in known:
        give(test)
    with Progress(context, left, drawn=rows is None or not context.on_terminal) as advance:
        interrupted = not _run(question, aside, journal, give, advance)
    if interrupted:
        context.say(N_("interrupted: {done} of {total} are known"), done=len(tests), total=len(known) + left)
        done = {(test.ip, test.port) for test in tests if test.transport == "tcp"}
        for address, test in aside.identifying.items():
            if address not in done:
                give(test)
    if aside.missed > _DOUBT:
        context.say(
            N_("packets get lost: an open port was missed with a chance of {percent} %; a lower --rate may help"),
            percent=f"{100 * aside.missed:.2g}",
        )
    shown = show_tests(tests, question, output, context, found.all) if rows is None else rows.end()
    if interrupted:
        return ExitCode.IN_PART
    if output.where is not None:
        return shown
    return ExitCode.YES if any(test.state == "open" for test in tests) else ExitCode.NO


def _may_stream(output: Output) -> bool:
    return output.path is None and output.sort is None and output.limit is None


def _run(
    question: Question,
    aside: Aside,
    journal: Journal | None,
    give: Callable[[PortTest], None],
    advance: Callable[[], None],
) -> bool:
    """Give every test as it ends; return whether they all came, and were not interrupted by Ctrl-C."""
    from portbook.probe.testing import port_tests

    running = port_tests(question, aside)
    try:
        for test in running:
            if journal is not None:
                journal.keep(test, question.identify)
            give(test)
            advance()
    except KeyboardInterrupt:
        return False
    finally:
        running.close()
    return True


def _whole(text: str) -> int:
    if not (text.isascii() and text.isdigit() and 0 < int(text) <= 1_000_000):
        raise BadQuestion(N_("--count takes a whole number from 1 to 1000000, not {text}"), text=text)
    return int(text)


def _number(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = 0.0
    if not 0 < number < 1e7:
        raise BadQuestion(N_("{text} is no number above 0"), text=text)
    return number
