"""Services of a lab: where and as whom they run, when they count as up, and what is said of one that is not."""

from __future__ import annotations

import os
import pwd
import re
import signal
from dataclasses import replace
from pathlib import Path

import pytest

from portbook.errors import Unavailable
from portbook.lab import keeper, programs, services
from portbook.lab.scenario import ClientPlan, Scenario, ServicePlan, Step
from portbook.lab.servers.program import installed
from portbook.lab.state import base_folder
from tests.lab.conftest import LabHost, Raise, eventually, unique
from tests.lab.faking import ECHO, FOR_EVER, put_in_place
from tests.lab.plans import echo, two_hosts
from tests.linux.children import needs_root

WORD = echo("word")


def refusal(plan: Scenario) -> str:
    """Return why a lab cannot be raised, and leave nothing of it."""
    name = unique("refused")
    with pytest.raises(Unavailable) as caught:
        keeper.down(keeper.up(plan, name=name)[0])
    assert not os.path.exists(f"{base_folder()}/{name}")
    return str(caught.value)


def listening(host: LabHost, transport: str) -> set[str]:
    """Return the sockets that wait for anybody, as ss prints them."""
    lines = host.run("ss", "-Hln", {"tcp": "-t", "udp": "-u"}[transport]).stdout.splitlines()
    return {line.split()[3] for line in lines}


def test_both_transports_are_served_by_one_service(lab: Raise) -> None:
    up = lab(two_hosts(echo("both", 31007, transports=("tcp", "udp"))))
    assert up.services["both"].transports == ("tcp", "udp")
    for transport in ("tcp", "udp"):
        assert listening(up["server"], transport) == {"0.0.0.0:31007", "[::]:31007"}
    users = up["server"].run("ss", "-Htulnp").stdout
    assert len(set(re.findall(r"pid=(\d+)", users))) == 1
    [told] = [event for event in up.events if event.kind == "service"]
    assert told.place == "server 31007/tcp,udp"


def test_a_service_is_up_once_its_ready_file_is_there(lab: Raise, monkeypatch: pytest.MonkeyPatch) -> None:
    slow = ECHO + "time.sleep(0.4)\nopen('is/ready', 'w')\n" + FOR_EVER
    put_in_place(monkeypatch, "echo", slow, ready="is/ready", files=(("is/not", ""),))
    up = lab(two_hosts(WORD))
    assert os.path.exists(f"{up.state.folder}/word/is/ready")
    # One that nobody can ask needs no answer; a socket alone is not enough.
    datagrams = (
        "import socket, sys, time\nserver = socket.socket(type=socket.SOCK_DGRAM)\n"
        "server.bind(('', int(sys.argv[1])))\ntime.sleep(0.4)\nopen('ready', 'w')\n"
    )
    put_in_place(monkeypatch, "dhcp", datagrams + FOR_EVER, ready="ready")
    up = lab(two_hosts(ServicePlan("leases", "server", "dhcp", 67, ("udp",))))
    assert os.path.exists(f"{up.state.folder}/leases/ready")


def test_a_service_that_never_gets_ready_is_given_up(lab: Raise, monkeypatch: pytest.MonkeyPatch) -> None:
    lab(two_hosts())  # skips where there are no labs at all
    monkeypatch.setattr(services, "SERVICE_SECONDS", 0.5)
    put_in_place(monkeypatch, "echo", ECHO + "print('thinking', flush=True)" + FOR_EVER, ready="ready")
    assert refusal(two_hosts(WORD)) == "word on server did not come up; its last words: thinking"


@needs_root
def test_a_server_finds_its_places_changed_and_nobody_else_does(lab: Raise, monkeypatch: pytest.MonkeyPatch) -> None:
    put_in_place(
        monkeypatch,
        "echo",
        ECHO + "open('/opt/mark', 'w')\nprint(os.listdir('/opt'), open('/etc/hostname').read())" + FOR_EVER,
        files=(("names/host", "bound"),),
        empty=("/opt", "/var/lib"),
        binds=(("names/host", "/etc/hostname"),),
    )
    machine = {path: os.listdir(path) for path in ("/opt", "/var/lib")}
    up = lab(two_hosts(replace(WORD, port=31007)))
    server = up["server"]
    pid = server.run("pgrep", "-f", "create_server").stdout.split()[0]
    assert server.run("ls", f"/proc/{pid}/root/opt", f"/proc/{pid}/root/var/lib").stdout.split() == [
        f"/proc/{pid}/root/opt:",
        "mark",
        f"/proc/{pid}/root/var/lib:",
    ]
    assert server.run("cat", f"/proc/{pid}/root/etc/hostname").stdout == "bound"
    assert server.run("stat", "-c", "%a", f"/proc/{pid}/root/opt").stdout == "1777\n"
    # Neither another process of the host nor the machine sees any of it.
    assert server.run("cat", "/etc/hostname").stdout != "bound"
    assert {path: os.listdir(path) for path in machine} == machine
    assert "mark" not in server.run("ls", "/opt").stdout.split()


