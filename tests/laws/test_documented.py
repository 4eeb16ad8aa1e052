"""docs/wires.md tells what is so."""

from __future__ import annotations

from proxy.hub.pairing import FILLER, STUB
from tests.laws.documented import DOCUMENT, renewed, tables


def test_the_documents_tables_are_what_the_wires_do() -> None:
    text = DOCUMENT.read_text()
    assert renewed(text) == text, "read what became different; then: .venv/bin/python -m tests.laws.documented"


def test_the_document_has_every_table() -> None:
    text = DOCUMENT.read_text()
    assert [name for name in tables() if f"<!-- made: {name} -->" not in text] == []


def test_the_document_quotes_what_is_added() -> None:
    text = DOCUMENT.read_text()
    assert f"`{STUB}`" in text
    assert f"`{FILLER}`" in text
