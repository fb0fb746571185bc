"""What Elasticsearch and OpenSearch say between nodes to those who are none; they are not asked anything."""

from __future__ import annotations

import re

from portbook.porttest import Finding
from portbook.protocols.conversation import Protocol

_NOT_HTTP = re.compile(rb"This is not an? HTTP port\Z")


def recognise(data: bytes) -> Finding | None:
    """Return what the words to an HTTP request prove."""
    if _NOT_HTTP.match(data[:512]):
        return Finding("elasticsearch-nodes", banner="This is not an HTTP port")
    return None


PROTOCOL = Protocol("elasticsearch-nodes", (9300,), recognise=recognise)
