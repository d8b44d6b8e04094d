"""Data folders of PocketBase, made with plain sqlite3 as its migrations make them. Knows nothing of
the reader."""

from __future__ import annotations

import json
import random
import sqlite3
import string
from pathlib import Path
from typing import Any

NEW_COLLECTIONS = """
CREATE TABLE `_collections` (
    `id` TEXT PRIMARY KEY DEFAULT ('r'||lower(hex(randomblob(7)))) NOT NULL,
    `system` BOOLEAN DEFAULT FALSE NOT NULL,
    `type` TEXT DEFAULT "base" NOT NULL,
    `name` TEXT UNIQUE NOT NULL,
    `fields` JSON DEFAULT "[]" NOT NULL,
    `indexes` JSON DEFAULT "[]" NOT NULL,
    `listRule` TEXT DEFAULT NULL, `viewRule` TEXT DEFAULT NULL, `createRule` TEXT DEFAULT NULL,
    `updateRule` TEXT DEFAULT NULL, `deleteRule` TEXT DEFAULT NULL,
    `options` JSON DEFAULT "{}" NOT NULL,
    `created` TEXT DEFAULT '' NOT NULL, `updated` TEXT DEFAULT '' NOT NULL
)
"""
OLD_COLLECTIONS = NEW_COLLECTIONS.replace("`fields`", "`schema`")

COLUMNS = {
    "number": "NUMERIC DEFAULT 0 NOT NULL",
    "bool": "BOOLEAN DEFAULT FALSE NOT NULL",
    "json": "JSON DEFAULT NULL",
    "geoPoint": 'JSON DEFAULT \'{"lon":0,"lat":0}\' NOT NULL',
}
OLD_AUTH = (
    "username TEXT NOT NULL, email TEXT DEFAULT '' NOT NULL,"
    " emailVisibility BOOLEAN DEFAULT FALSE NOT NULL, verified BOOLEAN DEFAULT FALSE NOT NULL,"
    " tokenKey TEXT NOT NULL, passwordHash TEXT NOT NULL,"
    " lastResetSentAt TEXT DEFAULT '' NOT NULL, lastVerificationSentAt TEXT DEFAULT '' NOT NULL"
)
TIMES = "created TEXT DEFAULT '' NOT NULL, updated TEXT DEFAULT '' NOT NULL"

Field = dict[str, Any]


def field(name: str, type: str, **options: Any) -> Field:
    """A field; `options` as PocketBase calls them."""
    return {"name": name, "type": type, **options}


class PocketBase:
    """A data folder in the making. It stays open, so its log is beside it until `close`."""

    def __init__(self, folder: Path, *, is_old: bool = False) -> None:
        self.folder = folder
        self.is_old = is_old
        self.random = random.Random(1)
        self.ids: dict[str, str] = {}
        folder.mkdir(parents=True)
        (folder / "storage").mkdir()
        self.db = sqlite3.connect(folder / "data.db", isolation_level=None)
        self.db.execute("PRAGMA journal_mode = WAL")
        self.db.execute(OLD_COLLECTIONS if is_old else NEW_COLLECTIONS)

    def close(self) -> Path:
        """Put the log into the database."""
        self.db.close()
        return self.folder

    def new_id(self) -> str:
        return "".join(self.random.choices(string.ascii_lowercase + string.digits, k=15))

    def collection(
        self,
        name: str,
        *fields: Field,
        type: str = "base",
        indexes: tuple[str, ...] = (),
        **rules: str,
    ) -> str:
        """Make a collection and its table; returns its id."""
        id = self.ids[name] = f"pbc_{len(self.ids):010}"
        columns = ["`id` TEXT PRIMARY KEY DEFAULT ('r') NOT NULL"]
        described = [self._described(each) for each in fields]
        if self.is_old:
            columns += [*([OLD_AUTH] if type == "auth" else []), TIMES]
        else:
            implied = [field("id", "text", system=True, required=True)]
            if type == "auth":
                implied += [
                    field("password", "password", hidden=True, system=True),
                    field("tokenKey", "text", hidden=True, system=True),
                    field("email", "email", system=True),
                    field("emailVisibility", "bool", system=True),
                    field("verified", "bool", system=True),
                ]
            times = [field("created", "autodate"), field("updated", "autodate")]
            described = [*implied, *described, *times]
            fields = (*implied[1:], *fields, *times)
        for each in fields:
            many = "JSON DEFAULT '[]' NOT NULL"
            one = COLUMNS.get(each["type"], "TEXT DEFAULT '' NOT NULL")
            columns.append(f"`{each['name']}` {many if self._is_many(each) else one}")
        self.db.execute(f"CREATE TABLE `{name}` ({', '.join(columns)})")
        for index in indexes:
            self.db.execute(index)
        self.put("_collections", id=id, name=name, type=type,
                 **{"schema" if self.is_old else "fields": json.dumps(described)},
                 indexes=json.dumps(indexes), system=name.startswith("_"), **rules)  # fmt: skip
        return id

    def put(self, table: str, /, **values: Any) -> None:
        """Insert a row."""
        names = ", ".join(f"`{name}`" for name in values)
        marks = ", ".join("?" * len(values))
        self.db.execute(f"INSERT INTO `{table}` ({names}) VALUES ({marks})", [*values.values()])

    def add(self, name: str, /, **values: Any) -> str:
        """Add a record; lists and objects become JSON. Returns its id."""
        id = values.pop("id", None) or self.new_id()
        moment = (
            f"2024-01-01 00:00:{self.random.randrange(60):02}.{self.random.randrange(1000):03}Z"
        )
        made = {
            label: json.dumps(value) if isinstance(value, (list, dict)) else value
            for label, value in values.items()
        }
        self.put(name, **{"id": id, "created": moment, "updated": moment} | made)
        return id

    def file(self, name: str, record: str, file: str, data: bytes, type: str | None = None) -> str:
        """Put the file of a record into the storage, with what PocketBase notes beside it."""
        folder = self.folder / "storage" / self.ids[name] / record
        folder.mkdir(parents=True, exist_ok=True)
        (folder / file).write_bytes(data)
        if type is not None:
            noted = {"user.content_type": type, "user.metadata": {"original_filename": file}}
            (folder / f"{file}.attrs").write_text(json.dumps(noted))
        return file

    def _is_many(self, given: Field) -> bool:
        most = given.get("maxSelect", 1)
        if given["type"] not in ("relation", "select", "file"):
            return False
        return most is None or most > 1

    def _described(self, given: Field) -> Field:
        """A field as the layout has it: with options apart, or not."""
        if not self.is_old:
            return given
        outer = {"name", "type", "required", "system"}
        options = {key: value for key, value in given.items() if key not in outer}
        return {key: given[key] for key in given.keys() & outer} | {"options": options}


