"""The files of a project: its schema and its rules, each in the form that its name says.

    schema   schema.py · schema.json · instant.schema.ts
    rules    rules.yaml (or .yml) · rules.json · instant.perms.ts

All are read to one document and written from it: `trice.schema.document` has that of a schema; that
of rules is what a server takes. It has what the app has made; attrs of the system are left out, on
both ways.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Literal

import click

from trice import schema_limits
from trice.cli.documents import in_form, line_of, parse_yaml
from trice.cli.options import file_error, read_json, read_text
from trice.cli.terminal import printable
from trice.schema.document import Document, SchemaFault, canonical, link_name
from trice.schema.rules import canonical_rules
from trice.schema.typescript import DEFAULT_PACKAGE, write_rules, write_typescript

Kind = Literal["schema", "rules"]
Part = Literal["all", "schema", "rules"]

SCHEMA_FILES: Final = ("schema.json", "schema.py", "instant.schema.ts")
RULES_FILES: Final = ("rules.json", "rules.yaml", "rules.yml", "instant.perms.ts")

_TYPESCRIPT: Final = (".ts", ".mts", ".js", ".mjs")
_SUFFIXES: Final[Mapping[str, Sequence[str]]] = {
    "schema": (".py", ".json", *_TYPESCRIPT),
    "rules": (".yaml", ".yml", ".json", *_TYPESCRIPT),
}
_BESIDE: Final = {"instant.schema.ts": "instant.perms.ts", "schema.py": "rules.yaml"}
"""Which file a pull makes of the rules, beside that of the schema."""

# --- reading --------------------------------------------------------------------------------------


def read_schema(path: Path) -> Document:
    """The schema in a file, of any kind. raises   UsageError"""
    _check_file(path, "schema")
    document, text = _parsed(path)
    try:
        return canonical(document)
    except SchemaFault as fault:
        raise _misread(path, text, fault.path, fault.message) from None


def read_rules(path: Path) -> dict[str, Any]:
    """The rules in a file, of any kind. raises   UsageError"""
    _check_file(path, "rules")
    document, text = _parsed(path)
    if not isinstance(document, dict):
        raise click.UsageError(f"{path} has no rules: it must be an object.")
    try:
        fault = _no_json(document, ())
        if fault is not None:
            raise _misread(path, text, *fault)
        return canonical_rules(document)
    except RecursionError:
        raise click.UsageError(f"{path} is nested too deeply.") from None


def _check_file(path: Path, kind: Kind) -> None:
    if path.suffix not in _SUFFIXES[kind]:
        listed = ", ".join(_SUFFIXES[kind])
        raise click.UsageError(f"{path} is no file of a {kind} by its name. Accepted: {listed}.")
    try:
        size_bytes = path.stat().st_size
    except OSError as failure:
        raise click.UsageError(f"{file_error(failure)}.") from None
    if not path.is_file():
        raise click.UsageError(f"{path} is no file.")
    if size_bytes > schema_limits.FILE_BYTES_MAX:
        most = schema_limits.FILE_BYTES_MAX >> 20
        raise click.UsageError(f"{path} has {size_bytes:,} bytes. Accepted are {most} MiB.")


def _parsed(path: Path) -> tuple[Any, str | None]:
    """What a file says, and its text if places in it can be found by keys."""
    from trice.cli.evaluated import evaluate_python, evaluate_typescript

    if path.suffix == ".py":
        return evaluate_python(path), None
    if path.suffix in _TYPESCRIPT:
        return evaluate_typescript(path), None
    if path.suffix == ".json":
        return read_json(path), read_text(path)
    text = read_text(path)
    return parse_yaml(path, text), text


def _misread(path: Path, text: str | None, keys: Sequence[Any], message: str) -> click.UsageError:
    line = None if text is None else line_of(text, keys)
    at = "" if line is None else f", line {line}"
    where = ".".join(map(str, keys))
    where = f"{where}: " if where else ""
    return click.UsageError(f"{path}{at}: {printable(where + message)}.")


def _no_json(value: Any, path: tuple[Any, ...]) -> tuple[tuple[Any, ...], str] | None:
    """Where a document has something that is no JSON, and what; None if it is JSON throughout."""
    if isinstance(value, dict):
        for key, each in value.items():
            if not isinstance(key, str):
                return path, f"the key {key!r} is no text; write it in quotes"
            if found := _no_json(each, (*path, key)):
                return found
    elif isinstance(value, list):
        for at, each in enumerate(value):
            if found := _no_json(each, (*path, at)):
                return found
    elif not isinstance(value, str | int | float | bool | None) or (
        isinstance(value, float) and not math.isfinite(value)
    ):
        return path, f"{value!r} is no JSON"
    return None


def rules_fault_line(path: Path, fault: Any) -> str | None:
    """The place of a fault that a server found in rules: `rules.yaml, line 3`."""
    where = fault.get("in") if isinstance(fault, dict) else None
    if path.suffix in _TYPESCRIPT or not isinstance(where, list):
        return None
    line = line_of(read_text(path), where)
    return None if line is None else f"{path}, line {line}"


# --- finding --------------------------------------------------------------------------------------


def find_schema_file(folder: Path) -> Path | None:
    """The file with the schema of a project. raises   UsageError if there are two"""
    return _found(folder, SCHEMA_FILES, "--schema")


def find_rules_file(folder: Path) -> Path | None:
    """The file with the rules of a project. raises   UsageError if there are two"""
    return _found(folder, RULES_FILES, "--rules")


class ProjectFiles:
    """Which files a command is about. raises   UsageError if there are several of a kind

    schema, rules   None if there is none
    """

    def __init__(
        self, folder: Path, part: Part, schema_file: Path | None, rules_file: Path | None
    ) -> None:
        self.folder = folder
        self.has_schema = part != "rules"
        self.has_rules = part != "schema"
        self.schema = schema_file or (find_schema_file(folder) if self.has_schema else None)
        self.rules = rules_file or (find_rules_file(folder) if self.has_rules else None)

    def check(self) -> None:
        """Refuse that there is nothing to read."""
        accepted = [*SCHEMA_FILES * self.has_schema, *RULES_FILES * self.has_rules]
        found = (self.schema if self.has_schema else None) or (
            self.rules if self.has_rules else None
        )
        if found is None:
            told = f"{self.folder} has none of {', '.join(accepted)}. `trice pull` writes them."
            raise click.UsageError(told)


def _found(folder: Path, wanted: Sequence[str], flag: str) -> Path | None:
    found = [folder / name for name in wanted if (folder / name).exists()]
    if len(found) > 1:
        names = " and ".join(path.name for path in found)
        raise click.UsageError(f"There are {names}. Keep one of them, or name it with {flag}.")
    return found[0] if found else None


def new_rules_file(folder: Path, schema_file: Path | None) -> Path:
    """The file for the rules of a project that has none."""
    name = None if schema_file is None else _BESIDE.get(schema_file.name)
    return folder / (name or RULES_FILES[0])


# --- writing --------------------------------------------------------------------------------------


def schema_text(path: Path, document: Document) -> str:
    """A schema as the text of a file. raises   UsageError for a name of no kind of file"""
    if path.suffix == ".py":
        from trice.schema.python import write_python

        return write_python(document)
    if path.suffix in _TYPESCRIPT[:2]:
        return write_typescript(document, _package(path))
    _check_written(path, (".json",), ("schema.py", "schema.json", "instant.schema.ts"))
    return in_form(path, document)


def rules_text(path: Path, rules: Any) -> str:
    """Rules as the text of a file. raises   UsageError for a name of no kind of file"""
    if path.suffix in _TYPESCRIPT[:2]:
        return write_rules(rules, _package(path))
    _check_written(
        path, (".json", ".yaml", ".yml"), ("rules.yaml", "rules.json", "instant.perms.ts")
    )
    return in_form(path, rules)


def _check_written(path: Path, suffixes: Sequence[str], names: Sequence[str]) -> None:
    if path.suffix not in suffixes:
        raise click.UsageError(f"{path}: accepted are names such as {', '.join(names)}.")


def _package(path: Path) -> str:
    """The package that a file in this place imports `i` from: the one it names now, or the one that
    the project has, `tricedb` or one of Instant."""
    try:
        found = re.search(
            r"""from\s+["'](tricedb|@instantdb/[\w-]+)["']""", path.read_text("utf-8")
        )
        if found is not None:
            return found[1]
    except (OSError, UnicodeDecodeError):
        pass
    for folder in path.resolve().parents:
        manifest = folder / "package.json"
        try:
            known = json.loads(manifest.read_text("utf-8"))["dependencies"]
        except (OSError, ValueError, LookupError, TypeError):
            continue
        names = ["tricedb"] + [
            f"@instantdb/{name}" for name in ("react-native", "react", "core", "admin")
        ]
        return next((name for name in names if name in known), DEFAULT_PACKAGE)
    return DEFAULT_PACKAGE


