"""SQLite is told how values are spread, so that it enters a table by the index that finds least."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from support.transact_app import App
from trice import limits
from trice.errors import Unavailable
from trice.store.sqlite.connection import Connection
from trice.store.sqlite.statistics import Statistics

PAGE = (
    "SELECT id FROM t WHERE _created_ms IS NOT NULL AND done = x'02'"
    " ORDER BY _created_ms DESC, id DESC LIMIT 20"
)
BOTH = "SELECT id FROM t WHERE done = x'02' AND title = 'a1'"


@pytest.fixture
def app(tmp_path: Path) -> Any:
    app = App(tmp_path / "app.db")
    app.define("t", "id")
    app.define("t", "done", index=True, checked_data_type="boolean")
    app.define("t", "title", index=True, checked_data_type="string")
    yield app
    app.close()


def grow(app: App, count: int, *, start: int = 0) -> None:
    steps: list[Any] = []
    for number in range(start, start + count):
        steps += app.put_steps("t", number, done=number % 2 == 0, title=f"a{number % 100}")
    app.transact(steps)


def plan(app: App, sql: str) -> str:
    return " ".join(str(row[3]) for row in app.rows(f"EXPLAIN QUERY PLAN {sql}"))


def counted(app: App) -> dict[Any, int]:
    """Rows by index, as SQLite was told last."""
    if not app.rows("SELECT 1 FROM sqlite_schema WHERE name = 'sqlite_stat1'"):
        return {}
    return {
        index: int(str(figures).split()[0])
        for index, figures in app.rows("SELECT idx, stat FROM sqlite_stat1 WHERE tbl = 't'")
    }


@pytest.mark.rule("S70")
def test_a_table_that_grew_is_read_by_its_best_index(app: App) -> None:
    grow(app, limits.STATISTICS_CHANGES_MIN - 1)
    app.rows("SELECT 1")
    assert counted(app) == {}
    grow(app, 1, start=limits.STATISTICS_CHANGES_MIN)
    app.define("t", "other")  # waits for what the writer does meanwhile
    assert "t~created" in plan(app, PAGE)
    assert "TEMP B-TREE" not in plan(app, PAGE)
    assert "t~title~value" in plan(app, BOTH)


@pytest.mark.rule("S70")
def test_figures_are_taken_again_when_the_table_doubled(app: App) -> None:
    least = limits.STATISTICS_CHANGES_MIN
    grow(app, 2 * least)
    grow(app, least, start=2 * least)
    app.define("t", "other")
    assert counted(app)["t~title~value"] == 2 * least
    grow(app, least, start=3 * least)
    app.define("t", "another")
    assert counted(app)["t~title~value"] == 4 * least


@pytest.mark.rule("S70")
def test_figures_survive_reopening(app: App) -> None:
    grow(app, limits.STATISTICS_CHANGES_MIN)
    app.define("t", "other")
    app.reopen()
    assert "t~created" in plan(app, PAGE)
    assert app.get("t", 1) == {"done": False, "title": "a1"}


@pytest.mark.rule("S70")
def test_a_failure_to_count_leaves_writes_alone(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    attempts: list[str] = []

    def refresh(self: Statistics, connection: Connection, table: str) -> None:
        attempts.append(table)
        raise Unavailable("overloaded", "full")

    monkeypatch.setattr(Statistics, "refresh", refresh)
    grow(app, limits.STATISTICS_CHANGES_MIN)
    app.put("t", 1, title="after")
    assert attempts == ["t"]
    assert app.get("t", 1) == {"done": False, "title": "after"}
