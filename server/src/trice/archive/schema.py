"""The schema of an archive ↔ attrs. No I/O, except that new attrs get fresh ids.

source   instant-http §6.7; spec/archive.md AR40-AR49
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any, Final

from trice.archive.container import CONFIG
from trice.archive.refusals import refused
from trice.catalog.attr import Attr
from trice.catalog.catalog import Catalog
from trice.catalog.schema import plan_schema
from trice.catalog.system import EXTENSIBLE
from trice.errors import TriceError
from trice.protocol.ids import AttrId, find_uuid_bytes
from trice.runtime import Runtime

TRANSIENT: Final = frozenset(
    {"$magicCodes", "$oauthCodes", "$oauthRedirects", "$passkeyChallenges", "$hooks"}
)
"""Sign-ins under way: minutes old, and bound to the server where they began. Places of hooks: they
are in a log that does not come along."""

NOT_INSTANTS: Final = frozenset({"$userPasswords", "$userPasskeys"})
"""Namespaces that Instant does not have; its restore refuses them."""

LEFT_OUT: Final[Mapping[str, frozenset[str]]] = {"$files": frozenset({"url", "content-hash"})}
"""Labels that no line has: they are computed."""

_HIDDEN: Final = frozenset(
    (
        *(("$files", label) for label in ("content-type", "content-disposition", "size")),
        *(("$files", label) for label in ("location-id", "key-version", "content-hash")),
        *(("$streams", label) for label in ("machineId", "hashedReconnectToken")),
    )
)
"""System attrs that schemas do not show (instant-http §1.13)."""


def plan_attrs(
    schema: Mapping[str, Any], known: Iterable[Any], catalog: Catalog, runtime: Runtime
) -> list[Attr]:
    """The attrs that an archive's schema adds to the system catalog.

    known    attrs in the form of clients: an attr with the same name gets their ids
    raises   InvalidInput that says what is wrong with the schema
    """
    try:
        attrs = plan_schema({"links": {}, **schema}, catalog, runtime)
    except TriceError as failure:
        raise refused(CONFIG, f"its schema cannot be used. {failure.message}") from failure
    ids = _ids(known)
    made = [_with_ids(attr, ids.get(attr.forward.name)) for attr in attrs]
    taken = {attr.id for attr in made} | catalog.by_id.keys()
    if len(taken) != len(made) + len(catalog.by_id):
        raise refused(CONFIG, "two attrs have the same id.")
    return made


def _ids(known: Iterable[Any]) -> dict[tuple[str, str], tuple[str, str, str | None]]:
    """The ids of attr, forward and reverse name, by forward name; what has none is passed over."""
    found: dict[tuple[str, str], tuple[str, str, str | None]] = {}
    for each in known:
        if not isinstance(each, dict):
            continue
        forward, reverse = each.get("forward-identity"), each.get("reverse-identity")
        if not isinstance(forward, list) or len(forward) != 3:
            continue
        name_id, etype, label = forward
        reverse_id = reverse[0] if isinstance(reverse, list) and reverse else None
        is_whole = find_uuid_bytes(each.get("id")) and find_uuid_bytes(name_id)
        if is_whole and isinstance(etype, str) and isinstance(label, str):
            found[etype, label] = (each["id"].lower(), name_id.lower(), _uuid(reverse_id))
    return found


def _uuid(given: Any) -> str | None:
    return given.lower() if find_uuid_bytes(given) is not None else None


def _with_ids(attr: Attr, ids: tuple[str, str, str | None] | None) -> Attr:
    if ids is None:
        return attr
    attr_id, forward_id, reverse_id = ids
    reverse = attr.reverse
    if reverse is not None and reverse_id is not None:
        reverse = replace(reverse, id=reverse_id)
    return replace(
        attr, id=AttrId(attr_id), forward=replace(attr.forward, id=forward_id), reverse=reverse
    )


def schema_of(catalog: Catalog) -> dict[str, Any]:
    """The schema of a catalog, as archives have it."""
    entities: dict[str, Any] = {}
    links: dict[str, Any] = {}
    for etype, namespace in sorted(catalog.namespaces.items()):
        if etype.startswith("$") and etype not in EXTENSIBLE:
            continue
        attrs = entities.setdefault(etype, {"attrs": {}})["attrs"]
        for attr in sorted(namespace.attrs(), key=lambda attr: attr.label):
            if attr.is_ref:
                name = _link_name(attr, links)
                links[name] = _link(attr)
            elif not attr.is_id and (etype, attr.label) not in _HIDDEN:
                attrs[attr.label] = _field(attr)
    return {"entities": entities, "links": links}


def _link_name(attr: Attr, taken: Mapping[str, Any]) -> str:
    """The name of a link in a schema. Nothing but its two sides counts, so any free one will do."""
    name = wanted = f"{attr.etype}{attr.label[:1].upper()}{attr.label[1:]}"
    number = 2
    while name in taken:
        name = f"{wanted}{number}"
        number += 1
    return name


def _field(attr: Attr) -> dict[str, Any]:
    made: dict[str, Any] = {
        "valueType": attr.checked_type or "any",
        "config": {"unique": attr.is_unique, "indexed": attr.is_indexed},
    }
    # `$files.url` is computed, and every file has one.
    if attr.is_required or attr.name == "$files.url":
        made["required"] = True
    return made


def _link(attr: Attr) -> dict[str, Any]:
    assert attr.reverse is not None, "a link has two sides"
    forward: dict[str, Any] = {
        "on": attr.etype,
        "label": attr.label,
        "has": attr.cardinality,
    }
    reverse: dict[str, Any] = {
        "on": attr.reverse.etype,
        "label": attr.reverse.label,
        "has": "one" if attr.is_unique else "many",
    }
    if attr.is_required:
        forward["required"] = True
    if attr.on_delete is not None:
        forward["onDelete"] = attr.on_delete
    if attr.on_delete_reverse is not None:
        reverse["onDelete"] = attr.on_delete_reverse
    return {"forward": forward, "reverse": reverse}