def small_shop(folder: Path, *, is_old: bool = False) -> PocketBase:
    """A shop: users, goods, orders, files, and a field of every type."""
    made = PocketBase(folder, is_old=is_old)
    made.collection(
        "users",
        field("name", "text"),
        field("avatar", "file", maxSelect=1),
        field("type", "select", maxSelect=1, values=["buyer", "seller"]),
        type="auth",
        indexes=("CREATE UNIQUE INDEX `i1` ON `users` (`email`) WHERE `email` != ''",),
        listRule="id = @request.auth.id",
    )
    made.collection(
        "goods",
        field("title", "text", required=True),
        field("sku", "text"),
        field("price", "number"),
        field("is_new", "bool"),
        field("page", "url"),
        field("text", "editor"),
        field("until", "date"),
        field("sizes", "select", maxSelect=3, values=["s", "m", "l"]),
        field("extra", "json"),
        field("place", "json" if is_old else "geoPoint"),
        field("owner", "relation", maxSelect=1, collectionId=made.ids["users"], cascadeDelete=True),
        field("fans", "relation", maxSelect=None if is_old else 99, cascadeDelete=True,
              collectionId=made.ids["users"]),
        field("photos", "file", maxSelect=5),
        indexes=(
            "CREATE UNIQUE INDEX `i2` ON `goods` (`sku`) WHERE `sku` != ''",
            "CREATE INDEX i3 ON goods (price DESC)",
            "CREATE UNIQUE INDEX `i4` ON `goods` (`title`, `owner`)",
        ),
        listRule="",
        viewRule='@request.auth.id != ""',
    )  # fmt: skip
    made.collection(
        "empty", field("goods", "relation", maxSelect=1, collectionId=made.ids["goods"])
    )

    def user(name: str, **values: Any) -> str:
        secrets = {"passwordHash": "$2a$…", "username": name} if is_old else {"password": "$2a$…"}
        return made.add("users", name=name, tokenKey=f"secret {name}", **secrets, **values)

    ada = user("Ada", email="Ada@X.io", type="seller", verified=True)
    bob = user("Bob", email="")
    made.db.execute("UPDATE users SET avatar = 'me_abc.png' WHERE id = ?", (ada,))
    made.file("users", ada, "me_abc.png", b"\x89PNG" + bytes(500), "image/png")
    kettle = made.add(
        "goods",
        title="Kettle",
        sku="k-1",
        price=20.5,
        is_new=True,
        page="https://x.io",
        text="<p>hot</p>",
        until="2026-01-02 03:04:05.678Z",
        sizes=["s", "l"],
        extra={"a": [1, None]},
        place={"lon": 1.5, "lat": 2},
        owner=ada,
        fans=[ada, bob],
        photos=["a_1.txt", "gone_2.jpg"],
    )
    made.file("goods", kettle, "a_1.txt", b"hello")
    made.add("goods", title="Cup")
    made.add("goods", title="Mug")
    return made
