"""What a person asks is made into a question: how much, how fast, of whom, and what cannot be asked."""

from __future__ import annotations

import socket
from collections.abc import Sequence

import pytest

from portbook.errors import BadQuestion
from portbook.probe.asking import FAR, MOST_TESTS, NEAR, Asking, question
from portbook.probe.reach import Limits
from portbook.probe.testing import Question, count, endpoints
from portbook.registry.lookup import Registry, open_registry

NAMES = {"one.example": ["192.0.2.1", "2001:db8::1"], "two.example": ["192.0.2.1"], "far.example": ["8.8.8.8"]}


@pytest.fixture
def registry(monkeypatch: pytest.MonkeyPatch) -> Registry:
    """The registry, beside a resolver that knows a few names and no others."""

    def looked_up(host: str, *_: object, **__: object) -> list[tuple[object, ...]]:
        if host not in NAMES:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return [(0, 0, 0, "", (ip, 0)) for ip in NAMES[host]]

    monkeypatch.setattr(socket, "getaddrinfo", looked_up)
    return open_registry()


def asked(asking: Asking, registry: Registry) -> Question:
    """Return a question to which nothing is missing."""
    made, without = question(asking, registry)
    assert without == []
    return made


def all_of(made: Question) -> set[tuple[str, int, str]]:
    return {(target.ip, port, transport) for transport in made.ports for target, port in endpoints(made, transport)}


def test_the_main_ports_are_asked_by_their_own_transports(registry: Registry) -> None:
    made = asked(Asking(["192.0.2.1"]), registry)
    assert made.ports == {transport: registry.main_ports(transport) for transport in ("tcp", "udp")}
    assert made.likely == registry.main_ports("tcp")
    assert list(asked(Asking(["192.0.2.1"], "22"), registry).ports) == ["tcp"]
    assert list(asked(Asking(["192.0.2.1"], "22", ("udp", "tcp", "udp")), registry).ports) == ["udp", "tcp"]


def test_a_port_that_stands_with_its_host_is_of_tcp_alone(registry: Registry) -> None:
    made = asked(Asking(["192.0.2.1:22", "192.0.2.2"]), registry)
    assert {one for one in all_of(made) if one[0] == "192.0.2.1"} == {("192.0.2.1", 22, "tcp")}
    assert {transport for ip, _, transport in all_of(made) if ip == "192.0.2.2"} == {"tcp", "udp"}
    both = asked(Asking(["192.0.2.1:22", "192.0.2.2"], transports=("tcp", "udp")), registry)
    assert ("192.0.2.1", 22, "udp") in all_of(both)


def test_every_address_of_a_name_is_tested_and_one_by_two_names_twice(registry: Registry) -> None:
    made = asked(Asking(["one.example", "two.example", "two.example"], "80"), registry)
    assert [(one.host, one.ip) for one in made.targets] == [
        ("one.example", "192.0.2.1"),
        ("one.example", "2001:db8::1"),
        ("two.example", "192.0.2.1"),
    ]
    assert count(made) == 3
    assert [one.ip for one in asked(Asking(["one.example"], "80", families=[6]), registry).targets] == ["2001:db8::1"]


@pytest.mark.parametrize(
    ("targets", "families", "reason"),
    [
        (["nobody.example"], (4, 6), "cannot be looked up"),
        (["two.example"], (6,), "no address of the family"),
        (["192.0.2.0/30"], (6,), "no address of the family"),
        (["fe80::1%nowhere0"], (4, 6), "no interface"),
    ],
)
def test_who_has_no_address_is_named_beside_the_others_and_refused_alone(
    registry: Registry, targets: Sequence[str], families: Sequence[int], reason: str
) -> None:
    with pytest.raises(BadQuestion, match=reason):
        question(Asking(targets, "80", families=families), registry)
    made, (without,) = question(Asking([*targets, "::1"], "80", families=families), registry)
    assert reason in str(without)
    assert {one.ip for one in made.targets} == {"::1"}


@pytest.mark.parametrize(
    ("targets", "limits"),
    [
        (["127.0.0.1", "10.0.0.1"], Limits(rate=NEAR, self_clocked=True)),
        (["127.0.0.1", "far.example"], Limits(rate=FAR)),
    ],
)
def test_the_pace_is_that_of_the_farthest(registry: Registry, targets: Sequence[str], limits: Limits) -> None:
    assert asked(Asking(targets, "80"), registry).limits == limits
    assert asked(Asking(targets, "80", rate=7.0), registry).limits == Limits(rate=7.0)


def test_ports_have_their_names_whether_few_or_many_unless_numbers_are_wanted(registry: Registry) -> None:
    for ports in ("443", "1-1000"):
        assert asked(Asking(["127.0.0.1"], ports), registry).service_name(443, "tcp") == "https"
        assert asked(Asking(["127.0.0.1"], ports), registry).service_name(4, "tcp") is None
        assert asked(Asking(["127.0.0.1"], ports, numeric=True), registry).service_name(443, "tcp") is None


def test_a_run_is_bounded_even_with_a_yes(registry: Registry) -> None:
    assert MOST_TESTS == 64 * 65536
    with pytest.raises(BadQuestion, match="too many for one run"):
        question(Asking(["10.0.0.0/25"], "all", permitted=True), registry)
    with pytest.raises(BadQuestion, match="--yes"):
        question(Asking(["10.0.0.0/16"], "80"), registry)
    assert count(asked(Asking(["10.0.0.0/19"], "80", permitted=True), registry)) == 8190


@pytest.mark.parametrize(
    ("asking", "reason"),
    [
        (Asking([]), "what is to be tested"),
        (Asking(["127.0.0.1"], "80", ("sctp",)), "takes tcp, udp"),
        (Asking(["127.0.0.1"], "80", ("",)), '""'),
        (Asking(["127.0.0.1"], "http"), "no list of ports"),
        (Asking(["a b"], "80"), "is no target"),
    ],
)
def test_what_cannot_be_asked(registry: Registry, asking: Asking, reason: str) -> None:
    with pytest.raises(BadQuestion, match=reason):
        question(asking, registry)
