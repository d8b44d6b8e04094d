"""Data folders of PocketBase that become apps."""

from __future__ import annotations

import hashlib
import json
import os
import random
import sqlite3
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import apsw
import pytest

from support.archive_stage import Stage
from support.move_stage import bytes_of, load_pocketbase, told
from support.pocketbase_folders import PocketBase, field, small_shop
from support.table_stage import rows_of
from trice import archive_limits
from trice.archive.pocketbase import database
from trice.archive.pocketbase.collections import parse_collection
from trice.archive.pocketbase.database import PocketBaseFile
from trice.archive.pocketbase.propose import Choices, find_folder
from trice.errors import InvalidInput
from trice.protocol.ids import AppId

SEEDS = 15


@pytest.mark.rule("AR150", "AR151", "AR152", "AR153", "AR154", "AR155")
@pytest.mark.parametrize("is_old", [False, True])
async def test_a_folder_becomes_an_app(stage: Stage, tmp_path: Path, is_old: bool) -> None:
    shop = small_shop(tmp_path / "pb" / "pb_data", is_old=is_old)
    # It is still open, and all of it is in the log beside the database.
    assert (shop.folder / "data.db-wal").stat().st_size > (shop.folder / "data.db").stat().st_size
    before = hashlib.sha256((shop.folder / "data.db").read_bytes()).digest()
    assert find_folder(tmp_path / "pb") == shop.folder
    report = await load_pocketbase(stage, tmp_path / "pb")
    assert report.entities == {"$files": 2, "$users": 2, "goods": 3, "empty": 0}
    assert before == hashlib.sha256((shop.folder / "data.db").read_bytes()).digest()
    query: dict[str, Any] = {
        "goods": {"owner": {"avatar": {}}, "fans": {}, "photos": {}},
        "$users": {"goods": {}, "goods_fans": {}},
        "$files": {},
    }
    found = await rows_of(stage, report.app_id, query)
    cup, kettle, mug = sorted(found["goods"], key=lambda row: str(row["title"]))
    assert mug["title"] == "Mug"
    values = {
        "title": "Kettle",
        "sku": "k-1",
        "price": 20.5,
        "is_new": True,
        "page": "https://x.io",
        "text": "<p>hot</p>",
        "until": "2026-01-02T03:04:05.678Z",
        "sizes": ["s", "l"],
        "extra": {"a": [1, None]},
        "place": {"lon": 1.5, "lat": 2},
    }
    assert {label: kettle.get(label) for label in values} == values
    (ada,) = kettle["owner"]
    assert ada["email"] == "ada@x.io" and ada["type_"] == "seller" and ada["verified"] is True
    assert len(ada["key"]) == 15 and ada["created"].startswith("2024-01-01T00:00:")
    assert not {"password", "passwordHash", "tokenKey"} & ada.keys()
    assert len(kettle["fans"]) == 2 and cup["fans"] == [] and cup["owner"] == []
    assert (cup["price"], cup["is_new"], cup["text"]) == (0, False, "")
    assert not {"page", "until", "sku"} & {label for label, each in cup.items() if each is not None}
    (avatar,) = ada["avatar"]
    assert avatar["path"] == f"users/{ada['key']}/me_abc.png"
    assert avatar["content-type"] == "image/png" and avatar["size"] == 504
    assert bytes_of(stage, report.app_id, avatar["content-hash"]) == b"\x89PNG" + bytes(500)
    (photo,) = kettle["photos"]
    assert photo["content-type"] == "text/plain"
    assert bytes_of(stage, report.app_id, photo["content-hash"]) == b"hello"
    async with stage.database(report.app_id) as database:
        catalog = database.catalog
        attrs = {each: catalog.find_forward("goods", each) for each in (*values, "owner", "fans")}
        assert all(attr is not None for attr in attrs.values())
        types = {label: attr.checked_type for label, attr in attrs.items() if attr is not None}
        assert (types["price"], types["is_new"], types["until"]) == ("number", "boolean", "date")
        title, sku, price, owner = (attrs[each] for each in ("title", "sku", "price", "owner"))
        assert title is not None and title.is_required
        assert sku is not None and sku.is_unique and price is not None and price.is_indexed
        assert owner is not None and owner.on_delete == "cascade" and owner.cardinality == "one"
        empty = catalog.find_forward("empty", "goods")
        assert empty is not None and empty.is_ref
    row = stage.registry.find(AppId(report.app_id))
    assert row is not None and not row.is_open
    shop.close()


