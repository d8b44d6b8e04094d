"""An app for rules over writes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from support.notes import Notes
from support.transact_app import App


@pytest.fixture
def notes(tmp_path: Path) -> Iterator[Notes]:
    """The library of notes, without rows."""
    opened = Notes(tmp_path / "notes.db")
    yield opened
    opened.close()


@pytest.fixture
def app(tmp_path: Path) -> Iterator[App]:
    """Todos with an owner (has one) and tags (has many); people with a unique email."""
    opened = App(tmp_path / "app.db")
    attr = opened.attr_json
    opened.transact(
        [
            ["add-attr", each]
            for each in (
                attr("todos", "id"),
                attr("todos", "title"),
                attr("todos", "done", index=True, checked_data_type="boolean"),
                attr("todos", "meta"),
                attr("todos", "code", unique=True),
                attr("people", "id"),
                attr("people", "email", unique=True, index=True),
                attr("people", "role"),
                attr("todos", "owner", to=("people", "todos")),
                attr("todos", "tags", to=("tags", "todos"), cardinality="many"),
                attr("todos", "parent", to=("todos", "children"), on_delete="cascade"),
                attr("tags", "id"),
                attr("tags", "name"),
                attr("$users", "role"),
            )
        ]
    )
    yield opened
    opened.close()