@needs_root
def test_a_server_is_the_user_that_it_names(lab: Raise, monkeypatch: pytest.MonkeyPatch) -> None:
    put_in_place(
        monkeypatch,
        "echo",
        ECHO + "open('own', 'w')" + FOR_EVER,
        files=(("deep/file", ""),),
        commands=(("sh", "-c", "id -un > made; id -Gn >> made"),),
        user="nobody",
    )
    # A port below 1024, which such a user may have in a lab.
    up = lab(two_hosts(replace(WORD, port=77)))
    nobody = pwd.getpwnam("nobody")
    folder = Path(up.state.folder) / "word"
    assert {(path.stat().st_uid, path.stat().st_gid) for path in (folder, *folder.rglob("*"))} == {
        (nobody.pw_uid, nobody.pw_gid)
    }
    assert {path.name for path in folder.rglob("*")} == {"deep", "file", "made", "own"}
    assert (folder / "made").read_text().split()[0] == "nobody"
    server = up["server"]
    pids = server.run("pgrep", "-f", "create_server").stdout.split()
    assert pids
    for pid in pids:
        status = dict(line.split(":\t", 1) for line in server.run("cat", f"/proc/{pid}/status").stdout.splitlines())
        assert set(status["Uid"].split()) == {str(nobody.pw_uid)}
        assert set(status["Gid"].split()) == {str(nobody.pw_gid)}
        # Of root's rights there is the one to have such a port.
        assert int(status["CapEff"], 16) == int(status["CapBnd"], 16) & int(status["CapEff"], 16) == 1 << 10


@needs_root
def test_what_keeps_a_server_from_its_place_is_told(lab: Raise, monkeypatch: pytest.MonkeyPatch) -> None:
    lab(two_hosts())
    put_in_place(monkeypatch, "echo", empty=("/there/is/no/such/folder",))
    assert refusal(two_hosts(WORD)) == (
        "word on server did not come up; its last words:"
        " [Errno 2] No such file or directory: '/there/is/no/such/folder'"
    )
    put_in_place(monkeypatch, "echo", user="there-is-no-such-user")
    assert "word is to run as the user there-is-no-such-user, whom this machine has not" in refusal(two_hosts(WORD))


def test_a_command_before_the_server_that_fails_says_its_last_words(
    lab: Raise, monkeypatch: pytest.MonkeyPatch
) -> None:
    lab(two_hosts())
    put_in_place(monkeypatch, "echo", commands=(("true",), ("sh", "-c", "echo no room >&2; exit 3"), ("true",)))
    assert refusal(two_hosts(WORD)) == "word on server did not come up; its last words: no room"
    put_in_place(monkeypatch, "echo", commands=(("false",),))
    assert refusal(two_hosts(WORD)) == "word on server did not come up, and said nothing"


def test_a_command_that_never_ends_is_given_up(lab: Raise, monkeypatch: pytest.MonkeyPatch) -> None:
    lab(two_hosts())
    monkeypatch.setattr(services, "SERVICE_SECONDS", 0.3)
    put_in_place(monkeypatch, "echo", commands=(("sh", "-c", "echo waiting; sleep 600"),))
    assert refusal(two_hosts(WORD)) == "word on server did not come up; its last words: waiting"


def test_a_program_that_is_not_there_is_named_with_its_packages(lab: Raise, monkeypatch: pytest.MonkeyPatch) -> None:
    lab(two_hosts())
    put_in_place(monkeypatch, "echo", commands=(("there-is-no-such-program",),))
    assert refusal(two_hosts(WORD)) == (
        "word needs the program there-is-no-such-program, which is not there; portbook lab install installs what a"
        " scenario needs, here: iproute2, script-server, script-data"
    )


def test_a_server_that_no_package_provides_here_is_named(lab: Raise, monkeypatch: pytest.MonkeyPatch) -> None:
    lab(two_hosts())
    monkeypatch.setattr(programs, "installed", lambda _: None)
    said = refusal(two_hosts(ServicePlan("mail", "server", "smtp", 25)))
    assert re.match(r"mail needs one of these packages: [\w-]+, .*; portbook lab install installs", said)


def test_a_server_that_dies_right_after_it_answered_is_told(lab: Raise, monkeypatch: pytest.MonkeyPatch) -> None:
    lab(two_hosts())
    dying = ECHO.replace("converse(connection):", "converse(connection):\n    global asked; asked = 1") + (
        "asked = 0\nwhile not asked: time.sleep(0.01)\ntime.sleep(0.3)\nsys.exit('farewell')\n"
    )
    put_in_place(monkeypatch, "echo", dying)
    # While the others come up it is gone.
    slow = Step("Nobody answers there.", "ask", client=ClientPlan("client", "http", "server", 80), expect="refused")
    plan = replace(two_hosts(WORD), steps=(slow,) * 8)
    assert refusal(plan) == "word on server ended after it had come up; its last words: farewell"


