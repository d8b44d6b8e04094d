"""Collections of PocketBase: rows of `_collections` to fields. No I/O.

    fields   [{"name", "type", "required", "maxSelect", "collectionId", "cascadeDelete", …}]
    schema   [{"name", "type", "required", "options": {"maxSelect", …}}]
    indexes  ["CREATE UNIQUE INDEX `x` ON `posts` (`slug`)"]

`schema` is what `fields` was before 0.23. `id`, `created`, `updated` and the fields of accounts
were not in it.

source   https://pocketbase.io/docs/collections; spec/archive.md AR151-AR154
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import orjson

from trice import archive_limits as limits
from trice.archive.pocketbase.database import Value
from trice.archive.refusals import refused

RULES: Final = ("listRule", "viewRule", "createRule", "updateRule", "deleteRule")

_SECRET: Final = frozenset(
    {
        *("password", "passwordHash", "tokenKey", "lastResetSentAt", "lastVerificationSentAt"),
        "lastLoginAlertSentAt",
    }
)
"""Fields of accounts that only PocketBase can use."""

_INDEX: Final = re.compile(
    r"\s*CREATE\s+(?P<unique>UNIQUE\s+)?INDEX\b[^(]*\((?P<columns>[^()]*)\)\s*(?:WHERE\b.*)?;?\s*",
    re.IGNORECASE | re.DOTALL,
)


@dataclass(frozen=True, slots=True)
class Field:
    """A field that comes.

    kind    as PocketBase calls it: "text", "relation", …
    target  the id of the collection that a relation leads to
    """

    name: str
    kind: str
    is_many: bool = False
    is_required: bool = False
    is_hidden: bool = False
    target: str | None = None
    is_cascade: bool = False


@dataclass(frozen=True, slots=True)
class Collection:
    """A collection.

    kind        "base", "auth" or "view"
    fields      those that come, `id` first
    secrets     names of fields that hold hashes of passwords
    unique      fields with a unique index of their own
    indexed     fields with another index of their own
    not_unique  unique indexes over several fields, which have no counterpart
    rules       who may do what, by name of the rule; None: admins only
    is_system   it is one of PocketBase's own
    """

    id: str
    name: str
    kind: str
    fields: tuple[Field, ...]
    secrets: tuple[str, ...]
    unique: frozenset[str]
    indexed: frozenset[str]
    not_unique: tuple[str, ...]
    rules: Mapping[str, str | None]
    is_system: bool

    def of_kind(self, kind: str) -> list[Field]:
        return [field for field in self.fields if field.kind == kind]


def parse_collection(row: Mapping[str, Value]) -> Collection:
    """Read a row of `_collections`.

    raises   InvalidInput that names the collection
    """
    name, id, kind = row.get("name"), row.get("id"), row.get("type") or "base"
    if not (isinstance(name, str) and name and isinstance(id, str) and isinstance(kind, str)):
        raise refused("_collections", "a row has no `id`, `name` or `type`.")
    place = f"collection {name}"
    is_old = row.get("fields") is None
    described = _list(row.get("schema" if is_old else "fields"), place)
    parsed = [_field(each, place) for each in described]
    secrets = tuple(field.name for field in parsed if field.kind == "password")
    fields = {field.name: field for field in (*(_implied(kind) if is_old else ()), *parsed)}
    is_auth = kind == "auth"
    for secret in (*secrets, *(_SECRET if is_auth else ())):
        fields.pop(secret, None)
    if len(fields) > limits.TABLE_COLUMNS_MAX:
        problem = f"it has {len(fields):,} fields; {limits.TABLE_COLUMNS_MAX} are the most."
        raise refused(place, problem)
    first = fields.pop("id", Field("id", "text"))
    unique, indexed, not_unique = _indexes(_list(row.get("indexes"), place))
    rules = {rule: row.get(rule) for rule in RULES}
    return Collection(
        id,
        name,
        kind,
        (first, *fields.values()),
        secrets if not is_auth else tuple(each for each in secrets if each != "password"),
        unique,
        indexed,
        not_unique,
        {rule: text if isinstance(text, str) else None for rule, text in rules.items()},
        # Developers may protect their own collections by the same mark.
        is_system=name.startswith("_") and bool(row.get("system")),
    )


def _list(text: Value, place: str) -> list[Any]:
    """A list of JSON; none is an empty one."""
    if text is None or text == "":
        return []
    try:
        found = orjson.loads(text) if isinstance(text, (str, bytes)) else None
    except ValueError:
        found = None
    if found is None and text not in ("null", b"null"):
        raise refused(place, "its fields or indexes are no JSON.")
    return found if isinstance(found, list) else []


def _implied(kind: str) -> Iterable[Field]:
    """Fields that were in no schema before 0.23."""
    yield Field("id", "text")
    if kind == "auth":
        yield Field("username", "text")
        yield Field("email", "email")
        yield Field("emailVisibility", "bool")
        yield Field("verified", "bool")
    yield Field("created", "autodate")
    yield Field("updated", "autodate")


def _field(given: Any, place: str) -> Field:
    if not isinstance(given, dict):
        raise refused(place, "one of its fields is no object.")
    name, kind, options = given.get("name"), given.get("type"), given.get("options")
    if not (isinstance(name, str) and name and isinstance(kind, str)):
        raise refused(place, "one of its fields has no `name` or `type`.")
    is_old = isinstance(options, dict)
    told = options if isinstance(options, dict) else given
    most = told.get("maxSelect")
    is_many = isinstance(most, (int, float)) and most > 1
    if is_old and kind == "relation" and most is None:
        is_many = True  # before 0.23 no number was no bound
    target = told.get("collectionId")
    return Field(
        name,
        kind,
        is_many=is_many and kind in ("relation", "file", "select"),
        is_required=given.get("required") is True,
        is_hidden=given.get("hidden") is True,
        target=target if isinstance(target, str) and kind == "relation" else None,
        is_cascade=told.get("cascadeDelete") is True,
    )


def _indexes(texts: Iterable[Any]) -> tuple[frozenset[str], frozenset[str], tuple[str, ...]]:
    """Fields with a unique index, with another index; unique indexes that are neither."""
    unique: set[str] = set()
    indexed: set[str] = set()
    others: list[str] = []
    for text in texts:
        found = _INDEX.fullmatch(text) if isinstance(text, str) and len(text) < 2_000 else None
        if found is None:
            continue
        columns = [_column(each) for each in found["columns"].split(",")]
        if len(columns) > 1:
            if found["unique"]:
                others.append(", ".join(columns))
        elif found["unique"]:
            unique.add(columns[0])
        else:
            indexed.add(columns[0])
    return frozenset(unique), frozenset(indexed - unique), tuple(others)


def _column(text: str) -> str:
    """The column of an index, without its order and quotes."""
    name = re.split(r"\s+(?:COLLATE|ASC|DESC)\b", text.strip(), flags=re.IGNORECASE)[0]
    return name.strip().strip("`\"[]'")
