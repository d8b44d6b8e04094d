"""The files of a project: `schema.json`, and `rules.json` or `rules.yaml`.

    schema.json   {"entities": {ns: {"attrs": {label: {"valueType", "required"?, "config"}}}},
                   "links": {name: {"forward": {…}, "reverse": {…}}}}

It has what the app has made; attrs of the system are left out, on both ways.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import click

from trice.cli.options import read_json

SCHEMA_FILE: Final = "schema.json"
RULES_FILES: Final = ("rules.json", "rules.yaml", "rules.yml")


def read_schema(path: Path) -> dict[str, Any]:
    """The schema in a file. raises   UsageError"""
    document = read_json(path)
    if not isinstance(document, dict) or not isinstance(document.get("entities"), dict):
        raise click.UsageError(f'{path} is no schema: it must be {{"entities": {{…}}}}.')
    if not isinstance(document.get("links", {}), dict):
        raise click.UsageError(f"{path} is no schema: `links` must be an object.")
    return document


def read_rules(path: Path) -> dict[str, Any]:
    """The rules in a file. raises   UsageError"""
    from trice.cli.documents import read_document

    document = read_document(path)
    if not isinstance(document, dict):
        raise click.UsageError(f"{path} has no rules: it must be an object.")
    return document


def find_rules_file(folder: Path) -> Path | None:
    """The file with the rules of a project. raises   UsageError if there are two"""
    found = [folder / name for name in RULES_FILES if (folder / name).exists()]
    if len(found) > 1:
        names = " and ".join(path.name for path in found)
        raise click.UsageError(f"There are {names}. Keep one of them.")
    return found[0] if found else None


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
        links[_link_name(attr, links)] = _link(attr)
    return {"entities": entities, "links": links}


def _link_name(attr: Mapping[str, Any], taken: Mapping[str, Any]) -> str:
    """The name of a link. Nothing but its two sides counts, so any free one will do."""
    _, etype, label = attr["forward-identity"]
    name = wanted = f"{etype}{label[:1].upper()}{label[1:]}"
    number = 2
    while name in taken:
        name = f"{wanted}{number}"
        number += 1
    return name


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
