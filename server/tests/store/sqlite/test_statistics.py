"""SQLite is told how values are spread, so that it enters a table by the index that finds least."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from support.transact_app import App, uid
from trice import limits
from trice.errors import Unavailable
from trice.store.sqlite.connection import Connection, Role
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


def figures(app: App) -> dict[Any, list[str]]:
    """The words of each index's `stat`."""
    if not app.rows("SELECT 1 FROM sqlite_schema WHERE name = 'sqlite_stat1'"):
        return {}
    return {
        index: str(stat).split()
        for index, stat in app.rows("SELECT idx, stat FROM sqlite_stat1 WHERE tbl = 't'")
    }


def app_stat4(app: App, index: str) -> list[str]:
    return [str(row[0]) for row in app.rows("SELECT neq FROM sqlite_stat4 WHERE idx = ?", index)]


def distinct_counts(app: App, index: str) -> list[int]:
    """How many rows share each value that SQLite was told of."""
    found = app.rows(
        "SELECT DISTINCT substr(neq, 1, instr(neq, ' ')), substr(nlt, 1, instr(nlt, ' '))"
        " FROM sqlite_stat4 WHERE idx = ?",
        index,
    )
    return [int(str(equal)) for equal, _ in found]


def marked(app: App) -> list[Any]:
    """Tables whose figures this version took."""
    found = app.rows("SELECT DISTINCT tbl FROM sqlite_stat1 WHERE stat LIKE '%trice=%' ORDER BY 1")
    return [table for (table,) in found if table in ("t", "u")]


def define_sparse(app: App) -> None:
    app.define("t", "label", index=True, checked_data_type="string")
    app.define("t", "owner", to=("u", "ts"))


def count_as_before(app: App, path: Path) -> None:
    """Count everything as older versions did."""
    connection = Connection(str(path), Role.WRITER)
    connection.rows("PRAGMA analysis_limit = 250000")
    connection.run("ANALYZE")
    connection.close()


