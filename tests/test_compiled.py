from __future__ import annotations

import importlib

import pytest

from portbook import compiled


@pytest.mark.parametrize("name", compiled.TWINS)
def test_a_twin_has_the_functions_of_its_reference(name: str) -> None:
    twin = compiled.twin(name)
    if twin is None:
        pytest.skip("installed without a compiler")
    reference = importlib.import_module(name)
    for function in {
        "sock_diag": ["decode"],
        "rows": ["measure", "render"],
        "descriptors": ["socket_holders", "join"],
        "connecting": ["begin_all"],
    }[name.rpartition(".")[2]]:
        assert callable(getattr(twin, function))
        assert callable(getattr(reference, function))


@pytest.mark.parametrize("name", compiled.TWINS)
def test_the_references_run_on_request(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PORTBOOK_PURE", "1")
    assert compiled.twin(name) is None
    assert compiled.best(name).__name__ == name
    assert not any(compiled.running().values())