# --- apps -----------------------------------------------------------------------------------------


def as_document(view: Mapping[str, Any]) -> dict[str, Any]:
    """The schema of an app as a file has it.

    view   {"blobs": {ns: {label: attr}}, "refs": {names: attr}}, what servers answer
    """
    entities: dict[str, Any] = {}
    for etype, attrs in sorted(view["blobs"].items()):
        own = {label: attr for label, attr in sorted(attrs.items()) if attr["catalog"] != "system"}
        if own:
            shown = {label: _field(attr) for label, attr in own.items() if label != "id"}
            entities[etype] = {"attrs": shown}
    links: dict[str, Any] = {}
    refs = [attr for attr in view["refs"].values() if attr["catalog"] != "system"]
    for attr in sorted(refs, key=lambda attr: attr["forward-identity"][1:]):
        _, etype, label = attr["forward-identity"]
        links[link_name(etype, label, links)] = made = _link(attr)
        for side in made.values():
            if not side["on"].startswith("$"):
                entities.setdefault(side["on"], {"attrs": {}})
    return {"entities": entities, "links": links}


def _field(attr: Mapping[str, Any]) -> dict[str, Any]:
    made: dict[str, Any] = {"valueType": attr.get("checked-data-type") or "any"}
    if attr.get("required?"):
        made["required"] = True
    config = {
        key: True for key, name in (("unique", "unique?"), ("indexed", "index?")) if attr.get(name)
    }
    return {**made, "config": config} if config else made


def _link(attr: Mapping[str, Any]) -> dict[str, Any]:
    _, etype, label = attr["forward-identity"]
    _, reverse_etype, reverse_label = attr["reverse-identity"]
    forward = {"on": etype, "label": label, "has": attr["cardinality"]}
    reverse = {
        "on": reverse_etype,
        "label": reverse_label,
        "has": "one" if attr["unique?"] else "many",
    }
    if attr.get("required?"):
        forward["required"] = True
    if attr.get("on-delete"):
        forward["onDelete"] = attr["on-delete"]
    if attr.get("on-delete-reverse"):
        reverse["onDelete"] = attr["on-delete-reverse"]
    return {"forward": forward, "reverse": reverse}
