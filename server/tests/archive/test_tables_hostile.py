"""Tables that are no good: what is told, and that nothing is left."""

from __future__ import annotations

import asyncio
import tracemalloc
from pathlib import Path

import pytest

from support.archive_stage import Stage, open_stage
from support.table_stage import load, load_planned, proposed, rows_of
from trice import archive_limits
from trice.archive.tables.keys import KeyMap, entity_id
from trice.errors import InvalidInput


@pytest.mark.rule("AR82", "AR81", "AR90")
@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("t.csv", b"", "^t.csv: it is empty"),
        ("t.csv", b"a,b\n1,2\n1\n", "^t.csv line 3: the row has 1 cells, and the file 2 columns"),
        ("t.csv", b"a,b\n1,2,3\n", "^t.csv line 2: the row has 3 cells"),
        ("t.csv", b"a,a\n1,2\n", "^t.csv line 1: two columns are called `a`"),
        ("t.csv", b"a,\n1,2\n", "^t.csv line 1: column 2 has no name"),
        ("t.csv", b'a\n"x"y\n', "^t.csv line 2: the line is no CSV"),
        ("t.csv", b'a\n"x\ny\n', "^t.csv line 3: the line is no CSV: unexpected end"),
        ("t.csv", b"a\nx\ry\n", "^t.csv line 2: the line is no CSV"),
        ("t.csv", b"a\nok\nx\xff\n", "^t.csv line 3: byte 2 of the line is no text in UTF-8"),
        ("t.csv", "a\n1\n".encode("utf-16"), "^t.csv: it is UTF-16. Save it as UTF-8"),
        ("t.csv", b"a\nx\x00y\n", "^t.csv line 2: .*null bytes"),
        ("t.csv", b"id,a\n" + b"x" * 2_000 + b",1\n", "^t.csv line 2: Value is too large"),
        ("t.jsonl", b'{"a": 1}\n{"a": \n', "^t.jsonl line 2: the line is no JSON"),
        ("t.jsonl", b'[{"a": 1}]', "^t.jsonl line 1: a line is an object.*jq -c"),
        ("t.jsonl", b'{"a": NaN}', "^t.jsonl line 1: the line is no JSON"),
        ("t.jsonl", b'{"a": "\xff"}', "^t.jsonl line 1: the line is no JSON"),
        ("t.jsonl", b'{"a": ' + b"[" * 200 + b"]" * 200 + b"}", "^t.jsonl line 1: .*levels"),
        ("t.jsonl", b'{"a": 1, "": 2}', "a label must not be empty"),
        ("t.jsonl", b'{"id": {}}', "^t.jsonl: its column `id` has lists or objects"),
        ("$users.jsonl", b'{"a": 1}', "`\\$users` is a namespace of the server"),
    ],
)
async def test_bad_files_are_told_by_line(
    stage: Stage, tmp_path: Path, name: str, content: bytes, told: str
) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(InvalidInput, match=told):
        await load(stage, path)
    assert stage.left() == []


