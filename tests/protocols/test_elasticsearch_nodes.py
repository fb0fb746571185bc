"""Elasticsearch's nodes say that they are no web server."""

from __future__ import annotations

import pytest

from portbook.protocols.elasticsearch_nodes import recognise


@pytest.mark.parametrize("data", [b"This is not an HTTP port", b"This is not a HTTP port"])
def test_the_words_to_http_prove_it(data: bytes) -> None:
    found = recognise(data)
    assert found is not None
    assert found.service == "elasticsearch-nodes"
    for place in range(len(data)):
        assert recognise(data[:place]) is None
    assert recognise(b"HTTP/1.1 200 OK\r\n\r\n" + data) is None
