"""Instant backup archives as Instant's own tools make them; independent of the exporter.

The zip is written as a stream: entries are deflated, their sizes follow them in data descriptors,
names are UTF-8. `config.json` comes first, then `entities/*.jsonl`, then `files/*`. No line of the
exporter or of the importer is used here.

source   instant-http §6.7
"""

from __future__ import annotations

import copy
import io
import json
import random
import uuid
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

Entity = dict[str, Any]
Line = tuple[Entity, int]
"""An entity and its `createdAt`."""

MADE_MS = 1_734_530_360_391

SYSTEM_SCHEMA: dict[str, Any] = {
    "entities": {
        "$users": {
            "attrs": {
                "email": {"valueType": "string", "config": {"unique": True, "indexed": True}},
                "imageURL": {"valueType": "string", "config": {"unique": False, "indexed": False}},
                "type": {"valueType": "string", "config": {"unique": False, "indexed": False}},
            }
        },
        "$files": {
            "attrs": {
                "path": {
                    "valueType": "string",
                    "config": {"unique": True, "indexed": True},
                    "required": True,
                },
                "url": {
                    "valueType": "string",
                    "config": {"unique": False, "indexed": False},
                    "required": True,
                },
            }
        },
        "$streams": {
            "attrs": {
                "clientId": {
                    "valueType": "string",
                    "config": {"unique": True, "indexed": True},
                    "required": True,
                },
                "done": {"valueType": "boolean", "config": {"unique": False, "indexed": False}},
                "size": {"valueType": "number", "config": {"unique": False, "indexed": False}},
                "abortReason": {
                    "valueType": "string",
                    "config": {"unique": False, "indexed": False},
                },
            }
        },
    },
    "links": {
        "$streams$files": {
            "forward": {"on": "$streams", "label": "$files", "has": "many"},
            "reverse": {
                "on": "$files",
                "label": "$stream",
                "has": "one",
                "onDelete": "cascade",
            },
        },
        "$usersLinkedPrimaryUser": {
            "forward": {
                "on": "$users",
                "label": "linkedPrimaryUser",
                "has": "one",
                "onDelete": "cascade",
            },
            "reverse": {"on": "$users", "label": "linkedGuestUsers", "has": "many"},
        },
    },
}


@dataclass
class Archive:
    """What one archive says. `write` makes the file.

    lines   by namespace
    files   bytes by location id
    more    other keys of config.json; None removes a key
    """

    app_id: str | None = "5f3a1c1e-2f0b-4bb0-9c53-6b1c3c1f9a01"
    title: str = "A shop"
    schema: dict[str, Any] = field(default_factory=lambda: copy.deepcopy(SYSTEM_SCHEMA))
    rules: Any = None
    lines: dict[str, list[Line]] = field(default_factory=dict)
    files: dict[str, bytes] = field(default_factory=dict)
    more: dict[str, Any] = field(default_factory=dict)

    def add(self, etype: str, entity: Entity, created_ms: int = MADE_MS) -> str:
        """Add an entity, with a fresh id unless it has one; return its id."""
        entity = {"id": entity.get("id", str(uuid.uuid4())), **entity}
        self.lines.setdefault(etype, []).append((entity, created_ms))
        return str(entity["id"])

    def namespace(self, etype: str, **attrs: dict[str, Any]) -> None:
        """Declare a namespace; see `attr`."""
        found = self.schema["entities"].setdefault(etype, {"attrs": {}})
        found["attrs"].update(attrs)

    def link(self, forward: str, reverse: str, **options: Any) -> None:
        """Declare a link: `link("todos.tags:many", "tags.todos:many")`.

        options   required, on_delete, on_delete_reverse
        """
        sides = []
        for text in (forward, reverse):
            name, has = text.split(":")
            on, label = name.split(".", 1)
            sides.append({"on": on, "label": label, "has": has})
        if options.get("required"):
            sides[0]["required"] = True
        if options.get("on_delete"):
            sides[0]["onDelete"] = "cascade"
        if options.get("on_delete_reverse"):
            sides[1]["onDelete"] = "cascade"
        label = sides[0]["label"]
        name = f"{sides[0]['on']}{label[:1].upper()}{label[1:]}"
        self.schema["links"][name] = {"forward": sides[0], "reverse": sides[1]}

    def file(self, path: str, data: bytes, **more: Any) -> str:
        """Add a file; return the id of its `$files` entity."""
        location = str(uuid.uuid4())
        self.files[location] = data
        return self.add(
            "$files",
            {
                "path": path,
                "size": len(data),
                "content-type": "application/octet-stream",
                "content-disposition": "inline",
                "location-id": location,
                "key-version": 1,
                **more,
            },
        )

    def config(self) -> dict[str, Any]:
        """The content of config.json."""
        made = {
            "counts": {etype: len(lines) for etype, lines in self.lines.items()},
            "tripleCount": self._triples(),
            "schema": self.schema,
            "rules": self.rules,
            "webhooks": [],
            "emailTemplates": [],
            "authorizedRedirectOrigins": [],
            "title": self.title,
            "appId": self.app_id,
            "backupAt": "2026-11-20T03:04:05.678Z",
            "isn": None,
            "description": "Automated Daily Snapshot",
            **self.more,
        }
        return {key: value for key, value in made.items() if value is not None or key == "rules"}

    def _triples(self) -> int:
        links = many_links(self.schema)
        return sum(
            len(value) if label in links.get(etype, ()) else 1
            for etype, lines in self.lines.items()
            for entity, _ in lines
            for label, value in entity.items()
        )

    def entries(self) -> list[tuple[str, bytes]]:
        """Every entry of the zip, in order. Tests of damage change them."""
        found = [("config.json", json.dumps(self.config()).encode())]
        for etype in sorted(self.lines):
            lines = sorted(self.lines[etype], key=lambda line: str(line[0].get("id", "")))
            text = "".join(json_line(entity, made) for entity, made in lines)
            found.append((f"entities/{etype}.jsonl", text.encode()))
        return [*found, *((f"files/{location}", data) for location, data in self.files.items())]

    def write(
        self,
        path: Path,
        change: Callable[[list[tuple[str, bytes]]], list[tuple[str, bytes]]] = lambda each: each,
    ) -> Path:
        """Make the file; `change` may spoil the entries."""
        with open(path, "wb") as file:
            write_zip(file, change(self.entries()))
        return path