def watch_copies(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many rows each copy for a sample brings, from now on; those of `t` only."""
    copied: list[int] = []
    rows = Connection.rows

    def watched(self: Connection, sql: str, *more: Any) -> Any:
        found = rows(self, sql, *more)
        if sql.startswith("SELECT count(*) FROM sample.entries") and is_copied:
            copied.append(found[0][0])
            is_copied.clear()
        if "INSERT INTO sample.entries" in sql and '"t"' in sql:
            is_copied.append(True)
        return found

    is_copied: list[bool] = []
    monkeypatch.setattr(Connection, "rows", watched)  # interpreted: `spread` calls it
    return copied


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


@pytest.mark.rule("S72")
def test_null_is_none_of_the_values_counted(app: App) -> None:
    define_sparse(app)
    steps: list[Any] = []
    for number in range(1_200):
        rare = {"label": f"rare {number // 400}"} if number % 200 == 0 else {}
        steps += app.put_steps("t", number, **rare)
    app.transact(steps)
    app.define("t", "other")
    # Six rows of 1,200 have one of three labels; none has an owner.
    assert figures(app)["t~label~value"][:3] == ["1200", "2", "1"]
    assert figures(app)["t~label~order"][:3] == ["1200", "2", "1"]
    assert figures(app)["t~owner~value"][:3] == ["1200", "1", "1"]
    assert figures(app)["t~done~value"][:3] == ["1200", "1", "1"]
    equal = [int(neq.split()[0]) for neq in app_stat4(app, "t~label~value")]
    assert max(equal) == 1_194  # null, which is frequent


@pytest.mark.rule("S73")
def test_of_a_large_table_a_sample_is_counted(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "STATISTICS_SAMPLE_ROWS", 600)
    read = watch_copies(monkeypatch)
    define_sparse(app)
    # Written in turns that a sample at equal distances would be in step with.
    app.transact(
        [
            step
            for number in range(6_000)
            for step in app.put_steps("t", number, title=f"{number % 10}", done=number % 100 == 0)
        ]
    )
    app.define("t", "other")
    assert read == [600]
    assert figures(app)["sqlite_autoindex_t_1"][:2] == ["6000", "1"]
    assert figures(app)["t~title~value"][:3] == ["6000", "600", "1"]
    # Each of ten titles, and `done` at least once in a while, within a factor of three.
    titles = distinct_counts(app, "t~title~value")
    assert len(titles) == 10 and all(200 <= count <= 1_800 for count in titles), titles
    done = sorted(distinct_counts(app, "t~done~value"))
    assert 20 <= done[0] <= 180 and done[-1] > 5_000, done


@pytest.mark.rule("S73")
def test_a_value_of_its_own_in_each_row_stays_one_in_a_sample(
    app: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "STATISTICS_SAMPLE_ROWS", 600)
    app.transact(
        [s for number in range(3_000) for s in app.put_steps("t", number, title=f"a{number}")]
    )
    app.define("t", "other")
    assert figures(app)["t~title~value"][:3] == ["3000", "1", "1"]
    assert set(distinct_counts(app, "t~title~value")) == {1}


@pytest.mark.rule("S73")
def test_rows_that_are_left_of_many_are_found(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "STATISTICS_SAMPLE_ROWS", 600)
    read = watch_copies(monkeypatch)
    grow(app, 6_000)
    app.transact([["delete-entity", uid(number), "t"] for number in range(6_000) if number % 40])
    app.transact(
        [s for number in range(0, 6_000, 40) for s in app.put_steps("t", number, title="kept")]
    )
    app.define("t", "other")
    # Few of the rowids looked at first have a row, so more are looked at.
    before, first, second = read
    assert before == 600 and first < 50 and second == 150
    assert figures(app)["t~title~value"][:3] == ["150", "150", "1"]


@pytest.mark.rule("S73")
def test_more_indexes_make_the_sample_smaller(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "STATISTICS_SAMPLE_ENTRIES_MAX", 4 * 300)
    read = watch_copies(monkeypatch)
    grow(app, 2_000)  # created, done, title, its order
    app.define("t", "other")
    assert read == [300]


@pytest.mark.rule("S70")
def test_figures_survive_reopening(app: App) -> None:
    grow(app, limits.STATISTICS_CHANGES_MIN)
    app.define("t", "other")
    taken = figures(app)
    app.reopen()
    assert "t~created" in plan(app, PAGE)
    assert app.get("t", 1) == {"done": False, "title": "a1"}
    assert figures(app) == taken


@pytest.mark.rule("S76")
def test_an_index_that_a_counted_table_gets_is_counted_at_once(app: App) -> None:
    grow(app, limits.STATISTICS_CHANGES_MIN)
    app.define("t", "slug", unique=True)  # its index is partial, for lookups
    taken = figures(app)
    app.define("t", "late", index=True, checked_data_type="boolean")
    app.define("t", "other")
    assert figures(app)["t~late~value"][:3] == ["1000", "1", "1"]
    assert set(figures(app)) == {*taken, "t~late~value"}


@pytest.mark.rule("S74")
def test_a_file_that_an_older_version_counted_is_counted_when_it_is_opened(
    app: App, tmp_path: Path
) -> None:
    define_sparse(app)
    grow(app, 2_000)
    count_as_before(app, tmp_path / "app.db")
    assert figures(app)["t~label~value"][:2] == ["2000", "2000"]
    app.reopen()
    assert figures(app)["t~label~value"][:2] == ["2000", "1"]
    assert app_stat4(app, "t~label~value")


@pytest.mark.rule("S74")
def test_a_table_that_outgrew_its_figures_unnoticed_is_counted_when_its_file_is_opened(
    app: App,
) -> None:
    half = limits.STATISTICS_CHANGES_MIN // 2
    grow(app, half)
    app.reopen()
    grow(app, half, start=half)
    app.define("t", "other")
    assert figures(app) == {}
    app.reopen()
    assert figures(app)["t~title~value"][0] == str(2 * half)


@pytest.mark.rule("S74")
def test_of_many_tables_some_wait_for_the_next_write(
    app: App, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    grow(app, 1_000)
    app.define("u", "id")
    app.transact([step for number in range(1_000) for step in app.put_steps("u", number)])
    app.define("t", "other")
    count_as_before(app, tmp_path / "app.db")
    monkeypatch.setattr(limits, "STATISTICS_TABLES_AT_OPEN_MAX", 1)
    app.reopen()
    assert marked(app) == ["t"]
    app.define("t", "another")
    assert marked(app) == ["t", "u"]


@pytest.mark.rule("S74")
def test_a_file_opens_when_it_cannot_be_counted(
    app: App, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    grow(app, limits.STATISTICS_CHANGES_MIN)
    app.define("t", "other")
    count_as_before(app, tmp_path / "app.db")

    def refresh(self: Statistics, connection: Connection, table: str) -> None:
        raise Unavailable("overloaded", "full")

    monkeypatch.setattr(Statistics, "refresh", refresh)
    app.reopen()
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
