"""Exports of Convex, written as `npx convex export` writes them. Knows nothing of the reader."""

from __future__ import annotations

import base64
import hashlib
import json
import random
import zipfile
from pathlib import Path
from typing import Any

ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"


def make_id(table_number: int, inner: bytes) -> str:
    """An id as Convex makes it: LEB128 number, 16 bytes, Fletcher-16, in Crockford's base32."""
    raw = bytearray()
    while table_number >= 0x80:
        raw.append(table_number & 0x7F | 0x80)
        table_number >>= 7
    raw.append(table_number)
    raw += inner
    first = second = 0
    for each in raw:
        first = (first + each) % 256
        second = (second + first) % 256
    raw += bytes((first, second))
    bits = "".join(f"{each:08b}" for each in raw)
    bits += "0" * (-len(bits) % 5)
    return "".join(ALPHABET[int(bits[at : at + 5], 2)] for at in range(0, len(bits), 5))


def integer(value: int) -> dict[str, str]:
    """A 64-bit integer in the form of the protocol."""
    return {"$integer": base64.b64encode(value.to_bytes(8, "little", signed=True)).decode()}


class ConvexExport:
    """An export in the making. Tables of components are called `_components/agent/threads`."""

    def __init__(self, seed: int = 1) -> None:
        self.random = random.Random(seed)
        self.tables: dict[str, list[Any]] = {}
        self.numbers: dict[str, int] = {}
        self.stored: dict[str, bytes] = {}
        self.more: dict[str, bytes] = {}
        self.schema = '"uniform"'
        self.time = 1_700_000_000_000.25

    def table(self, name: str) -> int:
        """The number of a table; the first of each component is 10001."""
        folder = name.rpartition("/")[0]
        if name not in self.numbers:
            self.tables[name] = []
            near = [each for each in self.numbers if each.rpartition("/")[0] == folder]
            self.numbers[name] = 10_001 + len(near)
        return self.numbers[name]

    def new_id(self, name: str) -> str:
        """An id that no document has yet."""
        return make_id(self.table(name), self.random.randbytes(16))

    def add(self, name: str, document: dict[str, Any], id: str | None = None) -> str:
        """Add a document; returns its id."""
        made = id or self.new_id(name)
        self.time += 1.5
        self.tables[name].append({"_creationTime": self.time, "_id": made, **document})
        return made

    def file(self, data: bytes, content_type: str | None = "image/png", **wrong: Any) -> str:
        """Add a stored file; returns its id."""
        id = self.new_id("_storage")
        made = {
            "_id": id,
            "_creationTime": self.time,
            "sha256": base64.b64encode(hashlib.sha256(data).digest()).decode(),
            "size": len(data),
            "contentType": content_type,
            "internalId": "8a3e",
        }
        self.tables["_storage"].append(made | wrong)
        extension = {"image/png": ".png", "text/plain": ".txt"}.get(content_type or "", "")
        self.stored[f"_storage/{id}{extension}"] = data
        return id

    def write(self, path: Path, folder: str = "") -> Path:
        """Write the zip file."""
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr(f"{folder}README.md", "# Welcome to your Convex snapshot export!\n")
            named = {name: number for name, number in self.numbers.items() if name[0] != "_"}
            tables = [json.dumps({"name": name, "id": number}) for name, number in named.items()]
            archive.writestr(f"{folder}_tables/documents.jsonl", "\n".join(tables) + "\n")
            for name, documents in self.tables.items():
                lines = "".join(json.dumps(each) + "\n" for each in documents)
                archive.writestr(f"{folder}{name}/documents.jsonl", lines)
                if not name.endswith("_storage"):
                    archive.writestr(f"{folder}{name}/generated_schema.jsonl", self.schema + "\n")
            for name, data in (self.stored | self.more).items():
                archive.writestr(f"{folder}{name}", data)
        return path


def small_chat() -> ConvexExport:
    """A chat: users, messages, reactions, files, and everything that values may be."""
    made = ConvexExport()
    picture = made.file(b"\x89PNG" + bytes(3000))
    ada = made.add("users", {"name": "Ada", "email": "Ada@Example.com", "image": picture})
    bob = made.add("users", {"name": "Bob", "email": "bob@example.com"})
    channel = made.add("channels", {"title": "General", "members": [ada, bob], "topics": []})
    first = made.add(
        "messages",
        {
            "text": "hello",
            "author": ada,
            "channel": channel,
            "count": integer(42),
            "large": integer(2**60),
            "ratio": {"$float": base64.b64encode(b"\x00" * 6 + b"\xf0\x7f").decode()},
            "raw": {"$bytes": base64.b64encode(b"\x00\x10\x83").decode()},
            "nested": {"by": bob, "when": {"$integer": "AQAAAAAAAAA="}},
            "pictures": [picture],
        },
    )
    made.add("messages", {"text": "and you?", "author": bob, "channel": channel, "reply": first})
    made.table("empty")
    return made
