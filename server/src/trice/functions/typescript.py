"""The functions of a project → `client/api.ts`, which apps in TypeScript call them by. No I/O.

One flat interface for each function, its arguments, each class that these name, and each namespace
of the schema: the compiler has nothing to infer, and editors show names. Names are as in Python.

source   `functions/types.py` (`Signature.types`); spec/functions.md FN320-FN323
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from trice.functions.signature import Signature
from trice.functions.types import list_of
from trice.schema.document import Document
from trice.schema.interfaces import write_types
from trice.schema.typescript import block, key_text, quoted, value_text

_HEAD: Final = (
    "// Made by `trice generate` of functions/ and the schema: run it again when these change.\n"
)

_PLAIN: Final[Mapping[str, str]] = {
    **dict.fromkeys(("string", "uuid", "id", "decimal", "bytes"), "string"),
    **dict.fromkeys(("datetime", "date", "time", "duration"), "string"),
    **dict.fromkeys(("number", "integer"), "number"),
    **{each: each for each in ("boolean", "null", "any")},
}
"""Dates are ISO 8601 texts, bytes base64, decimals texts that no float rounds."""

_NO_ARGS: Final = "{\n  readonly [name: string]: never;\n}"
"""`{}` would take anything."""

_PAGED: Final = "{ size?: number; after?: string | null }"


_PAGE_SIZE: Final[Mapping[str, Any]] = {
    "is": "object",
    "fields": [{"name": "size", "type": {"is": "integer"}, "optional": True}],
}
"""Which page of a list that is watched the client says; how large they are the app."""


def write_api(signatures: Iterable[Signature], schema: Document | None) -> str:
    """The text of `client/api.ts`. Internal functions and endpoints, and what only they
    name, are not in it.

    schema   the document of the project's schema; None: it has none that is known
    """
    return _Api(signatures, schema).text()


class _Api:
    """The parts of the file. Each name in it is taken once."""

    def __init__(self, signatures: Iterable[Signature], schema: Document | None) -> None:
        open_ones = [each for each in signatures if not each.is_internal and each.route is None]
        self._signatures = sorted(open_ones, key=lambda each: each.name)
        self._schema = "" if schema is None else write_types(schema)
        self._taken = {"Api", *re.findall(r"^export interface (\w+)", self._schema, re.MULTILINE)}
        self._named: dict[str, Mapping[str, Any]] = {}
        for each in self._signatures:
            self._collect(each)
        self._named = dict(sorted(self._named.items()))
        self._names = self._class_names()
        self._functions = {
            each.name: self._take(pascal(each.name.split("."))) for each in self._signatures
        }

    def text(self) -> str:
        tree = _tree(self._signatures)
        parts = [
            *(self._class(key) for key in self._named),
            *(self._function(each) for each in self._signatures),
            *self._modules(tree),
            "/** What `db.call`, `useCall` and `usePagedCall` take; the rest is types. */\n"
            f"export const api = {value_text(_value(tree), 0)} as unknown as Api;",
            *([self._schema.rstrip("\n")] if self._schema else []),
        ]
        uses = 'import type { SchemaShape } from "tricedb";\n' if self._schema else ""
        return f"{_HEAD}{uses}\n" + "\n\n".join(parts) + "\n"

    # --- classes ----------------------------------------------------------------------------------

    def _collect(self, signature: Signature) -> None:
        """The classes that a function names, and those that these name."""
        known = signature.types["names"]
        waiting = [signature.types["result"], *(each["type"] for each in signature.types["args"])]
        while waiting:
            described = waiting.pop()
            key = described.get("key")
            if key is not None and key not in self._named:
                self._named[key] = known[key]
                waiting.append(known[key])
            of = described.get("of")
            waiting += of if isinstance(of, list) else [of] if isinstance(of, dict) else []
            waiting += described.get("items", ())
            waiting += [each["type"] for each in described.get("fields", ())]

    def _class_names(self) -> dict[str, str]:
        """By key: the name of the class, with its module where two classes have that name."""
        shared = [each["name"] for each in self._named.values()]
        return {
            key: self._take(
                each["name"] if shared.count(each["name"]) == 1 else pascal(key.split("."))
            )
            for key, each in self._named.items()
        }

    def _class(self, key: str) -> str:
        described, name = self._named[key], self._names[key]
        doc = _doc(described.get("doc", ""), 0)
        if described["is"] == "enum":
            return f"{doc}export type {name} = {_literals(described['values'])};"
        return f"{doc}export interface {name} {self._fields(described['fields'], 0)}"

    def _take(self, wanted: str) -> str:
        """A name that nothing else in the file has."""
        name, number = wanted, 2
        while name in self._taken:
            name, number = f"{wanted}{number}", number + 1
        self._taken.add(name)
        return name

    # --- functions --------------------------------------------------------------------------------

    def _function(self, signature: Signature) -> str:
        """The interface of its arguments, and the one that stands for it."""
        name = self._functions[signature.name]
        args = self._take(f"{name}Args")
        given = self._fields(signature.types["args"], 0)
        lines = [
            f"readonly name: {quoted(signature.name)}",
            f"readonly kind: {quoted(signature.kind)}",
            f"readonly args: {args}",
            f"readonly result: {self._type(signature.types['result'], 2)}",
        ]
        pages = ""
        listed = list_of(signature.types)
        if listed is not None:
            pages, more = self._listed(name, signature, *listed)
            lines += more
        return (
            f"export interface {args} {given if signature.types['args'] else _NO_ARGS}\n\n{pages}"
            f"{_doc(signature.doc, 0)}export interface {name} {_object(lines, 0)}"
        )

    def _listed(
        self, name: str, signature: Signature, paged: str, item: Mapping[str, Any]
    ) -> tuple[str, list[str]]:
        """The interface of the arguments of a list, and what marks its function as one."""
        args = self._take(f"{name}ListArgs")
        fields = [
            {**each, "type": _PAGE_SIZE, "optional": True} if each["name"] == paged else each
            for each in signature.types["args"]
        ]
        return (
            f"export interface {args} {self._fields(fields, 0)}\n\n",
            [
                f"readonly paged: {quoted(paged)}",
                f"readonly list: {args}",
                f"readonly item: {self._type(item, 2)}",
            ],
        )

    def _modules(self, tree: _Tree) -> Sequence[str]:
        """An interface for each module, and `Api` for all."""
        found: list[str] = []

        def write(module: _Tree, path: tuple[str, ...], name: str) -> None:
            lines = []
            for word, each in module.items():
                if isinstance(each, Signature):
                    inner = self._functions[each.name]
                else:
                    inner = self._take(f"{pascal((*path, word))}Api")
                    write(each, (*path, word), inner)
                lines.append(f"readonly {key_text(word)}: {inner}")
            found.append(f"export interface {name} {_object(lines, 0)}")

        write(tree, (), "Api")
        return found

    # --- types ------------------------------------------------------------------------------------

    def _fields(self, fields: Sequence[Mapping[str, Any]], depth: int) -> str:
        lines = []
        for each in fields:
            mark = "?" if each["optional"] else ""
            doc = _doc(each.get("doc", ""), depth + 2).lstrip()
            told = f"{doc}{' ' * (depth + 2)}" if doc else ""
            lines.append(
                f"{told}{key_text(each['name'])}{mark}: {self._type(each['type'], depth + 2)}"
            )
        return _object(lines, depth)

    def _type(self, described: Mapping[str, Any], depth: int) -> str:
        match described:
            case {"is": "named", "key": key}:
                return self._names[key]
            case {"is": "literal", "values": values}:
                return _literals(values)
            case {"is": "union", "of": parts}:
                return " | ".join(dict.fromkeys(self._type(each, depth) for each in parts))
            case {"is": "list", "of": inner}:
                return self._list(inner, depth)
            case {"is": "tuple", "items": items}:
                return f"[{', '.join(self._type(each, depth) for each in items)}]"
            case {"is": "map", "of": inner}:
                return f"{{ [key: string]: {self._type(inner, depth)} }}"
            case {"is": "page", "of": inner}:
                return f"{{ items: {self._list(inner, depth)}; next: string | null }}"
            case {"is": "paged"}:
                return _PAGED
            case {"is": "object", "fields": fields}:
                return self._fields(fields, depth)
            case _:
                return _PLAIN[described["is"]]

    def _list(self, inner: Mapping[str, Any], depth: int) -> str:
        text = self._type(inner, depth)
        is_several = inner["is"] == "union" or (inner["is"] == "literal" and "|" in text)
        return f"({text})[]" if is_several else f"{text}[]"


_Tree = dict[str, Any]
"""Modules, and functions in them: `Signature`."""


def _tree(signatures: Iterable[Signature]) -> _Tree:
    tree: _Tree = {}
    for each in signatures:
        *path, name = each.name.split(".")
        module = tree
        for word in path:
            module = module.setdefault(word, {})
        module[name] = each
    return tree


def _value(tree: _Tree) -> Document:
    """What is there when the app runs: a name and a kind for each function, and of one that lists
    something which argument says the page."""
    return {
        word: _marks(each) if isinstance(each, Signature) else _value(each)
        for word, each in tree.items()
    }


def _marks(signature: Signature) -> Document:
    listed = list_of(signature.types)
    paged = {} if listed is None else {"paged": listed[0]}
    return {"name": signature.name, "kind": signature.kind, **paged}


def pascal(parts: Iterable[str]) -> str:
    """`messages`, `send_all` → `MessagesSendAll`."""
    words = [word for part in parts for word in re.findall(r"\w+", part.replace("_", " "))]
    name = "".join(word[0].upper() + word[1:] for word in words) or "Function"
    return f"F{name}" if name[0].isdigit() else name


def _object(lines: Sequence[str], depth: int) -> str:
    return block(lines, depth).replace(",\n", ";\n")


def _literals(values: Sequence[Any]) -> str:
    return " | ".join(value_text(each, 0) for each in values)


def _doc(text: str, depth: int) -> str:
    """A docstring as a comment; nothing of it can end the comment."""
    if not text.strip():
        return ""
    space = " " * depth
    lines = [line.strip() for line in text.strip().replace("*/", "*\\/").splitlines()]
    if len(lines) == 1:
        return f"{space}/** {lines[0]} */\n"
    body = "".join(f"{space} * {line}".rstrip() + "\n" for line in lines)
    return f"{space}/**\n{body}{space} */\n"
