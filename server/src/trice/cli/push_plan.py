"""What a push would do to an app: steps of its schema, changes of its rules. No I/O.

The server plans what a schema adds and changes; what is removed or renamed only a person can tell
apart, so that is planned here.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal

import click

from trice.cli.terminal import aligned, printable

Deed = Literal["add", "change", "remove", "rename"]

LINES_MAX: Final = 200
"""Lines of a plan that are printed; the rest is counted."""

_MARKS: Final[Mapping[Deed, tuple[str, str]]] = {
    "add": ("+", "green"),
    "change": ("~", "yellow"),
    "rename": ("~", "yellow"),
    "remove": ("-", "red"),
}
_JOBS: Final[Mapping[str, str]] = {
    "index": "indexed",
    "remove-index": "no longer indexed",
    "unique": "unique",
    "remove-unique": "no longer unique",
    "required": "required",
    "remove-required": "optional",
    "check-data-type": "type",
    "remove-data-type": "any type",
}


@dataclass(frozen=True, slots=True)
class Item:
    """One line of a plan.

    name    `todos.title`, `todos.owner -> $users.todos`, or the path in the rules
    job     rows may contradict it: it runs as a job, which can fail
    """

    deed: Deed
    name: str
    detail: str = ""
    job: str | None = None

    def to_json(self) -> dict[str, Any]:
        return {"deed": self.deed, "name": self.name, "detail": self.detail, "job": self.job}


@dataclass(slots=True)
class Plan:
    """What a push would do.

    steps   of the schema, as the server applies them; None: no schema is pushed
    rules   the rules to push; None: they are as they are
    """

    steps: list[Any] | None = None
    rules: dict[str, Any] | None = None
    schema_items: list[Item] = field(default_factory=list)
    rules_items: list[Item] = field(default_factory=list)

    @property
    def is_empty(self) -> bool:
        return not self.steps and self.rules is None

    @property
    def removed(self) -> list[Item]:
        """What is lost with its values."""
        return [item for item in self.schema_items if item.deed == "remove"]

    def to_json(self) -> dict[str, Any]:
        return {
            "schema": [item.to_json() for item in self.schema_items],
            "rules": [item.to_json() for item in self.rules_items],
        }

    def lines(self) -> Iterator[str]:
        """The plan for people."""
        for title, items in (("schema", self.schema_items), ("rules", self.rules_items)):
            if items:
                yield title
                texts = aligned([(printable(each.name), _detail(each)) for each in items])
                for item, text in list(zip(items, texts, strict=True))[:LINES_MAX]:
                    mark, color = _MARKS[item.deed]
                    yield click.style(f"  {mark} {text}", fg=color)
                if len(items) > LINES_MAX:
                    yield f"  … and {len(items) - LINES_MAX:,} more"


def _detail(item: Item) -> str:
    return printable(item.detail) + (" (job)" if item.job is not None else "")


# --- schema ---------------------------------------------------------------------------------------


def schema_items(steps: Sequence[Any], attrs: Mapping[str, Any]) -> list[Item]:
    """Steps for people.

    attrs   the attrs of the app as they are, by id
    """
    items = []
    for kind, given in steps:
        if kind == "add-attr":
            if given["forward-identity"][2] != "id":
                items.append(Item("add", attr_name(given), ", ".join(_properties(given))))
            elif not any(etype_of(each) == etype_of(given) for each in attrs.values()):
                items.append(Item("add", etype_of(given), "namespace"))
        elif kind == "delete-attr":
            attr = attrs[given]
            if attr["forward-identity"][2] == "id":
                items.append(Item("remove", etype_of(attr), "namespace, with its entities"))
            else:
                what = "link" if attr["value-type"] == "ref" else "values"
                items.append(Item("remove", attr_name(attr), f"with its {what}"))
        elif kind == "update-attr":
            items.append(_updated(attrs[given["id"]], given))
        else:
            name = ".".join(given["forward-identity"][1:])
            detail = _JOBS.get(kind, kind)
            if kind == "check-data-type":
                detail += f" {given['checked-data-type']}"
            items.append(Item("change", name, detail, job=kind))
    return items


def _updated(known: Mapping[str, Any], wanted: Mapping[str, Any]) -> Item:
    if attr_name(wanted) != attr_name(known):
        return Item("rename", attr_name(known), f"is called {attr_name(wanted)}")
    before, after = _properties(known), _properties(wanted)
    return Item("change", attr_name(wanted), f"{', '.join(before)} -> {', '.join(after)}")


def etype_of(attr: Mapping[str, Any]) -> str:
    """The namespace of an attr."""
    etype: str = attr["forward-identity"][1]
    return etype


def attr_name(attr: Mapping[str, Any]) -> str:
    """An attr as plans call it."""
    name = ".".join(attr["forward-identity"][1:])
    reverse = attr.get("reverse-identity")
    return name if reverse is None else f"{name} -> {'.'.join(reverse[1:])}"


def _properties(attr: Mapping[str, Any]) -> list[str]:
    if attr["value-type"] == "ref":
        found = [f"has {attr['cardinality']}", f"reverse {'one' if attr['unique?'] else 'many'}"]
        found += ["onDelete cascade"] * bool(attr.get("on-delete"))
        found += ["reverse onDelete cascade"] * bool(attr.get("on-delete-reverse"))
    else:
        found = [attr.get("checked-data-type") or "any type"]
        found += ["unique"] * bool(attr["unique?"]) + ["indexed"] * bool(attr["index?"])
    return [*found, *["required"] * bool(attr.get("required?"))]


def schema_lines(view: Mapping[str, Any]) -> list[str]:
    """The schema of an app for people: what it has made, by namespace."""
    blobs = (attr for attrs in view["blobs"].values() for attr in attrs.values())
    own = [attr for attr in (*blobs, *view["refs"].values()) if attr["catalog"] != "system"]
    lines: list[str] = []
    for etype in sorted({etype_of(attr) for attr in own}):
        lines.append(click.style(printable(etype), bold=True))
        shown = [
            (printable(attr_name(attr).removeprefix(f"{etype}.")), ", ".join(_properties(attr)))
            for attr in sorted(own, key=lambda attr: str(attr["forward-identity"][2]))
            if etype_of(attr) == etype and attr["forward-identity"][2] != "id"
        ]
        lines += [f"  {line}" for line in aligned(shown)]
    return lines


def removed_ids(view: Mapping[str, Any], document: Mapping[str, Any]) -> list[str]:
    """Ids of the attrs that an app has made and a schema does not have: links first, ids last."""
    entities, links = document["entities"], document.get("links") or {}
    sides = [
        (link["forward"]["on"], link["forward"]["label"])
        for link in links.values()
        if isinstance(link, dict) and isinstance(link.get("forward"), dict)
        if {"on", "label"} <= link["forward"].keys()
    ]
    linked = {
        side["on"]
        for link in links.values()
        if isinstance(link, dict)
        for side in (link.get("forward"), link.get("reverse"))
        if isinstance(side, dict) and "on" in side
    }
    gone = [
        attr["id"]
        for attr in view["refs"].values()
        if attr["catalog"] != "system" and tuple(attr["forward-identity"][1:]) not in sides
    ]
    ids = []
    for etype, attrs in view["blobs"].items():
        entity = entities.get(etype)
        kept = entity.get("attrs") if isinstance(entity, dict) else None
        for label, attr in attrs.items():
            if attr["catalog"] == "system":
                continue
            if label == "id":
                ids += [attr["id"]] * (etype not in entities and etype not in linked)
            elif not isinstance(kept, dict) or label not in kept:
                gone.append(attr["id"])
    return [*gone, *ids]


# --- other names ----------------------------------------------------------------------------------


def with_old_names(document: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    """A schema in which what has another name is called as in the app, for the server to plan.

    names    new names by old ones, both `todos.title`; also of the reverse side of a link
    raises   UsageError for a new name that is not in the schema, and an old one that still is
    """
    entities = {
        etype: {**entity, "attrs": dict(entity["attrs"])}
        if isinstance(entity, dict) and isinstance(entity.get("attrs"), dict)
        else entity
        for etype, entity in document["entities"].items()
    }
    links = copy.deepcopy(document.get("links") or {})
    sides = [
        side
        for link in links.values()
        if isinstance(link, dict)
        for side in (link.get("forward"), link.get("reverse"))
        if isinstance(side, dict)
    ]
    for old, new in names.items():
        (etype, old_label), (new_etype, new_label) = _in_two(old), _in_two(new)
        if etype != new_etype:
            raise click.UsageError(f"--rename: {old} cannot move to another namespace.")
        attrs = entities[etype].get("attrs", {}) if isinstance(entities.get(etype), dict) else {}
        found = [side for side in sides if _side_name(side) == (etype, new_label)]
        if old_label in attrs or any(_side_name(side) == (etype, old_label) for side in sides):
            raise click.UsageError(f"--rename: {old} is still in the schema.")
        if new_label in attrs:
            attrs[old_label] = attrs.pop(new_label)
        elif found:
            found[0]["label"] = old_label
        else:
            raise click.UsageError(f"--rename: {new} is not in the schema.")
    return {**document, "entities": entities, "links": links}


def with_new_names(
    steps: Sequence[Any], attrs: Mapping[str, Any], names: Mapping[str, str]
) -> list[Any]:
    """The steps to a schema under old names, with those that give the new ones.

    raises   UsageError for an old name that the app does not have
    """
    made = list(steps)
    for old, new in names.items():
        known, key = _find_named(attrs, old)
        at = next(
            (
                at
                for at, (kind, given) in enumerate(made)
                if kind == "update-attr" and given["id"] == known["id"]
            ),
            None,
        )
        wanted = dict(known if at is None else made[at][1])
        wanted[key] = [*known[key][:2], _in_two(new)[1]]
        if at is None:
            made.insert(0, ["update-attr", wanted])
        else:
            made[at] = ["update-attr", wanted]
    return made


def _find_named(attrs: Mapping[str, Any], name: str) -> tuple[Any, str]:
    for key in ("forward-identity", "reverse-identity"):
        for attr in attrs.values():
            is_named = key in attr and tuple(attr[key][1:]) == _in_two(name)
            if is_named and attr["catalog"] != "system" and attr[key][2] != "id":
                return attr, key
    raise click.UsageError(f"--rename: the app has no {name} of its own.")


def _side_name(side: Mapping[str, Any]) -> tuple[Any, Any]:
    return side.get("on"), side.get("label")


def _in_two(name: str) -> tuple[str, str]:
    etype, _, label = name.partition(".")
    return etype, label


# --- rules ----------------------------------------------------------------------------------------


def rules_items(before: Any, after: Any) -> list[Item]:
    """What differs between two rules documents, by path."""
    old, new = dict(_leaves(before or {}, ())), dict(_leaves(after or {}, ()))
    items = []
    for path in [*new, *(path for path in old if path not in new)]:
        name = ".".join(path)
        if path not in old:
            items.append(Item("add", name, printable(new[path])))
        elif path not in new:
            items.append(Item("remove", name, printable(old[path])))
        elif new[path] != old[path]:
            items.append(Item("change", name, f"{printable(old[path])} -> {printable(new[path])}"))
    return items


def _leaves(document: Any, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Any]]:
    if isinstance(document, dict) and (document or not path):
        for key, value in document.items():
            yield from _leaves(value, (*path, str(key)))
    else:
        yield path, document