@pytest.mark.rule("AR82")
async def test_a_byte_order_mark_is_no_part_of_a_name(stage: Stage, tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_bytes(b"\xef\xbb\xbfa;b\r\n1;2,5\r\n")
    (table,) = await proposed(stage, path)
    assert table.types == {"a": "number", "b": "string"}


@pytest.mark.rule("AR81")
async def test_rows_and_columns_have_bounds(
    stage: Stage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archive_limits, "TABLE_ROW_BYTES_MAX", 1_000)
    monkeypatch.setattr(archive_limits, "LINE_BYTES_MAX", 1_000)
    monkeypatch.setattr(archive_limits, "PIECE_BYTES", 64)
    path = tmp_path / "t.csv"
    path.write_text("a\n" + "x" * 1_001)
    with pytest.raises(InvalidInput, match="line 2: the line has more than 1,000 bytes"):
        await load(stage, path)
    path.write_text('a\nb\n"' + "xxxxxxxxx\n" * 200)
    with pytest.raises(InvalidInput, match="A quote may not be closed"):
        await load(stage, path)
    lines = tmp_path / "t.jsonl"
    lines.write_text('{"a": "' + "x" * 1_001)
    with pytest.raises(InvalidInput, match="line 1: the line has more than 1,000 bytes"):
        await load(stage, lines)
    monkeypatch.setattr(archive_limits, "TABLE_COLUMNS_MAX", 3)
    lines.write_text('{"a": 1, "b": 2}\n{"c": 1, "d": 1}')
    with pytest.raises(InvalidInput, match="line 2: the file has more than 3 labels"):
        await load(stage, lines)
    path.write_text("a,b,c,d\n1,2,3,4\n")
    with pytest.raises(InvalidInput, match="it has 4 columns; 3 are the most"):
        await load(stage, path)


@pytest.mark.rule("AR89", "AR90")
async def test_faults_of_rows_are_counted(stage: Stage, tmp_path: Path) -> None:
    people = tmp_path / "people.csv"
    people.write_text("id,email\n1,a@x\n2,b@x\n1,c@x\n,d@x\n3,a@x\n1,e@x\n")
    with pytest.raises(InvalidInput) as failure:
        todos = tmp_path / "todos.csv"
        todos.write_text("owner\na@x\n")
        await load(stage, people, todos, links=["todos.owner=people.email"])
    assert failure.value.message == (
        'people.csv: 2 rows have the same `id` as an earlier row: line 4 ("1" is in line 2),'
        ' line 7 ("1" is in line 2).\n'
        "people.csv: 1 rows have no `id`, which is their id: line 5.\n"
        'people.csv: 1 rows have the same `email` as an earlier row: line 6 ("a@x" is in line 2).'
    )
    people.write_text("email\na@x\n")
    todos.write_text("owner\na@x\n" + "b@x\n" * 20)
    with pytest.raises(InvalidInput, match=r"20 rows link by `owner` to no `people.email`: line 3"):
        await load(stage, people, todos, links=["todos.owner=people.email"])
    assert stage.left() == []
    report = await load(
        stage, people, todos, links=["todos.owner=people.email"], drops_dangling=True
    )
    assert "20 rows link by `owner`" in report.notes[0].what and "and 10 more" in (
        report.notes[0].what
    )
    found = await rows_of(stage, report.app_id, {"todos": {"owner": {}}})
    assert sum(len(row["owner"]) for row in found["todos"]) == 1


@pytest.mark.rule("AR90")
@pytest.mark.parametrize("more", ["x,1\n", "b\n", "zz,1\n"])
async def test_a_file_that_changes_is_refused(stage: Stage, tmp_path: Path, more: str) -> None:
    path = tmp_path / "t.csv"
    path.write_text("id,n\na,1\n")
    tables = await proposed(stage, path)
    path.write_text("id,n\na,1\n" + more)
    with pytest.raises(InvalidInput, match=r"^t\.csv"):
        await load_planned(stage, tables)
    assert stage.left() == []


@pytest.mark.rule("AR90")
async def test_a_stop_leaves_nothing(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("id,n\n" + "".join(f"{each},1\n" for each in range(5_000)))
    for turns in (1, 5, 15, 40):
        async with open_stage(tmp_path / "data") as stage:
            tables = await proposed(stage, path)
            work = asyncio.ensure_future(load_planned(stage, tables))
            for _ in range(turns):
                await asyncio.sleep(0)
            work.cancel()
            with pytest.raises(asyncio.CancelledError):
                await work
        async with open_stage(tmp_path / "data") as stage:
            assert stage.left() == []


@pytest.mark.rule("AR81")
async def test_memory_does_not_grow_with_rows(
    stage: Stage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archive_limits, "PIECE_BYTES", 64 * 1024)
    path = tmp_path / "t.csv"

    async def peak_bytes(rows: int) -> int:
        lines = (f"k{each},k{rows - 1 - each},{'x' * 100}\n" for each in range(rows))
        path.write_text("id,other,text\n" + "".join(lines))
        tracemalloc.start()
        try:
            await load(stage, path, links=["t.other=t.id:back"])
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    # More than the cache of uuids holds, twice; the rows of the second take 10 MB as objects.
    small, large = await peak_bytes(10_000), await peak_bytes(30_000)
    assert large - small < 1024**2


@pytest.mark.rule("AR89")
def test_keys_are_found_again_on_disk(tmp_path: Path) -> None:
    keys = KeyMap(tmp_path, count=500, secret=bytes(16))
    for each in range(500):
        assert keys.add(b"%d" % each, entity_id("t", str(each)), each + 1) is None
    assert all(keys.find(b"%d" % each) == entity_id("t", str(each)) for each in range(500))
    assert keys.find(b"500") is None and keys.add(b"7", entity_id("t", "x"), 900) == 8
    with pytest.raises(OverflowError):
        keys.add(b"500", entity_id("t", "500"), 501)
    keys.close()
    assert list(tmp_path.iterdir()) == []
