"""A small library for the query tests: see `books` for its schema."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from support.library import Library


@pytest.fixture
def empty(tmp_path: Path) -> Iterator[Library]:
    """A database without attrs."""
    library = Library(tmp_path / "app.db")
    yield library
    library.connection.close()


@pytest.fixture
def books(empty: Library) -> Library:
    """Books with one author, one editor and many tags; authors with many awards. No rows.

    title, born  indexed and typed; pages, out, isbn likewise; note and kind untyped, kind indexed
    """
    empty.field("books", "id")
    empty.field("books", "title", is_indexed=True, checked_type="string")
    empty.field("books", "pages", is_indexed=True, checked_type="number")
    empty.field("books", "out", is_indexed=True, checked_type="boolean")
    empty.field("books", "born", is_indexed=True, checked_type="date")
    empty.field("books", "isbn", is_unique=True, is_indexed=True, checked_type="string")
    empty.field("books", "note")
    empty.field("books", "kind", is_indexed=True)
    empty.field("books", "sub", checked_type="string")
    empty.field("books", "day", checked_type="date")
    empty.field("people", "id")
    empty.field("people", "name", is_indexed=True, checked_type="string")
    empty.field("people", "age")
    empty.field("tags", "id")
    empty.field("tags", "name")
    empty.link("books", "author", "people", "books", cardinality="one")
    empty.link("books", "editor", "people", "edited", cardinality="one")
    empty.link("books", "tags", "tags", "books")
    empty.link("books", "cover", "images", "book", cardinality="one", is_unique=True)
    empty.link("people", "owns", "books", "owner", is_unique=True)
    empty.link("people", "boss", "people", "reports", cardinality="one")
    empty.field("images", "id")
    empty.field("images", "url")
    return empty
