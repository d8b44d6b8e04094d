"""JSON Lines and CSV that become an app: types, ids, links."""

from __future__ import annotations

import uuid
from pathlib import Path

import pytest

from support.archive_stage import Stage
from support.table_stage import load, proposed, rows_of
from trice.errors import InvalidInput


def file(folder: Path, name: str, content: str | bytes) -> Path:
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


@pytest.mark.rule("AR80", "AR83", "AR88")
async def test_tables_become_an_app(stage: Stage, tmp_path: Path) -> None:
    todos = file(
        tmp_path,
        "todos.csv",
        'title,done,owner\nTea,true,b@x\n"Two ""lines""\nhere",false,a@x\n\nCup,true,\n',
    )
    people = file(
        tmp_path,
        "people.jsonl",
        '{"email": "a@x", "age": 3, "extra": null}\n\n{"email": "b@x", "extra": {"b": [1]}}',
    )
    report = await load(stage, todos, people, links=["todos.owner=people.email"])
    assert report.entities == {"todos": 3, "people": 2}
    row = stage.registry.find(report.app_id)  # type: ignore[arg-type]
    assert row is not None and row.title == "Tables"
    query = {"todos": {"owner": {}}, "people": {"todos": {}}}
    found = await rows_of(stage, report.app_id, query)
    tea, two, cup = found["todos"]
    assert tea["title"] == "Tea" and tea["done"] is True and two["title"] == 'Two "lines"\nhere'
    assert tea["owner"][0]["email"] == "b@x" and two["owner"][0]["age"] == 3
    assert cup["owner"] == [] and "extra" not in tea
    first, second = found["people"]
    assert first["extra"] is None and second["extra"] == {"b": [1]} and "age" not in second
    assert [one["title"] for one in second["todos"]] == ["Tea"]
    async with stage.database(report.app_id) as database:
        email = database.catalog.find_forward("people", "email")
        assert email is not None and email.is_unique and email.is_indexed
        done = database.catalog.find_forward("todos", "done")
        assert done is not None and done.checked_type == "boolean" and not done.is_indexed


@pytest.mark.rule("AR84")
@pytest.mark.parametrize(
    ("cells", "type"),
    [
        (["1", "-2.5", "3e2", ""], "number"),
        (["1", "007"], "string"),
        (["12345678901234567890"], "string"),
        (["1", "-"], "string"),
        (["1e999"], "string"),
        (["nan"], "string"),
        (["true", "FALSE"], "boolean"),
        (["true", "1"], "string"),
        (["2026-01-02", "2026-01-02T03:04:05.678Z", "2026-01-02 03:04"], "date"),
        (["2026-02-31"], "string"),
        (["2026-01-02", "today"], "string"),
        (['{"a": 1}', "[]"], "json"),
        (["[x]"], "string"),
        (["", ""], "string"),
    ],
)
async def test_types_of_cells(stage: Stage, tmp_path: Path, cells: list[str], type: str) -> None:
    quoted = ["x," + '"' + cell.replace('"', '""') + '"' for cell in cells]
    path = file(tmp_path, "t.csv", "\n".join(["id0,v", *quoted]))
    (table,) = await proposed(stage, path)
    assert table.types["v"] == type


@pytest.mark.rule("AR84")
@pytest.mark.parametrize(
    ("values", "type"),
    [
        (["1", "2.5", "null"], "number"),
        (["1", '"1"'], "json"),
        (["true"], "boolean"),
        (['"2026-01-02"', '"2026-01-02T03:04:05Z"'], "date"),
        (['"2026-01-02"', '"x"'], "string"),
        (['"2026-01-02"', "5"], "json"),
        (["[1]", "{}"], "json"),
        (["null"], "json"),
        (['"true"', '"5"'], "string"),
    ],
)
async def test_types_of_values(stage: Stage, tmp_path: Path, values: list[str], type: str) -> None:
    path = file(tmp_path, "t.jsonl", "\n".join(f'{{"v": {value}}}' for value in values))
    (table,) = await proposed(stage, path)
    assert table.types["v"] == type


@pytest.mark.rule("AR85")
async def test_types_that_somebody_chose(stage: Stage, tmp_path: Path) -> None:
    path = file(tmp_path, "t.csv", "a,b,c,d,e\n1,5,1700000000000,yes,12\n0,6,2 Jan 2026,no,[]\n")
    wishes = ["t.a=boolean", "t.b=string", "t.c=date", "t.d=boolean", "t.e=json"]
    report = await load(stage, path, types=wishes)
    first, second = (await rows_of(stage, report.app_id, {"t": {}}))["t"]
    assert [first[label] for label in "abcde"] == [True, "5", 1700000000000, True, 12]
    assert [second[label] for label in "abcde"] == [False, "6", "2 Jan 2026", False, []]
    lines = file(tmp_path, "l.jsonl", '{"a": "5", "b": 5, "c": true}')
    report = await load(stage, lines, types=["l.a=number", "l.b=string", "l.c=string"])
    (row,) = (await rows_of(stage, report.app_id, {"l": {}}))["l"]
    assert (row["a"], row["b"], row["c"]) == (5, "5", "true")


