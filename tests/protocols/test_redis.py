"""Redis and its relatives are known by PONG, by INFO, and by refusals in words of their own."""

from __future__ import annotations

import pytest

from portbook.protocols.redis import PROTOCOL, recognise

from .driving import ASKED, play
from .recorded import Recorded, cut_short, known

PING, INFO, HELLO = b"*1\r\n$4\r\nPING", b"*2\r\n$4\r\nINFO", b"*1\r\n$5\r\nHELLO"
PONG = b"+PONG\r\n"


def _info(*lines: bytes) -> bytes:
    body = b"# Server\r\n" + b"".join(line + b"\r\n" for line in lines)
    return b"$%d\r\n%s\r\n" % (len(body), body)


# Redis 7.0.15, shortened.
SECTION = _info(
    b"redis_version:7.0.15",
    b"redis_git_sha1:00000000",
    b"redis_mode:standalone",
    b"os:Linux 6.1.0 x86_64",
    b"executable:/usr/bin/redis-server",
)
NOAUTH = b"-NOAUTH Authentication required.\r\n"
DENIED = (
    b"-DENIED Redis is running in protected mode because protected mode is enabled and no passw"
    b"ord is set for the default user. "
    b"r. In this mode connections are only accepted from the loopback interface.\r\n"
)
RECORDED = (
    Recorded("Redis 7.0.15", "Redis", "7.0.15", answers=((PING, PONG), (INFO, SECTION))),
    Recorded("Redis 7.0.15 with a password", None, None, answers=((PING, NOAUTH),)),
    Recorded("Redis 7.0.15 in protected mode", "Redis", None, DENIED, ends=True),
)


@pytest.mark.parametrize("recorded", RECORDED)
def test_it_tells_what_it_is(recorded: Recorded) -> None:
    known(PROTOCOL, recorded)
    cut_short(PROTOCOL, recorded)


def test_a_password_is_not_offered() -> None:
    played = play(PROTOCOL.converse(ASKED), [NOAUTH])  # type: ignore[misc]
    assert played.finding is not None
    assert played.finding.note == "it asks for a password"
    assert len(played.said) == 1
    assert b"QUIT" in played.farewell


@pytest.mark.parametrize(
    ("info", "product", "version"),
    [
        (_info(b"redis_version:7.2.4", b"server_name:valkey", b"valkey_version:8.0.1"), "Valkey", "8.0.1"),
        (_info(b"redis_version:7.4.0", b"dragonfly_version:df-v1.25.1"), "Dragonfly", "1.25.1"),
        (_info(b"redis_version:6.3.4", b"executable:/usr/bin/keydb-server"), "KeyDB", "6.3.4"),
        (_info(b"redis_version:7.2.5", b"garnet_version:1.0.40"), "Garnet", "1.0.40"),
        (_info(b"redis_version:4.0.0", b"kvrocks_version:2.11.0"), "Apache Kvrocks", "2.11.0"),
        (_info(b"redis_version:6.2.6", b"redis_mode:sentinel"), "Redis", "6.2.6"),
    ],
)
def test_the_relatives_tell_behind_it(info: bytes, product: str, version: str) -> None:
    found = play(PROTOCOL.converse(ASKED), [PONG, info]).finding  # type: ignore[misc]
    assert found is not None
    assert (found.service, found.product, found.version) == ("redis", product, version)


def test_who_refuses_info_may_answer_hello() -> None:
    hello = b"*6\r\n$6\r\nserver\r\n$6\r\nvalkey\r\n$7\r\nversion\r\n$5\r\n8.1.0\r\n$5\r\nproto\r\n:2\r\n"
    refusal = b"-NOPERM this user has no permissions to run the 'info' command\r\n"
    found = play(PROTOCOL.converse(ASKED), [PONG, refusal, hello], cut=3).finding  # type: ignore[misc]
    assert found is not None
    assert (found.product, found.version) == ("Valkey", "8.1.0")
    again = play(PROTOCOL.converse(ASKED), [PONG, refusal, refusal]).finding  # type: ignore[misc]
    assert again is not None
    assert again.product is None


@pytest.mark.parametrize(
    "data",
    [
        b"-ERR wrong number of arguments for 'get' command\r\n",
        b"-ERR unknown command 'HELP'\r\n",
        b"-ERR unknown command `HEAD`, with args beginning with: `/`\r\n",
        b"-ERR operation not permitted\r\n",
        b"-LOADING Redis is loading the dataset in memory\r\n",
        b"-ERR max number of clients reached\r\n",
    ],
)
def test_errors_to_other_questions_prove_it_as_well(data: bytes) -> None:
    found = recognise(data)
    assert found is not None
    assert found.service == "redis"


@pytest.mark.parametrize(
    "data", [b"-ERR", b"-ERR Unknown command.\r\n", b"-ERR [SYS/TEMP] busy\r\n", b"+OK\r\n", b"$5\r\nhello\r\n"]
)
def test_the_errors_of_pop3_are_not_its(data: bytes) -> None:
    assert recognise(data) is None
    assert play(PROTOCOL.converse(ASKED), [data]).finding is None  # type: ignore[misc]
