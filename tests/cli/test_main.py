from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from portbook.cli.main import split_verb
from portbook.cli.verbs import VERBS

from .conftest import Ask
from .terminal import at_terminal, plain


def test_options_may_stand_before_the_verb() -> None:
    assert split_verb(["--lang", "fr", "who", "80"]) == ("who", ["--lang", "fr", "80"])
    assert split_verb(["--lang=fr", "who", "-n"]) == ("who", ["--lang=fr", "-n"])
    assert split_verb(["--version"]) == (None, ["--version"])
    assert split_verb([]) == (None, [])


def test_version_says_whether_compiled_parts_run(start: Ask) -> None:
    assert re.fullmatch(
        r"portbook \d+\.\d+\.\d+ \(compiled parts: (all|none|\d of \d); Python .+\)\n", start("--version").out
    )
    assert "compiled parts: none" in start("--version", PORTBOOK_PURE="1").out
    assert start("who", "--version").out == start("--version").out


@pytest.mark.parametrize("verb", [None, *VERBS])
def test_help_names_the_verbs_and_options(ask: Ask, verb: str | None) -> None:
    answer = ask(*([verb] if verb else []), "--help")
    assert answer.code == 0
    assert not answer.err
    assert f"usage: portbook {verb or '[VERB]'}" in answer.out
    assert "--lang" in answer.out
    if verb is None:
        assert all(f"  {name}" in answer.out for name in VERBS)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["nonsense"], "there is no verb nonsense"),
        (["443"], "portbook what 443"),
        (["who", "--nonsense"], "portbook who --help"),
        (["what"], "portbook what 443"),
        (["what", "70000"], "65535"),
        (["what", "443/foo"], "foo"),
        (["what", "20-10"], "20-10"),
        (["what", "--from", "x"], "--update"),
        (["who", "65536"], "65535"),
        (["who", "no-such-service-name"], "no-such-service-name"),
        (["sockets", "--state", "asleep"], "ESTABLISHED"),
        (["sockets", "--columns", "colour"], "local_ip"),
        (["sockets", "--sort", "state:up"], "desc"),
        (["sockets", "--where", "state = "], "state"),
        (["sockets", "--where", "nonsense = 1"], "nonsense"),
        (["sockets", "--limit", "-1"], "--limit"),
        (["sockets", "--format", "xml"], "xml"),
        (["sockets", "--netns", "no-such-namespace"], "no-such-namespace"),
        (["talks", "--by", "colour"], "--by"),
        (["talks", "--watch", "0"], "--watch"),
        (["--lang", "tlh", "who"], "en, fr, pt, uk"),
        (["sockets", "-o", "/nonexistent/folder/file"], "/nonexistent/folder/file"),
    ],
)
def test_a_bad_question_is_one_line_and_exit_code_2(ask: Ask, arguments: list[str], said: str) -> None:
    answer = ask(*arguments)
    assert answer.code == 2
    assert not answer.out
    assert answer.err.startswith("portbook: ")
    assert answer.err.count("\n") == 1
    assert said in answer.err


def test_a_closed_pipe_is_no_error() -> None:
    command = f"{sys.executable} -m portbook what 1-65535 | head -n 1; echo ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.splitlines()[-1] == "0"
    assert not done.stderr


def test_a_full_disk_is_said_in_one_line() -> None:
    command = f"{sys.executable} -m portbook what 1-2000 > /dev/full"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "Traceback" not in done.stderr


def test_the_language_is_the_readers(ask: Ask) -> None:
    english = ask("who", "--help", LANG="C.UTF-8").out
    french = ask("who", "--help", LANG="fr_FR.UTF-8").out
    assert english != french
    assert ask("who", "--help", LC_ALL="fr_CA", LANG="uk_UA").out == french
    assert ask("who", "--help", "--lang", "fr").out == french
    assert ask("--lang=fr", "who", "--help").out == french
    assert ask("who", "--help", LANG="de_DE.UTF-8").out == english


@pytest.mark.parametrize("language", ["fr", "pt", "uk"])
def test_data_never_changes_with_the_language(ask: Ask, language: str) -> None:
    for form in ("json", "ndjson", "csv"):
        english = ask("what", "22-25", "--format", form)
        assert english.out
        assert ask("what", "22-25", "--format", form, "--lang", language).out == english.out


def test_colour_is_for_terminals_and_obeys(start: Ask) -> None:
    assert "\x1b[" in at_terminal(100, "sockets", "-xa")[1]
    for code, said in (
        at_terminal(100, "sockets", "-xa", NO_COLOR="1"),
        at_terminal(100, "sockets", "-xa", TERM="dumb"),
        at_terminal(100, "sockets", "-xa", "--color", "never"),
    ):
        assert code == 0
        assert "unix" in said
        assert "\x1b[" not in said
    assert "\x1b[" not in start("sockets", "-xa").out
    assert "\x1b[" in start("sockets", "-xa", "--color", "always").out


@pytest.mark.parametrize("columns", [60, 80, 200])
def test_a_table_fits_the_terminal(columns: int) -> None:
    code, said = at_terminal(columns, "what", "443", NO_COLOR="1")
    lines = [line for line in plain(said) if not line.startswith("portbook: ")]
    assert code == 0
    assert any("https" in line for line in lines)
    assert max(map(len, lines)) <= columns


@pytest.mark.parametrize("check", [["bash", "-n"], ["zsh", "-n"], ["fish", "--no-execute"]], ids=lambda one: one[0])
def test_completions_are_the_shells_own(start: Ask, check: list[str]) -> None:
    answer = start("--completion", check[0])
    assert answer.code == 0
    assert "sockets" in answer.out
    if shutil.which(check[0]) is None:
        pytest.skip(f"{check[0]} is not installed")
    subprocess.run(check, input=answer.out, text=True, check=True, timeout=30)


def test_the_manual_and_completions_are_what_the_parser_gives() -> None:
    script = Path(__file__).parents[2] / "scripts" / "manual.py"
    done = subprocess.run(
        [sys.executable, str(script), "--check"], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_starting_imports_nothing_heavy() -> None:
    code = (
        "import sys\nfrom portbook.cli.main import main\n"
        "main(['what', '443', '-o', '/dev/null']); main(['sockets', '-tan', '-o', '/dev/null'])\n"
        "heavy = {'rich', 'duckdb', 'numpy', 'asyncio', 'sqlite3', 'platformdirs', 'psutil', 'json', 'subprocess'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == "[]\n"
