"""Schema documents → flat interfaces of TypeScript, and the value that `init` takes. No I/O.

The types are those that `i.schema` of `tricedb` gives, written out: the compiler has nothing to
infer, which takes it a third of the work (spec/sdk.md J66), and editors show names.

source   clients/js/src/schema/infer.ts (`AnySchema`); spec/schema-files.md SF50
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from trice.schema.document import Document
from trice.schema.typescript import block, key_text, quoted, value_text, with_system

_TYPES: Final[Mapping[str, str]] = {
    "string": "string",
    "number": "number",
    "boolean": "boolean",
    "date": "string | number",
    "json": "any",
    "any": "any",
}


def write_interfaces(document: Document, source: str) -> str:
    """The text of a file with a schema's types, and the schema as a value.

    document   as `document.canonical` gives it
    source     the name of the file it comes from
    """
    return (
        f"// Made by `trice generate` of {source}: run it again when that changes.\n"
        'import type { SchemaShape } from "tricedb";\n\n' + write_types(document)
    )


def write_types(document: Document) -> str:
    """The interfaces of a schema, and the value, for a file that imports `SchemaShape`."""
    document = with_system(document)
    entities = document["entities"]
    names = _interface_names(entities)
    links = _links_by(document)
    parts = [
        *(_rows(names[etype], entity) for etype, entity in entities.items()),
        *(_writes(names[etype], entity) for etype, entity in entities.items()),
        *(_interface(f"{names[etype]}Links", links[etype]) for etype in entities),
        _schema(document, names),
    ]
    plain = {"entities": _plain(entities), "links": document["links"]}
    return (
        "\n\n".join(parts)
        + "\n\n/** What `init` takes. Its types are only types, so it is a plain value. */\n"
        + f"export const schema = {value_text(plain, 0)} as unknown as Schema;\n"
    )


def _interface_names(entities: Document) -> dict[str, str]:
    """`todoItems` → `TodoItems`, each once; `$users` leaves `Users` to a `users` of the app."""
    names: dict[str, str] = {}
    for etype in sorted(entities, key=lambda etype: etype.startswith("$")):
        words = re.findall(r"[A-Za-z0-9]+", etype)
        name = "".join(word[0].upper() + word[1:] for word in words) or "Namespace"
        wanted = name = f"N{name}" if name[0].isdigit() else name
        number = 2
        while name in names.values():
            name = f"{wanted}{number}"
            number += 1
        names[etype] = name
    return names


def _interface(name: str, lines: Sequence[str]) -> str:
    return f"export interface {name} {_type(lines, 0)}"


def _type(lines: Sequence[str], depth: int) -> str:
    return block(lines, depth).replace(",\n", ";\n")


def _rows(name: str, entity: Document) -> str:
    return _interface(f"{name}Row", ["id: string", *_fields(entity)])


def _writes(name: str, entity: Document) -> str:
    """Dates also as Date, and null for what is optional."""
    lines = []
    for label, known in entity["attrs"].items():
        also = " | Date" * (known["valueType"] == "date") + " | null" * (not known.get("required"))
        lines.append(f"{_field(label, known)}{also}")
    return _interface(f"{name}Write", lines)


def _fields(entity: Document) -> list[str]:
    return [_field(label, known) for label, known in entity["attrs"].items()]


def _field(label: str, known: Document) -> str:
    mark = "" if known.get("required") else "?"
    values = [quoted(each) if isinstance(each, str) else str(each) for each in _values(known)]
    return f"{key_text(label)}{mark}: {' | '.join(values) or _TYPES[known['valueType']]}"


def _values(known: Document) -> Sequence[Any]:
    values: Sequence[Any] = known.get("values", ())
    return values


def _links_by(document: Document) -> dict[str, list[str]]:
    """The links of each namespace, as lines."""
    found: dict[str, list[str]] = {etype: [] for etype in document["entities"]}
    for link in document["links"].values():
        forward, reverse = link["forward"], link["reverse"]
        for side, other in ((forward, reverse), (reverse, forward)):
            target = f"{{ to: {quoted(other['on'])}; has: {quoted(side['has'])} }}"
            found[side["on"]].append(f"{key_text(side['label'])}: {target}")
    return found


def _schema(document: Document, names: Mapping[str, str]) -> str:
    entities = document["entities"]

    def named(suffix: str) -> str:
        return _type([f"{key_text(each)}: {names[each]}{suffix}" for each in entities], 2)

    def marked(mark: str) -> str:
        return _type(
            [f"{key_text(each)}: {_marked(entity, mark)}" for each, entity in entities.items()], 2
        )

    lines = [
        *(f"rows: {named('Row')}", f"writes: {named('Write')}", f"by: {named('Links')}"),
        *(f"unique: {marked('unique')}", f"indexed: {marked('indexed')}"),
        f"rooms: {_rooms(document.get('rooms', {}))}",
    ]
    return f"export interface Schema extends SchemaShape {_type(lines, 0)}"


def _marked(entity: Document, mark: str) -> str:
    labels = [label for label, it in entity["attrs"].items() if it.get("config", {}).get(mark)]
    return " | ".join(map(quoted, labels)) or "never"


def _rooms(rooms: Document) -> str:
    lines = []
    for name, room in rooms.items():
        topics = [
            f"{key_text(topic)}: {_type(_fields(each), 8)}"
            for topic, each in room["topics"].items()
        ]
        parts = [f"presence: {_type(_fields(room['presence']), 6)}", f"topics: {_type(topics, 6)}"]
        lines.append(f"{key_text(name)}: {_type(parts, 4)}")
    return _type(lines, 2)


def _plain(entities: Document) -> Document:
    """Namespaces as `i.schema` makes them, so far as a client reads it."""
    return {
        etype: {
            "attrs": {
                label: {
                    "valueType": "json" if known["valueType"] == "any" else known["valueType"],
                    "required": bool(known.get("required")),
                    "config": {
                        "indexed": bool(known.get("config", {}).get("indexed")),
                        "unique": bool(known.get("config", {}).get("unique")),
                    },
                }
                for label, known in entity["attrs"].items()
            }
        }
        for etype, entity in entities.items()
    }