@pytest.mark.rule("AR156", "AR157")
async def test_what_does_not_come_is_told(stage: Stage, tmp_path: Path) -> None:
    shop = small_shop(tmp_path / "pb_data")
    shop.collection("staff", field("pin", "password"), field("note", "text", hidden=True),
                    type="auth")  # fmt: skip
    shop.add("staff", email="s@x.io", password="h", tokenKey="t", pin="h")
    shop.collection("_superusers", type="auth")
    shop.add("_superusers", email="root@x.io", password="h", tokenKey="t")
    shop.db.execute("CREATE VIEW sums AS SELECT count(*) AS id FROM goods")
    shop.put("_collections", id="v", name="sums", type="view", fields="[]")
    report = await load_pocketbase(stage, shop.close())
    assert report.entities["staff"] == 1 and "sums" not in report.entities
    notes = told(report.notes)
    for text in (
        "2 users of `users` come without their passwords",
        "They sign in by a code",
        "These accounts are no users here, but rows: staff. --users NAME",
        "1 administrators do not come",
        "Views do not come, as they are no data: sums",
        "Fields of passwords do not come: staff.pin",
        "hidden from clients, and are not now: staff.note",
        "Unique indexes over several fields do not come: goods(title, owner)",
        "Links to many do not delete with what they lead to: goods.fans",
        'users.listRule: "id = @request.auth.id", goods.listRule: "", goods.viewRule: "@req',
        "1 rows link by `photos` to no `$files.id`: row 1",
        "These files did not come",
        "The app is closed",
    ):
        assert text in notes, text
    for choices, said in (
        (Choices(users="nobody"), "^--users: no collection"),
        (Choices({"nothing": "x"}), "^--namespace: no collection"),
    ):
        with pytest.raises(InvalidInput, match=said):
            await load_pocketbase(stage, shop.folder, choices)
    report = await load_pocketbase(stage, shop.folder, Choices({"goods": "items"}, "staff"))
    assert report.entities["users"] == 2 and report.entities["$users"] == 1
    found = await rows_of(stage, report.app_id, {"items": {"owner": {}}, "$users": {}})
    assert found["$users"][0]["email"] == "s@x.io"
    assert [row["owner"][0]["email"] for row in found["items"] if row["owner"]] == ["Ada@X.io"]
    report = await load_pocketbase(stage, shop.folder, Choices(users="none"))
    assert "$users" not in report.entities


@pytest.mark.rule("AR89", "AR153")
async def test_relations_to_no_record(stage: Stage, tmp_path: Path) -> None:
    shop = small_shop(tmp_path / "pb_data")
    shop.add("goods", title="Lost", owner="gone0000000000x")
    shop.close()
    with pytest.raises(InvalidInput, match=r"^goods: 1 rows link by `owner` to no .*: row 4"):
        await load_pocketbase(stage, shop.folder)
    assert stage.left() == []
    report = await load_pocketbase(stage, shop.folder, drops_dangling=True)
    assert report.entities["goods"] == 4


@pytest.mark.rule("AR151")
def test_old_and_odd_descriptions() -> None:
    row = {"id": "c", "name": "a", "type": "base", "schema": b'[{"name":"x","type":"relation",'
           b'"options":{"maxSelect":null,"collectionId":"c"}}]', "indexes": None}  # fmt: skip
    made = parse_collection(row)
    assert [each.name for each in made.fields] == ["id", "created", "updated", "x"]
    assert made.fields[3].is_many and made.fields[3].target == "c"
    texts = [
        "CREATE UNIQUE INDEX `a` ON `t` (`a` COLLATE NOCASE) WHERE a != ''",
        "create index if not exists b on t (\n  [b] desc\n)",
        'CREATE UNIQUE INDEX "c" ON "t" ("c", `d`)',
        "CREATE INDEX d ON t (lower(e))",
        "nonsense",
    ]
    assert not made.is_system
    for name, system, is_system in (("_mfas", 1, True), ("posts", 1, False), ("_mine", 0, False)):
        assert parse_collection({**row, "name": name, "system": system}).is_system is is_system
    made = parse_collection({**row, "fields": "[]", "indexes": json.dumps([*texts, 7])})
    assert (made.unique, made.indexed, made.not_unique) == ({"a"}, {"b"}, ("c, d",))
    for wrong in ("{", '[{"name": 1}]', "[7]"):
        with pytest.raises(InvalidInput, match=r"^collection a: "):
            parse_collection({**row, "fields": wrong})
    with pytest.raises(InvalidInput, match=r"^_collections: "):
        parse_collection({"id": "c"})


