"""An app to write to, empty or with a small library."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from support.transact_app import App


@pytest.fixture
def app(tmp_path: Path) -> Iterator[App]:
    opened = App(tmp_path / "app.db")
    yield opened
    opened.close()


@pytest.fixture
def library(app: App) -> App:
    """Books with an author (has one), tags (has many), and people with a unique email."""
    app.transact(
        [
            ["add-attr", attr]
            for attr in (
                app.attr_json("books", "id"),
                app.attr_json("books", "title"),
                app.attr_json("books", "pages", index=True, checked_data_type="number"),
                app.attr_json("books", "meta"),
                app.attr_json("books", "isbn", unique=True),
                app.attr_json("people", "id"),
                app.attr_json("people", "email", unique=True, index=True),
                app.attr_json("people", "name"),
                app.attr_json("books", "author", to=("people", "books")),
                app.attr_json("books", "tags", to=("tags", "books"), cardinality="many"),
                app.attr_json("tags", "id"),
            )
        ]
    )
    return app