@pytest.mark.rule("AR85")
@pytest.mark.parametrize(
    ("wish", "told"),
    [
        ("t.a=boolean", r't.csv line 3: `a`: "x" cannot be read as boolean'),
        ("t.a=number", r't.csv line 3: `a`: "x" cannot be read as number'),
        ("t.a=json", r't.csv line 3: `a`: "x" cannot be read as json'),
        ("t.a=date", r"t.csv line 3: Invalid value type for t.a. Value must be a date"),
        ("t.a=text", r'--type: "text" is no type; accepted are string, number'),
        ("t.b=number", r'--type: no file has a column "t.b". There are t.a'),
    ],
)
async def test_types_that_do_not_fit(stage: Stage, tmp_path: Path, wish: str, told: str) -> None:
    path = file(tmp_path, "t.csv", "a\n1\nx\n")
    with pytest.raises(InvalidInput, match=told):
        await load(stage, path, types=[wish])
    assert stage.left() == []


@pytest.mark.rule("AR87")
async def test_ids_are_kept_or_made_of_keys(stage: Stage, tmp_path: Path) -> None:
    kept = str(uuid.uuid4())
    uuids = file(tmp_path, "uuids.csv", f"id,a\n{kept.upper()},1\n")
    keys = file(tmp_path, "keys.jsonl", f'{{"id": 7, "key": "x"}}\n{{"id": "{kept}"}}\n')
    slugs = file(tmp_path, "slugs.csv", "slug\ntea\ncup\n")
    report = await load(stage, uuids, keys, slugs, ids=["slug"])
    found = await rows_of(stage, report.app_id, {"uuids": {}, "keys": {}, "slugs": {}})
    assert found["uuids"] == [{"id": kept, "a": 1}]
    seven, same = found["keys"]
    assert seven["key_"] == 7 and seven["key"] == "x" and same["id"] == same["key_"] == kept
    assert [row["slug"] for row in found["slugs"]] == ["tea", "cup"]
    assert "`keys.key_` keeps" in report.notes[0].what
    # Another app gets the same ids, from a text too.
    again = file(tmp_path, "keys.csv", "id\n7\n")
    report = await load(stage, again)
    (row,) = (await rows_of(stage, report.app_id, {"keys": {}}))["keys"]
    assert row == {"id": seven["id"], "key": 7}
    assert row["id"] == "a6c722c9-5387-54a3-ae0a-de56b97198a1"


@pytest.mark.rule("AR88")
async def test_links_by_ids_lists_and_numbers(stage: Stage, tmp_path: Path) -> None:
    posts = file(tmp_path, "posts.jsonl", '{"id": 1, "tags": ["a", "b"], "next": 2}\n{"id": 2}\n')
    tags = file(tmp_path, "tags.csv", "id,posts\na,x\nb,\n")
    links = ["posts.tags=tags.id", "posts.next=posts.id:before"]
    tables = await proposed(stage, posts, tags, links=links)
    assert tables[0].links["tags"].reverse == "posts_tags"
    report = await load(stage, posts, tags, links=links)
    query = {"posts": {"tags": {}, "next": {}, "before": {}}, "tags": {"posts_tags": {}}}
    found = await rows_of(stage, report.app_id, query)
    first, second = found["posts"]
    assert sorted(tag["key"] for tag in first["tags"]) == ["a", "b"]
    assert first["next"][0]["id"] == second["id"] and second["before"][0]["key"] == 1
    assert found["tags"][0]["posts_tags"][0]["id"] == first["id"]


@pytest.mark.rule("AR88")
@pytest.mark.parametrize(
    ("link", "told"),
    [
        ("a.x=b.z", 'no file has a column "b.z"'),
        ("a.z=b.k", 'no file has a column "a.z"'),
        ("a.x=b.id", "rows of b.csv have no id; choose one with --id"),
        ("a.x=b.j", "has no texts or numbers to link by"),
        ("a.x=b.k:j", "`b` has `j` already"),
        ("a.id=b.k", "is the id of its rows"),
        ("nothing", 'no file has a column "nothing"'),
    ],
)
async def test_links_that_cannot_be(stage: Stage, tmp_path: Path, link: str, told: str) -> None:
    a = file(tmp_path, "a.csv", "id,x\n1,k\n")
    b = file(tmp_path, "b.csv", "k,j\nk,[]\n")
    with pytest.raises(InvalidInput, match="^--link: .*" + told):
        await proposed(stage, a, b, links=[link])
