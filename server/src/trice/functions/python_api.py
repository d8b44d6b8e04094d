"""The functions of a project → `client/api.py`, which programs in Python call them by. No I/O.

A `TypedDict` for the arguments of each function, each class that these name, and the rows of each
namespace; a reference of `trice_client` for each function and namespace.

source   `functions/types.py` (`Signature.types`); spec/python-client.md PY21
"""

from __future__ import annotations

import keyword
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from trice.functions.api_names import Names, pascal
from trice.functions.signature import Signature
from trice.schema.document import Document
from trice.schema.typescript import with_system

_HEAD: Final = """# Made by `trice generate --python` of functions/ and the schema.
# Run it again when these change.
# ruff: noqa
from __future__ import annotations
"""
_IMPORTS: Final[Mapping[str, Sequence[str]]] = {
    "typing": ("Any", "Literal", "NotRequired", "TypedDict"),
    "trice_client": (
        *("ActionFunction", "MutationFunction", "Namespace", "NoArgs", "Page", "PageArgs"),
        "QueryFunction",
    ),
}
"""What the file may need; strict checkers refuse what is imported and not used."""

_PLAIN: Final[Mapping[str, str]] = {
    **dict.fromkeys(("string", "uuid", "id", "decimal", "bytes"), "str"),
    **dict.fromkeys(("datetime", "date", "time", "duration"), "str"),
    "number": "float",
    "integer": "int",
    "boolean": "bool",
    "null": "None",
    "any": "Any",
    "paged": "PageArgs",
}
"""Dates are ISO 8601 texts, bytes base64, decimals texts that no float rounds."""

_FIELDS: Final[Mapping[str, str]] = {
    "string": "str",
    "number": "float",
    "boolean": "bool",
    "date": "str | float",
    "json": "Any",
    "any": "Any",
}
_WORD: Final = re.compile(r"\w+")
_KINDS: Final = {
    "query": "QueryFunction",
    "mutation": "MutationFunction",
    "action": "ActionFunction",
}


def write_python_api(signatures: Iterable[Signature], schema: Document | None) -> str:
    """The text of `client/api.py`. Internal functions and endpoints, and what only they
    name, are not in it.

    schema   the document of the project's schema; None: it has none that is known
    """
    return _Api(signatures, schema).text()


