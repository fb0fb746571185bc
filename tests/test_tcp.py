from __future__ import annotations

import pytest

from portbook import tcp


@pytest.mark.parametrize(
    ("name", "states"),
    [
        *(("LISTEN", {10}), ("listening", {10}), ("syn_recv", {3, 12}), ("SYN-RCVD", {3, 12}), ("FIN_WAIT2", {5})),
        *(("estab", {1, 15}), ("connected", {1, 15}), ("close", {7, 13, 14}), ("unconn", {7, 14})),
        *(("Close-Wait", {8}), (" time-wait ", {6}), ("bucket", {3, 6, 12}), ("bound-inactive", {13})),
        *(("synchronized", {1, 3, 4, 5, 6, 8, 9, 11, 12, 15}), ("all", set(range(1, 16)))),
    ],
)
def test_the_states_that_a_name_means(name: str, states: set[int]) -> None:
    mask = tcp.state_mask(name)
    assert mask is not None
    assert {state for state in range(32) if mask >> state & 1} == states


def test_what_names_no_state() -> None:
    assert tcp.state_mask("open") is None
    assert tcp.state_mask("") is None


def test_the_kernel_is_asked_with_its_own_numbers() -> None:
    assert tcp.kernel_mask(1 << tcp.CONNECTED | 1 << tcp.UNCONNECTED) == 1 << tcp.ESTABLISHED | 1 << tcp.CLOSED
    assert tcp.kernel_mask(1 << tcp.LISTEN) == 1 << tcp.LISTEN
    for state in tcp.KERNEL_STATES:
        assert tcp.kernel_state(tcp.DATAGRAM_STATES.get(state, state)) == state