def spoil(shop: PocketBase, change: str) -> None:
    """Make something of a folder wrong."""
    db = shop.db
    match change:
        case "no pocketbase":
            db.execute("DROP TABLE _collections")
        case "view":
            db.execute("DROP TABLE empty")
            endless = "WITH RECURSIVE n(id) AS (SELECT 1 UNION ALL SELECT id + 1 FROM n)"
            db.execute(f"CREATE VIEW empty AS {endless} SELECT id FROM n")
        case "collections are a view":
            db.execute("ALTER TABLE _collections RENAME TO c")
            db.execute("CREATE VIEW _collections AS SELECT * FROM c")
        case "virtual":
            db.execute("DROP TABLE empty")
            db.execute("CREATE VIRTUAL TABLE empty USING fts5(id, goods)")
        case "no table":
            db.execute("DROP TABLE empty")
        case "no column":
            db.execute("ALTER TABLE goods DROP COLUMN extra")
        case "system name":
            db.execute("ALTER TABLE empty RENAME TO `$users`")
            db.execute("UPDATE _collections SET name = '$users' WHERE name = 'empty'")
        case "no json":
            db.execute("UPDATE _collections SET fields = '{' WHERE name = 'empty'")
        case "no number":
            db.execute("UPDATE goods SET price = 'much' WHERE title = 'Cup'")
        case "no text":
            db.execute("UPDATE goods SET title = x'ff00' WHERE title = 'Cup'")
        case "no utf-8":
            db.execute("UPDATE goods SET title = CAST(x'ff' AS TEXT) WHERE title = 'Cup'")
        case "no date":
            db.execute("UPDATE goods SET until = 'soon' WHERE title = 'Cup'")
        case "large":
            db.execute("UPDATE goods SET text = printf('%.*c', 300000, 'x') WHERE title = 'Cup'")
        case "generated":
            db.execute("ALTER TABLE empty ADD COLUMN big AS (printf('%.*c', 900000000, 'x'))")
            fields = '[{"name":"id","type":"text"},{"name":"big","type":"text"}]'
            db.execute("UPDATE _collections SET fields = ? WHERE name = 'empty'", (fields,))
            db.execute("INSERT INTO empty (id) VALUES ('a')")
        case "many":
            for each in range(20):
                shop.collection(f"c{each}")
        case "twin":
            for email in ("a@x.io", "A@x.io"):
                shop.add("users", email=email, tokenKey=email)
        case _:
            raise AssertionError(change)


@pytest.mark.rule("AR158")
@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("no pocketbase", "^data.db: it has no table `_collections`"),
        ("view", '^data.db: "empty" is no plain table'),
        ("collections are a view", '^data.db: "_collections" is no plain table'),
        ("virtual", '^data.db: "empty" is no plain table'),
        ("no table", '^data.db: the collection "empty" has no table'),
        ("no column", "^goods: it cannot be read: .*extra"),
        ("system name", "`\\$users` is a namespace of the server"),
        ("no json", "^collection empty: its fields or indexes are no JSON"),
        ("no number", "^goods row 2: `price`: .*cannot be read as number"),
        ("no text", "^goods row 2: `title` is no text"),
        ("no utf-8", "^goods"),
        ("no date", "^goods row 2: Invalid value type for goods.until"),
        ("large", "^goods: a value has more than 200,000 bytes"),
        ("generated", "^empty: "),
        ("many", "^data.db: it has more than 15 collections"),
        ("twin", "^users: 1 rows have the same `email`.*in row 3"),
    ],
)
async def test_hostile_folders_leave_nothing(
    stage: Stage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: str, said: str
) -> None:
    monkeypatch.setattr(archive_limits, "LINE_BYTES_MAX", 200_000)
    monkeypatch.setattr(archive_limits, "COLLECTIONS_MAX", 15)
    shop = small_shop(tmp_path / "pb_data")
    spoil(shop, change)
    shop.close()
    with pytest.raises(InvalidInput, match=said):
        await load_pocketbase(stage, shop.folder)
    assert stage.left() == []