def json_line(entity: Entity, created_ms: int) -> str:
    """One line of an entities file. It may hold a raw U+2028, as Instant's do."""
    line = {"entity": entity, "createdAt": created_ms}
    return json.dumps(line, ensure_ascii=False, separators=(",", ":")) + "\n"


def attr(kind: str = "any", **options: Any) -> dict[str, Any]:
    """An attr of a schema: `attr("string", indexed=True, unique=True, required=True)`."""
    config = {"unique": bool(options.get("unique")), "indexed": bool(options.get("indexed"))}
    made: dict[str, Any] = {"valueType": kind, "config": config}
    if options.get("required"):
        made["required"] = True
    return made


class _Stream(io.RawIOBase):
    """A file that cannot be rewound, so that sizes follow the data, as when a zip is downloaded."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        return self._file.write(data)


def write_zip(file: BinaryIO, entries: list[tuple[str, bytes]]) -> None:
    """Write a zip as a stream."""
    with zipfile.ZipFile(_Stream(file), "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in entries:
            info = zipfile.ZipInfo(name, (2026, 11, 20, 3, 4, 4))
            info.compress_type = zipfile.ZIP_DEFLATED
            with archive.open(info, "w") as entry:
                entry.write(data)


# --- reading, to compare ------------------------------------------------------------------------


def read_archive(path: Path) -> dict[str, Any]:
    """All that an archive says, so that equal contents are equal objects.

    Lines by namespace and id, arrays of links sorted, locations replaced by the bytes they name.
    """
    with zipfile.ZipFile(path) as archive:
        names = archive.namelist()
        config = json.loads(archive.read("config.json"))
        links = many_links(config["schema"])
        entities: dict[str, dict[str, Any]] = {}
        for name in names:
            if not name.startswith("entities/"):
                continue
            etype = name.removeprefix("entities/").removesuffix(".jsonl")
            for raw in archive.read(name).split(b"\n")[:-1]:
                line = json.loads(raw)
                entity = line["entity"]
                for label in links.get(etype, ()):
                    if label in entity:
                        entity[label] = sorted(entity[label])
                entities.setdefault(etype, {})[entity["id"]] = (entity, line["createdAt"])
        files = {
            name.removeprefix("files/"): archive.read(name)
            for name in names
            if name.startswith("files/")
        }
    assert names[0] == "config.json"
    assert names[1:] == [
        *sorted(name for name in names if name.startswith("entities/")),
        *(name for name in names if name.startswith("files/")),
    ]
    return {"config": config, "entities": entities, "files": files, "names": names}


def many_links(schema: dict[str, Any]) -> dict[str, set[str]]:
    """The labels of links to many, by namespace."""
    found: dict[str, set[str]] = {}
    for link in schema["links"].values():
        if link["forward"]["has"] == "many":
            found.setdefault(link["forward"]["on"], set()).add(link["forward"]["label"])
    return found


# --- random archives ----------------------------------------------------------------------------

_TEXTS = (
    "",
    "a",
    "Zz",
    "é",
    "straße",
    "x\ny",
    "\u2028line",
    "𝄞",
    '"quoted"',
    "10",
    "2",
    "A b",
    "0",
)
_NUMBERS = (0, 1, -1, 2.5, 1e12, -0.001, 2**53, 2**53 + 1, -(2**60), 1e-7, 123456789.125)
_DATES: tuple[Any, ...] = (
    "2025-01-02T00:00:00Z",
    "2024-12-31",
    1735776000000,
    1735776000000.25,
    "2025-06-01T12:30:00+02:00",
)
_DOCUMENTS: tuple[Any, ...] = (
    {"k": 1, "n": {"m": None}},
    [1, "a", [], {}],
    {},
    [],
    {"é": [True, False, None, 1.5]},
    "text",
    7,
    True,
)


def random_archive(seed: int, *, rows_max: int = 40) -> Archive:
    """A random app: all types of values, links of all cardinalities, unique, null and missing."""
    draw = random.Random(seed)
    made = Archive(app_id=_uuid(draw), title=f"App {seed} “é”")
    etypes = [f"{name}s" for name in "abcd"[: draw.randint(2, 4)]]
    for etype in etypes:
        made.namespace(etype, **{f"f{n}": _random_attr(draw) for n in range(draw.randint(1, 7))})
    if draw.random() < 0.5:
        made.namespace("$users", nickname=attr("string", indexed=draw.random() < 0.5))
    for number in range(draw.randint(2, 6)):
        sides = [draw.choice((*etypes, "$users")) for _ in range(2)]
        has = [draw.choice(("one", "many")) for _ in range(2)]
        made.link(
            f"{sides[0]}.l{number}:{has[0]}",
            f"{sides[1]}.r{number}:{has[1]}",
            on_delete=has[0] == "one" and draw.random() < 0.3,
            on_delete_reverse=has[1] == "one" and draw.random() < 0.3,
        )
    ids = {
        etype: [_uuid(draw) for _ in range(draw.randint(0, rows_max))]
        for etype in (*etypes, "$users")
    }
    for etype, members in ids.items():
        for number, one in enumerate(members):
            made.add(etype, {"id": one}, MADE_MS + draw.randint(0, 10**6))
            _fill(draw, made, etype, made.lines[etype][-1][0], number)
    _link_all(draw, made, ids)
    made.rules = draw.choice((None, {etypes[0]: {"allow": {"view": "auth.id != null"}}}))
    return made


def _random_attr(draw: random.Random) -> dict[str, Any]:
    kind = draw.choice(("string", "number", "boolean", "date", "any", "any"))
    is_unique = kind in ("string", "number") and draw.random() < 0.25
    return attr(kind, indexed=draw.random() < 0.5, unique=is_unique, required=draw.random() < 0.2)


def _fill(draw: random.Random, made: Archive, etype: str, entity: Entity, number: int) -> None:
    for label, each in made.schema["entities"][etype]["attrs"].items():
        if etype == "$users" and label in ("imageURL", "type"):
            continue
        chance = draw.random()
        is_set = each.get("required") or chance > 0.3
        if is_set:
            entity[label] = _value(draw, label, each, number)
        elif each["config"]["indexed"] or chance > 0.15:
            # An indexed attr has an explicit null; any other may have one.
            entity[label] = None


def _value(draw: random.Random, label: str, each: dict[str, Any], number: int) -> Any:
    kind = each["valueType"]
    if label == "email":
        return f"user{number}@example.com"
    if each["config"]["unique"]:
        return f"u{number}" if kind == "string" else number
    is_short = each["config"]["indexed"]
    return {
        "string": lambda: draw.choice(_TEXTS) + ("" if is_short else "x" * draw.choice((0, 2000))),
        "number": lambda: draw.choice(_NUMBERS),
        "boolean": lambda: draw.random() < 0.5,
        "date": lambda: draw.choice(_DATES),
        "any": lambda: copy.deepcopy(draw.choice(_DOCUMENTS)),
    }[kind]()


def _link_all(draw: random.Random, made: Archive, ids: dict[str, list[str]]) -> None:
    for link in made.schema["links"].values():
        forward, reverse = link["forward"], link["reverse"]
        if forward["on"] not in ids or reverse["on"] not in ids or forward["label"][:1] != "l":
            continue
        if forward["label"] == "linkedPrimaryUser":
            continue
        # Some targets do not exist: Instant lets links dangle.
        free = [*ids[reverse["on"]], _uuid(draw)]
        draw.shuffle(free)
        for entity, _ in made.lines.get(forward["on"], ()):
            if draw.random() < 0.4 or not free:
                continue
            count = 1 if forward["has"] == "one" else draw.randint(1, 3)
            chosen = (
                free[:count]
                if reverse["has"] == "one"
                else draw.sample(free, k=min(count, len(free)))
            )
            if reverse["has"] == "one":
                del free[:count]
            entity[forward["label"]] = chosen[0] if forward["has"] == "one" else chosen


def _uuid(draw: random.Random) -> str:
    return str(uuid.UUID(int=draw.getrandbits(128), version=4))
