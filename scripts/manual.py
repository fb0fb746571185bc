"""Makes the manual pages (share/man) and the shells' completions (src/portbook/cli/completion) from the parser.

`--check` writes nothing and ends with 1 where a file is not what the parser gives.
"""

from __future__ import annotations

import os
import re
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import shtab
from argparse_manpage.manpage import Manpage

from portbook import __version__, locale
from portbook.cli.context import Context
from portbook.cli.overview import SHELLS, SUMMARY
from portbook.cli.whole import whole_parser
from portbook.errors import N_

if TYPE_CHECKING:
    from argparse import ArgumentParser

ROOT = Path(__file__).parent.parent

_LISTED = r"""--format csv 2>/dev/null | tail -n +2 | tr -d '"\r' | tr -s ' ' '\n' | sed '/^$/d' | sort -u"""
ASKING = {
    "bash": f"""\
_portbook_lab_list() {{
  compgen -W "$(portbook lab list --columns "$1" {_LISTED})" -- "$2"
}}
_portbook_scenario_or_file() {{
  _portbook_lab_list scenario "$1"
  compgen -f -X '!*.toml' -- "$1"
  compgen -d -- "$1"
}}
_portbook_labs() {{ _portbook_lab_list labs "$1"; }}
_portbook_hosts() {{ _portbook_lab_list hosts "$1"; }}
_portbook_commands() {{ compgen -c -- "$1"; }}""",
    "zsh": f"""\
_portbook_lab_list() {{
  compadd -- ${{(f)"$(portbook lab list --columns $1 {_LISTED})"}}
}}
_portbook_scenario_or_file() {{ _portbook_lab_list scenario; _files -g '*.toml'; }}
_portbook_labs() {{ _portbook_lab_list labs; }}
_portbook_hosts() {{ _portbook_lab_list hosts; }}
_portbook_commands() {{ _command_names -e; }}""",
    "fish": f"""\
function _portbook_lab_list
  portbook lab list --columns $argv[1] {_LISTED}
end
function _portbook_scenario_or_file
  _portbook_lab_list scenario
  __fish_complete_suffix .toml
end
function _portbook_labs; _portbook_lab_list labs; end
function _portbook_hosts; _portbook_lab_list hosts; end
function _portbook_commands; __fish_complete_command; end""",
}
"""What the shells ask about labs when a word is completed: their scenarios, names and hosts as they are then."""

ASKED = {
    "scenario": "_portbook_scenario_or_file",
    "lab": "_portbook_labs",
    "name": "_portbook_labs",
    "host": "_portbook_hosts",
    "command": "_portbook_commands",
}
"""Which function of these completes which argument of `portbook lab`."""

EXIT_CODES = {
    "0": N_("the question was answered, and the answer is yes or a list"),
    "1": N_("it was answered, and the answer is no: nothing was found"),
    "2": N_("the question could not be asked; one line says what to do"),
    "3": N_("answered in part: standard error says what is missing"),
}
VARIABLES = {
    "LANGUAGE, LC_ALL, LC_MESSAGES, LANG": N_("the reader's language"),
    "NO_COLOR": N_("no colour on a terminal"),
    "XDG_DATA_HOME": N_("where an updated registry is kept (~/.local/share)"),
    "PORTBOOK_PURE": N_("the Python references instead of the compiled parts"),
}
EXAMPLES = (
    "portbook",
    "portbook what 443",
    "portbook what 53/udp 8000-8100 mail",
    "portbook who 8080",
    "portbook sockets -tulpn",
    "portbook sockets --where \"remote_port = 443 and state = 'ESTABLISHED'\" --format csv",
    "portbook talks --by service,peer",
    "portbook test server",
    "portbook test server -p 22,80,8000-8100 --format ndjson",
    "portbook test server:5432 --until open --timeout 60",
    "portbook test 192.0.2.0/28 -p all --no-identify --resume night.journal",
)


def made() -> dict[Path, str]:
    """Return the text of each file by its path."""
    os.environ["COLUMNS"] = "1000"  # usage in one line, for man to break
    os.environ["SOURCE_DATE_EPOCH"] = str(_release_time())
    texts = {}
    for language in locale.LANGUAGES:
        context = Context(locale.translations(language), language, {})
        page = Manpage(whole_parser(context))
        page.source, page.manual = f"portbook {__version__}", "User Commands"
        page.description = context.gettext(SUMMARY)
        folder = ROOT / "share" / "man" / ("" if language == "en" else language) / "man1"
        texts[folder / "portbook.1"] = str(page).rstrip() + "\n" + _more(context)
    english = whole_parser(Context(locale.translations("en"), "en", {}))
    _complete(english)
    for shell in SHELLS:
        path = ROOT / "src" / "portbook" / "cli" / "completion" / f"portbook.{shell}"
        texts[path] = shtab.complete(english, shell).rstrip() + "\n"
    return texts


def _complete(parser: ArgumentParser, of_lab: bool = False) -> None:
    """Have files, and the arguments of `portbook lab`, completed by what there is."""
    for action in parser._actions:  # noqa: SLF001 - argparse tells them by no other name
        if isinstance(action.choices, dict):
            for verb, below in action.choices.items():
                _complete(below, of_lab or verb == "lab")
        elif action.dest in ("output", "source", "file", "resume"):
            action.complete = shtab.FILE  # type: ignore[attr-defined]
        elif of_lab and action.dest in ASKED:
            action.complete = {"preamble": ASKING, **_function(ASKED[action.dest])}  # type: ignore[attr-defined]


def _function(name: str) -> dict[str, str]:
    """Return how each shell calls one of the functions of ASKING."""
    return {"bash": name, "zsh": name, "fish": f"({name})"}


def _release_time() -> int:
    found = re.search(r"^## \S+ \((\d{4}-\d{2}-\d{2})\)", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    if found is None:
        raise SystemExit("CHANGELOG.md names no release with its date")
    return int(datetime.fromisoformat(found[1]).replace(tzinfo=UTC).timestamp())


def _more(context: Context) -> str:
    """Return the sections that no parser knows."""
    _ = context.gettext
    lines = [f".SH {_('EXIT STATUS')}"]
    for code, meaning in EXIT_CODES.items():
        lines += [".TP", rf"\fB{code}\fR", _(meaning)]
    lines.append(f".SH {_('ENVIRONMENT')}")
    for variable, meaning in VARIABLES.items():
        lines += [".TP", rf"\fB{variable}\fR", _(meaning)]
    lines += [f".SH {_('EXAMPLES')}", ".nf", *(example.replace("-", r"\-") for example in EXAMPLES), ".fi"]
    return "\n".join(lines) + "\n"


def main() -> int:
    """Write the files, or check them."""
    stale = []
    for path, text in made().items():
        if "--check" in sys.argv[1:]:
            if not path.exists() or path.read_text() != text:
                stale.append(str(path.relative_to(ROOT)))
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
    if stale:
        print(f"not what the parser gives: {', '.join(stale)} (make man)")
    return int(bool(stale))


if __name__ == "__main__":
    sys.exit(main())
