"""What people see who open an app's file with a SQLite of their own."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from support.runtime import FakeRuntime
from support.transact_app import App, uid
from trice import limits
from trice.catalog.attr import Attr
from trice.catalog.system import system_attrs
from trice.errors import TriceError
from trice.store.sqlite.engine import SqliteEngine

# 2025-01-02T03:04:05.678Z
INSTANT_MS = 1_735_787_045_678


@pytest.fixture
def app(tmp_path: Path) -> Iterator[App]:
    opened = App(tmp_path / "app.db")
    yield opened
    opened.close()


READER = """
import json, sqlite3, sys
for line in sys.stdin:
    uri, statements = json.loads(line)
    connection = sqlite3.connect(uri, uri=True)
    connection.row_factory = sqlite3.Row
    for sql in statements:
        found = [dict(row) for row in connection.execute(sql)]
    connection.commit()
    connection.close()
    print(json.dumps(found), flush=True)
"""


class Tool:
    """Another program that has the file open while the server has, with the interpreter's SQLite.

    A process of its own: two SQLite libraries in one would break each other's locks.
    """

    def __init__(self, process: subprocess.Popen[str], path: Path) -> None:
        self._process = process
        self._path = path

    def __call__(self, sql: str) -> list[dict[str, Any]]:
        return self._ask("ro", [sql])

    def write(self, *statements: str) -> None:
        self._ask("rw", list(statements))

    def _ask(self, mode: str, statements: list[str]) -> list[dict[str, Any]]:
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None and stdout is not None
        stdin.write(json.dumps([f"file:{self._path}?mode={mode}", statements]) + "\n")
        stdin.flush()
        found: list[dict[str, Any]] = json.loads(stdout.readline())
        return found


@pytest.fixture
def look(app: App, tmp_path: Path) -> Iterator[Tool]:
    command = [sys.executable, "-c", READER]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        yield Tool(process, tmp_path / "app.db")
        assert process.stdin is not None
        process.stdin.close()


def views(look: Tool) -> dict[str, str]:
    found = look("SELECT name, sql FROM sqlite_schema WHERE type = 'view'")
    return {row["name"]: row["sql"] for row in found}


def columns(look: Tool, view: str) -> list[str]:
    quoted = view.replace('"', '""')
    return [row["name"] for row in look(f'SELECT name FROM pragma_table_info("{quoted}")')]


def add(app: App, *attrs: Any) -> None:
    app.transact([["add-attr", attr] for attr in attrs])


@pytest.mark.rule("S130")
def test_values_look_as_people_expect(app: App, look: Tool) -> None:
    add(
        app,
        app.attr_json("todos", "id"),
        app.attr_json("todos", "title", index=True, checked_data_type="string"),
        app.attr_json("todos", "note", checked_data_type="string"),
        app.attr_json("todos", "done", index=True, checked_data_type="boolean"),
        app.attr_json("todos", "open", checked_data_type="boolean"),
        app.attr_json("todos", "rank", index=True, checked_data_type="number"),
        app.attr_json("todos", "size", checked_data_type="number"),
        app.attr_json("todos", "due", index=True, checked_data_type="date"),
        app.attr_json("todos", "seen", checked_data_type="date"),
        app.attr_json("todos", "any"),
        app.attr_json("todos", "owner", to=("people", "todos")),
        app.attr_json("people", "id"),
    )
    app.admin(["update", "people", uid(9), {}])
    full = {
        "title": "Milk",
        "note": "two",
        "done": True,
        "open": False,
        "rank": 1.5,
        "size": 2,
        "due": "2025-01-02 05:04:05.678+02",
        "seen": INSTANT_MS,
        "any": {"b": [1], "a": None},
    }
    app.admin(["update", "todos", uid(1), full], ["link", "todos", uid(1), {"owner": uid(9)}])
    nulls = dict.fromkeys(full)
    app.admin(["update", "todos", uid(2), nulls])
    app.admin(["update", "todos", uid(3), {"any": True, "seen": "2025-01-02"}])
    first, second, third = look("SELECT * FROM todos_view ORDER BY id")
    made = first.pop("serverCreatedAt")
    assert (
        made
        == look(
            "SELECT strftime('%Y-%m-%dT%H:%M:%fZ', _created_ms / 1e3, 'unixepoch') AS at FROM todos"
            " ORDER BY id"
        )[0]["at"]
    )
    assert list(first.items()) == [
        *{"id": uid(1), "title": "Milk", "note": "two", "done": 1, "open": 0, "rank": 1.5}.items(),
        *{"size": 2, "due": "2025-01-02T03:04:05.678Z", "seen": "2025-01-02T03:04:05.678Z"}.items(),
        *{"any": '{"a":null,"b":[1]}', "owner": uid(9)}.items(),
    ]
    assert {name for name, value in second.items() if value is not None} == {
        *("id", "serverCreatedAt")
    }
    assert (third["any"], third["seen"], third["owner"]) == (1, "2025-01-02", None)


@pytest.mark.rule("S130")
@pytest.mark.parametrize("is_indexed", [True, False])
@pytest.mark.parametrize("value", ["infinity", "today", 8e15, -8e15, "12025-01-02"])
def test_a_date_that_is_none_of_the_calendar_is_shown_as_it_is(
    app: App, look: Tool, is_indexed: bool, value: Any
) -> None:
    add(
        app,
        app.attr_json("t", "id"),
        app.attr_json("t", "at", index=is_indexed, checked_data_type="date"),
    )
    app.admin(["update", "t", uid(1), {"at": value}])
    assert look("SELECT at FROM t_view") == [{"at": value}]


@pytest.mark.rule("S130")
def test_what_has_no_id_yet_is_not_shown(app: App, look: Tool) -> None:
    title = app.attr_json("t", "title")
    add(app, app.attr_json("t", "id"), title)
    app.transact([["add-triple", uid(1), title["id"], "a stub"]])
    assert look("SELECT count(*) AS n FROM t") == [{"n": 1}]
    assert look("SELECT * FROM t_view") == []


@pytest.mark.rule("S131")
def test_links_to_many_are_pairs_under_their_names(app: App, look: Tool) -> None:
    add(
        app,
        app.attr_json("todos", "id"),
        app.attr_json("tags", "id"),
        app.attr_json("todos", "tags", to=("tags", "todos"), cardinality="many"),
        app.attr_json("todos", "todos", to=("todos", "parents"), cardinality="many"),
    )
    app.admin(
        ["update", "tags", uid(1), {}],
        ["update", "todos", uid(2), {}],
        ["link", "todos", uid(2), {"tags": uid(1), "todos": uid(2)}],
    )
    (tagged,) = look('SELECT * FROM "todos.tags_view"')
    assert (tagged["todos"], tagged["tags"]) == (uid(2), uid(1))
    assert tagged["serverCreatedAt"].endswith("Z")
    assert columns(look, "todos.todos_view") == ["todos", "todos_2", "serverCreatedAt"]


@pytest.mark.rule("S132")
def test_views_follow_every_change_of_attrs(app: App, look: Tool) -> None:
    title = app.attr_json("t", "title")
    to_many = app.attr_json("t", "links", to=("g", "ts"), cardinality="many")
    add(app, app.attr_json("t", "id"), app.attr_json("g", "id"), title, to_many)
    app.admin(["update", "t", uid(1), {"title": "a"}], ["update", "g", uid(2), {}])
    app.admin(["link", "t", uid(1), {"links": uid(2)}])
    assert {"t_view", "t.links_view", "g_view"} <= set(views(look))

    forward = [title["forward-identity"][0], "t", "name"]
    app.transact([["update-attr", {"id": title["id"], "forward-identity": forward}]])
    assert columns(look, "t_view") == ["id", "name", "serverCreatedAt"]

    before = views(look)
    changed = {"id": title["id"], "index?": True, "checked-data-type": "date"}
    with pytest.raises(TriceError):
        app.transact([["update-attr", changed]])  # "a" is no date
    assert views(look) == before
    app.admin(["update", "t", uid(1), {"name": 0}])
    app.transact([["update-attr", changed]])
    assert look("SELECT name FROM t_view") == [{"name": "1970-01-01T00:00:00.000Z"}]

    for cardinality in ("one", "many", "one"):
        app.transact([["update-attr", {"id": to_many["id"], "cardinality": cardinality}]])
        assert ("links" in columns(look, "t_view")) == (cardinality == "one")
        assert ("t.links_view" in views(look)) == (cardinality == "many")
        for view in views(look):
            look(f'SELECT * FROM "{view}"')
    assert look("SELECT links FROM t_view") == [{"links": uid(2)}]

    app.transact([["delete-attr", title["id"]]])
    assert columns(look, "t_view") == ["id", "links", "serverCreatedAt"]
    app.transact([["restore-attr", title["id"]]])
    assert columns(look, "t_view") == ["id", "name", "links", "serverCreatedAt"]


@pytest.mark.rule("S132")
def test_a_namespace_without_ids_has_no_view_until_it_has_them_again(app: App, look: Tool) -> None:
    id_attr = app.attr_json("t", "id")
    add(app, id_attr, app.attr_json("t", "title"))
    app.transact([["delete-attr", id_attr["id"]]])
    assert "t_view" not in views(look)
    app.transact([["restore-attr", id_attr["id"]]])
    assert columns(look, "t_view") == ["id", "title", "serverCreatedAt"]


@pytest.mark.rule("S132")
def test_a_transaction_that_is_undone_leaves_views_alone(app: App, look: Tool) -> None:
    add(app, app.attr_json("t", "id"))
    before = views(look)
    added = ["add-attr", app.attr_json("t", "title")]
    with pytest.raises(TriceError):
        app.transact([added, ["add-triple", uid(1), uid(99, "a"), "x"]])
    assert views(look) == before


@pytest.mark.rule("S132")
def test_data_alone_touches_no_view(app: App, look: Tool) -> None:
    add(app, app.attr_json("t", "id"), app.attr_json("t", "any"))
    (before,) = look("PRAGMA schema_version")
    for value in (1, "a", True, {"a": 1}):
        app.admin(["update", "t", uid(1), {"any": value}])  # its inferred types grow
    assert look("PRAGMA schema_version") == [before]


AWKWARD = (
    *(" ", "todos", "TODOS", "todos_view", "todos_view_view", "sqlite_x", 'q"q', "it's", "日本"),
    *("a.b", "a~view", "x" * 200, "x" * 199 + "y", "/* trice 1 */", "*/", "select", "new\nline"),
)


@pytest.mark.rule("S133")
@pytest.mark.parametrize("is_together", [True, False])
def test_names_of_any_kind_have_views(app: App, look: Tool, is_together: bool) -> None:
    attrs = []
    for etype in AWKWARD:
        attrs.append(app.attr_json(etype, "id"))
        attrs += [app.attr_json(etype, label) for label in (*AWKWARD, "ID", "serverCreatedAt")]
        to = ("todos", f"{etype} of")
        attrs += [app.attr_json(etype, "tags_view", to=to, cardinality="many")]
        attrs += [app.attr_json(etype, "tags", to=("todos", f"{etype}s"), cardinality="many")]
    parts = [attrs] if is_together else [[attr] for attr in attrs]
    for part in parts:
        add(app, *part)
    found = views(look)
    assert len(found) == 3 * len(AWKWARD) + 4  # and `$users`, `$files`, `$streams.$files`
    for view in found:
        if "." not in view and not view.startswith("$"):
            quoted = view.replace('"', '""')
            assert look(f'SELECT * FROM "{quoted}"') == []
            assert len(columns(look, view)) == len(AWKWARD) + 4


@pytest.mark.rule("S133")
def test_a_view_somebody_made_is_left_alone(app: App, look: Tool) -> None:
    add(app, app.attr_json("t", "id"))
    look.write("CREATE VIEW people_view AS SELECT 1 AS mine", "DROP VIEW t_view")
    look.write("CREATE TABLE both_view (mine)", 'CREATE VIEW "Both~View" AS SELECT 1 AS mine')
    add(app, app.attr_json("people", "id"), app.attr_json("t", "title"))
    add(app, app.attr_json("people", "name"))
    assert look("SELECT * FROM people_view") == [{"mine": 1}]
    add(app, app.attr_json("both", "id"))
    assert columns(look, "both_view") == columns(look, "both~view") == ["mine"]
    assert columns(look, "people~view") == ["id", "name", "serverCreatedAt"]
    assert columns(look, "t_view") == ["id", "title", "serverCreatedAt"]


@pytest.mark.rule("S133")
def test_views_made_of_ours_do_not_keep_attrs_from_changing(app: App, look: Tool) -> None:
    to_g = app.attr_json("t", "g", to=("g", "ts"))
    add(app, app.attr_json("t", "id"), app.attr_json("g", "id"), to_g)
    look.write(
        "CREATE VIEW mine AS SELECT id, g FROM t_view",
        "CREATE VIEW raw AS SELECT hex(g) AS g FROM t",
        "CREATE VIEW broken AS SELECT some FROM nowhere",
    )
    for cardinality in ("many", "one"):
        app.transact([["update-attr", {"id": to_g["id"], "cardinality": cardinality}]])
    add(app, app.attr_json("t", "title"))
    assert look("SELECT id, g FROM mine") == look("SELECT g FROM raw") == []
    app.transact([["delete-attr", to_g["id"]]])
    app.reopen()
    assert columns(look, "t_view") == ["id", "title", "serverCreatedAt"]


@pytest.mark.rule("S134")
def test_files_of_other_versions_get_views(app: App, look: Tool) -> None:
    add(app, app.attr_json("t", "id"), app.attr_json("t", "title"), app.attr_json("g", "id"))
    wanted = views(look)
    old_form = "CREATE VIEW g_view /* trice 0 */ AS SELECT 1"
    look.write("DROP VIEW t_view", "DROP VIEW g_view", old_form)
    app.reopen()
    assert views(look) == wanted
    (before,) = look("PRAGMA schema_version")
    app.reopen()
    assert look("PRAGMA schema_version") == [before]


@pytest.mark.rule("S134")
def test_a_later_version_shows_what_it_adds(tmp_path: Path) -> None:
    def sql(attrs: list[Attr]) -> str:
        engine = SqliteEngine.open(tmp_path / "x.db", runtime=FakeRuntime(), system_attrs=attrs)
        ask = "SELECT sql FROM sqlite_schema WHERE name = '$users_view'"
        ((found,),) = engine.read_now(lambda snapshot: snapshot.rows(ask))
        asyncio.run(engine.close())
        return str(found)

    earlier = [attr for attr in system_attrs() if attr.name != "$users.imageURL"]
    assert "imageURL" not in sql(earlier)
    assert "imageURL" in sql(system_attrs())


@pytest.mark.rule("S135")
def test_what_only_the_server_uses_has_no_view(app: App, look: Tool) -> None:
    assert set(views(look)) == {"$users_view", "$files_view", "$streams_view"} | {
        name for name in views(look) if name.startswith("$streams.")
    }


@pytest.mark.rule("S136")
def test_a_view_is_bounded(app: App, look: Tool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "VIEW_COLUMNS_MAX", 2)
    add(app, app.attr_json("t", "id"), *(app.attr_json("t", f"c{n}") for n in range(4)))
    assert columns(look, "t_view") == ["id", "c0", "c1", "serverCreatedAt"]
