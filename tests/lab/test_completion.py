"""The shells' completions of `portbook lab`: what there is when a word is completed."""

from __future__ import annotations

import shlex
import subprocess
import sys
from pathlib import Path
from shutil import which

import pytest

import portbook.cli
from tests.lab.conftest import Raise
from tests.lab.plans import two_hosts

COMPLETION = Path(portbook.cli.__file__).parent / "completion"


def shell(script: str) -> str:
    """Return what a script of a shell says where `portbook` is this one."""
    portbook = shlex.join((sys.executable, "-m", "portbook"))
    program, _, rest = script.partition(" ")
    if which(program) is None:
        pytest.skip(f"{program} is not installed")
    call = f'{portbook} "$@"' if program != "fish" else f"{portbook} $argv"
    define = f"function portbook; {call}; end\n" if program == "fish" else f"portbook() {{ {call}; }}\n"
    done = subprocess.run([program, "-c", define + rest], capture_output=True, text=True, check=True)
    return done.stdout


COMPLETED = (
    ("lab ", {"up", "show", "exec", "down", "install"}, {"web-ftp"}),
    ("lab up we", {"web-ftp"}, {"gateway"}),
    ("lab install gate", {"gateway"}, {"web-ftp"}),
    ("lab exec ", {"client", "server"}, {"web-ftp"}),
    ("lab cut c", {"client"}, {"server"}),
    ("lab show --l", {"--listeners", "--lab"}, {"--watch"}),
)


@pytest.mark.parametrize(("line", "there", "not_there"), COMPLETED)
@pytest.mark.parametrize("name", ["bash", "fish"])
def test_shells_complete_what_there_is(
    lab: Raise, name: str, line: str, there: set[str], not_there: set[str]
) -> None:
    lab(two_hosts())
    if name == "bash":
        words = shlex.join(("portbook", *line.split(" ")))
        found = shell(
            f"bash source {COMPLETION}/portbook.bash; COMP_WORDS=({words}); "
            'COMP_CWORD=$((${#COMP_WORDS[@]} - 1)); _shtab_portbook; printf "%s\\n" "${COMPREPLY[@]}"'
        ).split()
    else:
        told = shell(f"fish source {COMPLETION}/portbook.fish; complete -C 'portbook {line}'")
        found = [one.split("\t")[0] for one in told.splitlines()]
    assert there <= set(found)
    assert not not_there & set(found)


def test_the_labs_that_are_up_complete_a_name(lab: Raise) -> None:
    name = lab(two_hosts()).state.name
    for asked in ("down", "show --lab"):
        told = shell(f"fish source {COMPLETION}/portbook.fish; complete -C 'portbook lab {asked} {name[:8]}'")
        assert name in [one.split("\t")[0] for one in told.splitlines()]


def test_zsh_asks_for_the_same(lab: Raise) -> None:
    lab(two_hosts())
    asking = (COMPLETION / "portbook.zsh").read_text().partition("# Custom Preamble\n")[2].partition("# End")[0]
    told = shell(f'zsh compadd() {{ print -l -- "$@"; }}; {asking}\n_portbook_hosts').split()
    assert told[0] == "--"
    assert {"client", "server"} <= set(told)
