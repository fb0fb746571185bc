"""A line names a product by a word of its own, and the version by what stands behind it."""

from __future__ import annotations

import pytest

from portbook.protocols.banner import lines, product

PRODUCTS = (
    ("postfix", "Postfix"),
    ("exim", "Exim"),
    ("pure-ftpd", "Pure-FTPd"),
    ("microsoft exchange", "Microsoft Exchange"),
)


@pytest.mark.parametrize(
    ("line", "name", "version"),
    [
        ("ESMTP Exim 4.96.2 Sat", "Exim", "4.96.2"),
        ("Exim/4.96", "Exim", "4.96"),
        ("Exim SMTP Server, version 4.96-Debian", "Exim", "4.96"),
        ("Exim (v5)", "Exim", "5"),
        ("EXIM", "Exim", None),
        ("the microsoft exchange POP3 service", "Microsoft Exchange", None),
        ("exim.example is here", None, None),
        ("mx-exim.example", None, None),
        ("we like eximious things", None, None),
        ("a postfix and exim 4", "Postfix", None),
        ("see http://www.pure-ftpd.org/", None, None),
        ("", None, None),
    ],
)
def test_a_line_names_a_product(line: str, name: str | None, version: str | None) -> None:
    assert product(line, PRODUCTS) == (name, version)


def test_only_whole_lines_count() -> None:
    assert lines(b"one\r\ntwo\nthr") == ["one", "two"]
    assert lines(b"") == []
    assert lines(b"\n" * 1000) == [""] * 200
    assert lines(b"caf\xe9\xff\n") == ["caf\u00e9\u00ff"]