@pytest.mark.rule("AR158")
async def test_damaged_files_are_refused(stage: Stage, tmp_path: Path) -> None:
    shop = small_shop(tmp_path / "pb_data")
    for each in range(400):
        shop.add("goods", title=f"{each}" + "x" * 300)
    path = shop.close() / "data.db"
    whole = path.read_bytes()
    ruins: list[Callable[[bytes], bytes]] = [
        lambda data: b"",
        lambda data: b"no database" * 99,
        lambda data: data[: len(data) // 2],
        lambda data: data[:40_960] + os.urandom(0) + b"\xff" * 80_000 + data[120_960:],
    ]
    for ruin in ruins:
        path.write_bytes(ruin(whole))
        with pytest.raises(InvalidInput):
            await load_pocketbase(stage, shop.folder)
        assert stage.left() == []
    path.unlink()
    with pytest.raises(OSError, match=r"data\.db"):
        await load_pocketbase(stage, shop.folder)


@pytest.mark.rule("AR155", "AR158")
async def test_names_lead_nowhere_else(stage: Stage, tmp_path: Path) -> None:
    secret = tmp_path / "secret.txt"
    secret.write_bytes(b"secret")
    (tmp_path / "out" / "rec").mkdir(parents=True)
    (tmp_path / "out" / "rec" / "f.txt").write_bytes(b"secret")
    shop = PocketBase(tmp_path / "pb_data")
    shop.collection("docs", field("files", "file", maxSelect=99))
    shop.collection("outer", field("file", "file", maxSelect=1))
    record = shop.add("docs", files=["link.txt", "pipe", "folder", "../../../secret.txt", "ok.txt"])
    shop.file("docs", record, "ok.txt", b"fine")
    place = shop.folder / "storage" / shop.ids["docs"] / record
    (place / "link.txt").symlink_to(secret)
    os.mkfifo(place / "pipe")
    (place / "folder").mkdir()
    (shop.folder / "storage" / shop.ids["outer"]).symlink_to(tmp_path / "out")
    shop.add("outer", id="rec", file="f.txt")
    shop.add("outer", id="../../../..", file=str(secret).lstrip("/"))
    shop.add("docs", id="..", files=["secret.txt"])
    report = await load_pocketbase(stage, shop.close())
    found = await rows_of(stage, report.app_id, {"$files": {}})
    assert [row["path"] for row in found["$files"]] == [f"docs/{record}/ok.txt"]
    assert "4 rows link by `files` to no `$files.id`" in told(report.notes) or (
        "5 rows link by `files`" in told(report.notes)
    )


@pytest.mark.rule("AR150")
async def test_a_folder_is_only_read(
    stage: Stage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = small_shop(tmp_path / "pb_data").close()
    names = sorted(os.listdir(folder))
    assert "data.db-wal" not in names
    report = await load_pocketbase(stage, folder)
    assert report.entities["goods"] == 3 and sorted(os.listdir(folder)) == names
    with PocketBaseFile(folder / "data.db") as file:
        with sqlite3.connect(folder / "data.db") as writer:
            writer.execute("UPDATE goods SET text = 'x'")
        with pytest.raises(InvalidInput, match="PocketBase was started while it was read"):
            list(file.rows("goods", ["id"]))
        writer.close()

    def no_room(path: Path, *, is_alone: bool) -> None:
        raise apsw.CantOpenError

    monkeypatch.setattr(database, "open_read_only", no_room)
    with pytest.raises(InvalidInput, match="Copy the folder, and import the copy"):
        await load_pocketbase(stage, folder)


@pytest.mark.rule("AR149")
async def test_memory_does_not_grow_with_records(stage: Stage, tmp_path: Path) -> None:
    async def peak_bytes(rows: int) -> int:
        shop = PocketBase(tmp_path / f"pb{rows}")
        shop.collection("notes", field("text", "text"), field("before", "relation", maxSelect=1,
                        collectionId="pbc_0000000000"))  # fmt: skip
        first = ""
        with shop.db:
            shop.db.execute("BEGIN")
            for _ in range(rows):
                first = shop.add("notes", text="x" * 100, before=first)
        shop.close()
        tracemalloc.start()
        try:
            await load_pocketbase(stage, shop.folder)
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    small, large = await peak_bytes(10_000), await peak_bytes(25_000)
    assert large - small < 1024**2


@pytest.mark.rule("AR158")
@pytest.mark.parametrize("seed", range(SEEDS))
async def test_spoilt_databases_are_refused_or_read(
    stage: Stage, tmp_path: Path, seed: int
) -> None:
    """Whatever bytes are wrong: an error with a place and nothing left, or an app."""
    draw = random.Random(seed)
    shop = small_shop(tmp_path / "pb_data")
    path = shop.close() / "data.db"
    spoilt = bytearray(path.read_bytes())
    for _ in range(draw.choice((1, 4, 40))):
        at = draw.randrange(len(spoilt))
        spoilt[at] ^= 1 << draw.randrange(8)
    path.write_bytes(spoilt)
    try:
        await load_pocketbase(stage, shop.folder, drops_dangling=True)
    except InvalidInput as failure:
        assert ": " in failure.message
        assert stage.left() == []