class _Api:
    """The parts of the file. Each name in it is taken once."""

    def __init__(self, signatures: Iterable[Signature], schema: Document | None) -> None:
        open_ones = [each for each in signatures if not each.is_internal and each.route is None]
        self._signatures = sorted(open_ones, key=lambda each: each.name)
        self._schema = schema
        self._taken = Names(
            (
                *("Any", "Literal", "NotRequired", "TypedDict", "Namespace", "NoArgs", "Page"),
                *("PageArgs", "Api", "Namespaces", *_KINDS.values()),
            )
        )
        self._names: dict[str, str] = {}
        self._classes: list[str] = []

    def text(self) -> str:
        tree: dict[str, Any] = {}
        for each in self._signatures:
            *path, name = each.name.split(".")
            module = tree
            for word in path:
                module = module.setdefault(word, {})
            module[name] = self._reference(each)
        modules: list[str] = []
        self._module(tree, (), "Api", modules)
        rows = [] if self._schema is None else self._namespaces(self._schema)
        ends = ["api = Api()", *(["namespaces = Namespaces()"] if rows else [])]
        parts = [*self._classes, *modules, *rows, "\n".join(ends)]
        return "\n\n".join([_HEAD, *_imports(parts), *parts]) + "\n"

    # --- functions --------------------------------------------------------------------------------

    def _reference(self, signature: Signature) -> list[str]:
        """The lines of a function in the class of its module, without its name."""
        name = pascal(signature.name.split("."))
        known = signature.types["names"]
        args = "NoArgs"
        if signature.types["args"]:
            args = self._dict(f"{name}Args", signature.types["args"], known)
        result = self._type(signature.types["result"], f"{name}Result", known)
        kind = _KINDS[signature.kind]
        return [f": {kind}[{args}, {result}] = {kind}({signature.name!r})", signature.doc.strip()]

    def _module(
        self, module: dict[str, Any], path: tuple[str, ...], name: str, into: list[str]
    ) -> None:
        lines = []
        for word, each in module.items():
            if isinstance(each, dict):
                inner = self._taken.take(f"{pascal((*path, word))}Api")
                self._module(each, (*path, word), inner, into)
                lines.append(f"    {word} = {inner}()")
            else:
                lines.append(f"    {word}{each[0]}")
                lines += [f"    {_docstring(each[1])}"] if each[1] else []
        into.append("\n".join([f"class {name}:", *(lines or ["    pass"])]))

    # --- rows -------------------------------------------------------------------------------------

    def _namespaces(self, schema: Document) -> list[str]:
        rows, lines, words = [], [], set[str]()
        entities = with_system(schema)["entities"]
        for etype in sorted(entities, key=lambda each: each.startswith("$")):
            name = self._taken.take(f"{pascal([etype])}Row")
            fields = [("id", "str")]
            for label, known in entities[etype]["attrs"].items():
                type_ = _literal(known["values"]) if "values" in known else None
                type_ = type_ or _FIELDS[known["valueType"]]
                required = bool(known.get("required"))
                fields.append((label, type_ if required else f"NotRequired[{type_} | None]"))
            rows.append(_typed_dict(name, fields))
            word = "".join(each if each.isalnum() else "_" for each in etype.removeprefix("$"))
            while word in words or keyword.iskeyword(word) or not word.isidentifier():
                word = f"{word}_" if word.isidentifier() else f"n_{word}"
            words.add(word)
            lines.append(f"    {word}: Namespace[{name}] = Namespace({etype!r})")
        return [*rows, "\n".join(["class Namespaces:", *lines])]

    # --- types ------------------------------------------------------------------------------------

    def _type(self, described: Mapping[str, Any], name: str, known: Mapping[str, Any]) -> str:
        """The type as text; `name` is for an object that has none."""
        match described:
            case {"is": "named", "key": key}:
                return self._named(key, known)
            case {"is": "literal", "values": values}:
                return _literal(values)
            case {"is": "union", "of": parts}:
                found = [self._type(each, name, known) for each in parts]
                return " | ".join(dict.fromkeys(found))
            case {"is": "list", "of": inner}:
                return f"list[{self._type(inner, name, known)}]"
            case {"is": "tuple", "items": items}:
                found = [self._type(each, name, known) for each in items]
                return f"list[{' | '.join(dict.fromkeys(found)) or 'Any'}]"
            case {"is": "map", "of": inner}:
                return f"dict[str, {self._type(inner, name, known)}]"
            case {"is": "page", "of": inner}:
                return f"Page[{self._type(inner, name, known)}]"
            case {"is": "object", "fields": fields}:
                return self._dict(name, fields, known)
            case _:
                return _PLAIN[described["is"]]

    def _named(self, key: str, known: Mapping[str, Any]) -> str:
        """The name of a class, which is written when it is first named."""
        if key not in self._names:
            described = known[key]
            name = self._names[key] = self._taken.take(described["name"])
            if described["is"] == "enum":
                self._classes.append(f"{name} = {_literal(described['values'])}")
            else:
                self._classes.append(self._fields(name, described["fields"], known))
        return self._names[key]

    def _dict(
        self, wanted: str, fields: Sequence[Mapping[str, Any]], known: Mapping[str, Any]
    ) -> str:
        name = self._taken.take(wanted)
        self._classes.append(self._fields(name, fields, known))
        return name

    def _fields(
        self, name: str, fields: Sequence[Mapping[str, Any]], known: Mapping[str, Any]
    ) -> str:
        found = []
        for each in fields:
            type_ = self._type(each["type"], f"{name}{pascal([each['name']])}", known)
            found.append((each["name"], f"NotRequired[{type_}]" if each["optional"] else type_))
        return _typed_dict(name, found)


def _imports(parts: Iterable[str]) -> list[str]:
    """The imports that the parts of a file need."""
    words = {word for part in parts for word in _WORD.findall(part)}
    found = []
    for module, names in _IMPORTS.items():
        used = [name for name in names if name in words]
        if used:
            lines = "\n".join(f"    {name}," for name in used)
            found.append(f"from {module} import (\n{lines}\n)")
    return found


def _typed_dict(name: str, fields: Sequence[tuple[str, str]]) -> str:
    if all(label.isidentifier() and not keyword.iskeyword(label) for label, _ in fields):
        lines = [f"    {label}: {type_}" for label, type_ in fields]
        return "\n".join([f"class {name}(TypedDict):", *(lines or ["    pass"])])
    # The types are texts, for they may name a class that comes later.
    lines = [f"        {label!r}: {type_!r}," for label, type_ in fields]
    return "\n".join([f"{name} = TypedDict(", f"    {name!r},", "    {", *lines, "    },", ")"])


def _literal(values: Sequence[Any]) -> str:
    return f"Literal[{', '.join(map(repr, values))}]"


def _docstring(text: str) -> str:
    """A docstring as one; nothing of it can end it."""
    lines = [line.strip() for line in text.replace("\\", "\\\\").replace('"', '\\"').splitlines()]
    return '"""' + "\n    ".join(lines) + '"""'
