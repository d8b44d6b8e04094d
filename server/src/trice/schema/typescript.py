"""Schema and rules documents → the texts of `instant.schema.ts` and `instant.perms.ts`. No I/O.

Their form is that of the official command line, which reads them.

source   instant-semantics §4.1, §5.1; spec/schema-files.md SF4-SF6
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any, Final

from trice.schema.document import EXTENSIBLE, Document

DEFAULT_PACKAGE: Final = "@instantdb/core"

_SYSTEM_ENTITIES: Final[Document] = {
    "$files": {
        "path": {
            "valueType": "string",
            "required": True,
            "config": {"unique": True, "indexed": True},
        },
        "url": {"valueType": "string", "required": True},
    },
    "$streams": {
        "clientId": {
            "valueType": "string",
            "required": True,
            "config": {"unique": True, "indexed": True},
        },
        "done": {"valueType": "boolean"},
        "size": {"valueType": "number"},
        "abortReason": {"valueType": "string"},
    },
    "$users": {
        "email": {"valueType": "string", "config": {"unique": True, "indexed": True}},
        "imageURL": {"valueType": "string"},
        "type": {"valueType": "string"},
    },
}
"""What the system has made, which the official packages have in the schema of each app."""

_SYSTEM_LINKS: Final[Document] = {
    "$usersLinkedPrimaryUser": {
        "forward": {
            "on": "$users",
            "label": "linkedPrimaryUser",
            "has": "one",
            "onDelete": "cascade",
        },
        "reverse": {"on": "$users", "label": "linkedGuestUsers", "has": "many"},
    }
}
_WIDTH: Final = 80


def write_typescript(document: Document, package: str = DEFAULT_PACKAGE) -> str:
    """The text of a file that declares a schema.

    document   as `document.canonical` gives it
    package    where `i` is imported from
    """
    document = with_system(document)
    entities = block([_entity(*each) for each in document["entities"].items()], 2)
    links = value_text(document["links"], 2)
    rooms = block(
        [f"{key_text(name)}: {_room(room)}" for name, room in document.get("rooms", {}).items()], 2
    )
    return f"""\
// Docs: https://www.instantdb.com/docs/modeling-data

import {{ i }} from {quoted(package)};

const _schema = i.schema({{
  entities: {entities},
  links: {links},
  rooms: {rooms},
}});

// This helps TypeScript display nicer intellisense
type _AppSchema = typeof _schema;
interface AppSchema extends _AppSchema {{}}
const schema: AppSchema = _schema;

export type {{ AppSchema }};
export default schema;
"""


def write_rules(rules: Any, package: str = DEFAULT_PACKAGE) -> str:
    """The text of a file that exports rules."""
    return f"""\
// Docs: https://www.instantdb.com/docs/permissions

import type {{ InstantRules }} from {quoted(package)};

const rules = {value_text(rules, 0)} satisfies InstantRules;

export default rules;
"""


def left_out(document: Document) -> list[str]:
    """What TypeScript has no words for, as `todos.done: default`."""
    shown = []
    for etype, entity in document["entities"].items():
        for label, known in entity["attrs"].items():
            lost = [key for key in ("default", "format", "was") if key in known]
            lost += ["values"] * (known["valueType"] != "string" and "values" in known)
            if lost:
                shown.append(f"{etype}.{label}: {', '.join(lost)}")
    for link in document["links"].values():
        shown += [f"{each['on']}.{each['label']}: was" for each in link.values() if "was" in each]
    return shown


def with_system(document: Document) -> Document:
    """A schema with what the system has made in each app."""
    own = document["entities"]
    system = {
        etype: {"attrs": {**attrs, **own.get(etype, {"attrs": {}})["attrs"]}}
        for etype, attrs in _SYSTEM_ENTITIES.items()
    }
    rest = {etype: entity for etype, entity in own.items() if etype not in EXTENSIBLE}
    return {
        **document,
        "entities": {**system, **rest},
        "links": {**document["links"], **_SYSTEM_LINKS},
    }


def _entity(etype: str, entity: Document, depth: int = 4) -> str:
    lines = [f"{key_text(label)}: {_field(it)}" for label, it in entity["attrs"].items()]
    return f"{key_text(etype)}: i.entity({block(lines, depth)})"


def _field(known: Document) -> str:
    config = known.get("config", {})
    kind = known["valueType"]
    if kind == "string" and "values" in known:
        kind += f"<{' | '.join(map(quoted, known['values']))}>"
    made = f"i.{kind}()"
    made += ".unique()" * bool(config.get("unique")) + ".indexed()" * bool(config.get("indexed"))
    return made + ".optional()" * (not known.get("required"))


def _room(room: Document) -> str:
    topics = [_entity(name, each, 8) for name, each in room["topics"].items()]
    lines = [_entity("presence", room["presence"], 6)]
    if topics:
        lines.append(f"topics: {block(topics, 6)}")
    return block(lines, 4)


def block(lines: Sequence[str], depth: int) -> str:
    """An object of lines, whose brace closes at `depth`."""
    if not lines:
        return "{}"
    space = " " * (depth + 2)
    return "{\n" + "".join(f"{space}{line},\n" for line in lines) + " " * depth + "}"


def value_text(value: Any, depth: int) -> str:
    """JSON as people write it in TypeScript.

    depth   spaces before its first line
    """
    if isinstance(value, dict):
        lines = [f"{key_text(key)}: {value_text(each, depth + 2)}" for key, each in value.items()]
        short = f"{{ {', '.join(lines)} }}"
        is_flat = not any(isinstance(each, dict | list) for each in value.values())
        if lines and is_flat and len(short) + depth <= _WIDTH - 10:
            return short
        return block(lines, depth)
    if isinstance(value, list):
        items = [value_text(each, depth + 2) for each in value]
        short = f"[{', '.join(items)}]"
        if len(short) + depth <= _WIDTH - 10 and "\n" not in short:
            return short
        space = " " * (depth + 2)
        return "[\n" + "".join(f"{space}{each},\n" for each in items) + " " * depth + "]"
    return quoted(value) if isinstance(value, str) else json.dumps(value)


def key_text(name: str) -> str:
    """A name as the key of an object."""
    if name == "__proto__":  # the plain spelling would set a prototype
        return '["__proto__"]'
    return name if re.fullmatch(r"[A-Za-z_$][A-Za-z0-9_$]*", name) else quoted(name)


def quoted(value: str) -> str:
    """A text between quotes."""
    return json.dumps(value, ensure_ascii=not value.isprintable())