def test_a_server_on_a_port_where_another_answers_is_not_up(lab: Raise, monkeypatch: pytest.MonkeyPatch) -> None:
    lab(two_hosts())
    monkeypatch.setattr(services, "SERVICE_SECONDS", 0.5)
    other = echo("other", program="python")
    put_in_place(monkeypatch, "echo", "import time\nprint('I want no port', flush=True)" + FOR_EVER)
    assert "word on server did not come up; its last words: I want no port" in refusal(two_hosts(other, WORD))


def test_services_come_up_side_by_side_and_are_told_in_their_order(
    lab: Raise, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Each is ready only when the other has begun.
    meeting = ECHO + (
        "open(sys.argv[2] + '/here', 'w')\n"
        "while len([1 for name in ('one', 'two') if os.path.exists(f'../{name}/here')]) < 2: time.sleep(0.01)\n"
        "open('ready', 'w')\n"
    )
    put_in_place(monkeypatch, "echo", meeting + FOR_EVER, ready="ready")
    first, second = (echo(name, port) for name, port in (("one", 7), ("two", 8)))
    up = lab(two_hosts(first, second))
    assert [event.name for event in up.events if event.kind == "service"] == ["one", "two"]


def test_a_server_that_does_not_want_to_stop_is_stopped(lab: Raise, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(services, "_STOPPING_SECONDS", 0.2)
    stubborn = ECHO + (
        "import signal, subprocess\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "subprocess.Popen(['sleep', '987654'])\nopen('ready', 'w')\n"
    )
    put_in_place(monkeypatch, "echo", stubborn + FOR_EVER, ready="ready")
    up = lab(replace(two_hosts(WORD), steps=(Step("It stops.", "stop", "word"),)))
    assert listening(up["server"], "tcp") == set()
    assert up["server"].run("pgrep", "-fc", "create_server|987654").stdout == "0\n"
    assert not up.services["word"].up


def test_the_folder_of_a_service_has_a_short_path_however_long_the_names(
    lab: Raise, monkeypatch: pytest.MonkeyPatch
) -> None:
    service = "s" * 31
    local = "unix = socket.socket(socket.AF_UNIX)\nunix.bind(sys.argv[2] + '/' + 'a' * 60)\n"
    put_in_place(monkeypatch, "echo", ECHO + local + FOR_EVER)
    lab(two_hosts())
    name = unique("long").ljust(64, "g")
    assert len(name) == 64
    up, _ = keeper.up(two_hosts(echo(service)), name=name)
    try:
        assert os.path.exists(f"{up.folder}/{service}/{'a' * 60}")
    finally:
        keeper.down(up)


REAL = [(kind, one.name) for kind in ("http", "https", "ssh") for one in programs.CANDIDATES[kind]]


@pytest.mark.parametrize(("kind", "name"), REAL)
@pytest.mark.parametrize("where", [None, "127.0.0.1", "2001:db8:2::2"])
def test_a_real_server_listens_where_it_is_planned(lab: Raise, kind: str, name: str, where: str | None) -> None:
    [candidate] = [one for one in programs.CANDIDATES[kind] if one.name == name]
    if not all(map(installed, (name, *candidate.needs))):
        pytest.skip(f"{name} is not installed")
    if candidate.needs_users and os.geteuid():
        pytest.skip(f"{name} needs root, which becomes other users")
    up = lab(two_hosts(ServicePlan("real", "server", kind, 31080, address=where, program=name)))
    service = up.services["real"]
    assert (service.program, service.product) == (name, candidate.product)
    assert service.version
    places = listening(up["server"], "tcp")
    if where is None:
        assert {one.rpartition(":")[2] for one in places} == {"31080"}
    else:
        assert places == {f"[{where}]:31080" if ":" in where else f"{where}:31080"}
    begin = "import socket, sys; socket.create_connection((sys.argv[1], 31080), 5)"
    for address in ("192.0.2.2", "2001:db8:2::2"):
        met = up["client"].run("python3", "-c", begin, address)
        assert (met.returncode == 0) == (where in (None, address)), met.stderr


def test_the_processes_of_a_lab_know_nothing_of_the_callers_environment(
    lab: Raise, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECRET_TOKEN", "harbour")
    up = lab(two_hosts(echo("word")))
    told = up["server"].run("sh", "-c", "cat /proc/[0-9]*/environ").stdout
    assert "HOME=/run/lab/word" in told
    # The init of a host is the caller's own child, and has its environment; servers do not.
    servers = up["server"].run("pgrep", "-f", "portbook.lab.serve").stdout.split()
    environs = [up["server"].run("cat", f"/proc/{pid}/environ").stdout for pid in servers]
    assert environs
    assert all("harbour" not in environ for environ in environs)


def test_a_service_that_is_killed_later_is_seen_in_the_kernel(lab: Raise) -> None:
    up = lab(two_hosts(echo("word", 31007)))
    for pid in up["server"].run("pgrep", "-f", "portbook.lab.serve").stdout.split():
        up["server"].run("kill", f"-{signal.SIGKILL}", pid)
    assert eventually(lambda: listening(up["server"], "tcp") == set())
