"""A schema document, as clients send it → attrs to add and to change. No I/O, except that it makes
fresh ids.

    {"entities": {ns: {"attrs": {label: {"valueType", "required",
                                         "config": {"indexed", "unique"}}}}},
     "links": {name: {"forward": {"on", "label", "has", "required"?, "onDelete"?},
                      "reverse": {"on", "label", "has", "onDelete"?}}}}

`entities` and the `attrs` of an entity are required, even if they are `{}`: a document without them
is no schema. Other keys (`rooms`, the derived `links` of an entity) are ignored.

source   instant-http §4.5, §4.6; instant-semantics §4.1, §4.2; spec/catalog.md C30-C39
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any, Final

from trice import limits
from trice.catalog.attr import CHECKED_TYPES, Attr, AttrName, CheckedType
from trice.catalog.catalog import Catalog
from trice.catalog.check import check_name
from trice.catalog.system import EXTENSIBLE
from trice.errors import InvalidInput, LimitExceeded, invalid
from trice.protocol.ids import AttrId
from trice.runtime import Runtime, new_key

_UNCHECKED: Final = ("json", "any")
_DATA_TYPE: Final = "schema"
_ACCEPTED: Final = (
    'Accepted is {"entities": {"todos": {"attrs": {"title": {"valueType": "string"}}}}}, with'
    " `links` if there are any."
)


@dataclass(frozen=True, slots=True)
class SchemaDiff:
    """What a schema needs that a catalog does not have. Nothing is ever deleted.

    ids, fields, links   unplaced attrs to add
    changed              attrs of the app as they are, each with the attr that the schema wants
    """

    ids: list[Attr]
    fields: list[Attr]
    links: list[Attr]
    changed: list[tuple[Attr, Attr]]


def plan_schema(document: Any, catalog: Catalog, runtime: Runtime) -> list[Attr]:
    """The attrs that a schema needs and `catalog` lacks: ids first, then fields, then links; as
    `diff_schema`."""
    diff = diff_schema(document, catalog, runtime)
    return [*diff.ids, *diff.fields, *diff.links]


def diff_schema(document: Any, catalog: Catalog, runtime: Runtime) -> SchemaDiff:
    """Compare a schema with the attrs of an app, by names.

    document   decoded JSON of any shape
    raises     InvalidInput("validation-failed", data-type "schema"), LimitExceeded
    """
    if not isinstance(document, dict):
        raise _refused(document, f"a schema must be an object. {_ACCEPTED}")
    plan = _Plan(catalog, runtime)
    for etype, entity in _members(document, "entities", "entities"):
        plan.add_entity(etype, entity)
    for name, link in _members(document, "links", "links"):
        plan.add_link(name, link)
    if document.get("entities") is None:
        raise _refused(document, f"a schema must have `entities`. {_ACCEPTED}")
    return SchemaDiff([*plan.ids.values()], plan.fields, plan.links, plan.changed)


class _Plan:
    """Collects the attrs to add, and the names they take."""

    def __init__(self, catalog: Catalog, runtime: Runtime) -> None:
        self.ids: dict[str, Attr] = {}
        self.fields: list[Attr] = []
        self.links: list[Attr] = []
        self.changed: list[tuple[Attr, Attr]] = []
        self._catalog = catalog
        self._runtime = runtime
        self._taken: set[tuple[str, str]] = set()

    def add_entity(self, etype: str, entity: Any) -> None:
        """Plan one namespace: its id and its fields."""
        _check_namespace(etype)
        self._add_id(etype)
        if not isinstance(entity, dict):
            raise _refused(etype, f"`{etype}` must be an object with `attrs`. {_ACCEPTED}")
        if entity.get("attrs") is None:
            raise _refused(etype, f"`{etype}` must have `attrs`. {_ACCEPTED}")
        for label, field in _members(entity, "attrs", etype):
            self._add_field(etype, label, field)

    def add_link(self, name: str, link: Any) -> None:
        """Plan one link."""
        if not isinstance(link, dict):
            raise _refused(name, f"link `{name}` must be an object with `forward` and `reverse`.")
        forward, reverse = (_Side(name, key, link.get(key)) for key in ("forward", "reverse"))
        existing = [self._catalog.find_name(*side.name) for side in (forward, reverse)]
        if any(attr is not None and attr.is_system for attr in existing):
            return
        shown = f"{forward.on}->{forward.label}"
        for side in (forward, reverse):
            _check_namespace(side.on)
            if side.label == "id":
                raise _refused(name, f"{shown}: a link cannot be called `id`.")
            if side.is_cascade and side.has != "one":
                message = f"{shown}: Cascade delete is only possible on links with `has: 'one'`."
                raise _refused(name, f"{message} `{side.key}.has` of `{name}` is 'many'.")
        self._check_existing(name, forward, reverse)
        for side in (forward, reverse):
            self._take(side.on, side.label)
            self._add_id(side.on)
        required = forward.is_required
        if required and forward.on.startswith("$"):
            raise _refused(name, f"{shown}: links of system tables cannot be required.")
        known = existing[0]
        wanted = Attr(
            id=AttrId(new_key(self._runtime)) if known is None else known.id,
            forward=AttrName(new_key(self._runtime), *forward.name),
            reverse=AttrName(new_key(self._runtime), *reverse.name),
            value_type="ref",
            cardinality="one" if forward.has == "one" else "many",
            is_unique=reverse.has == "one",
            is_indexed=known is not None and known.is_indexed,
            is_required=required,
            on_delete="cascade" if forward.is_cascade else None,
            on_delete_reverse="cascade" if reverse.is_cascade else None,
        )
        if known is not None:
            self._change(known, wanted)
            return
        self.links.append(wanted)
        self._check_count()

    def _change(self, known: Attr, wanted: Attr) -> None:
        """Note how an attr of the app shall be, if it is not so already."""
        wanted = replace(
            wanted, forward=known.forward, reverse=known.reverse, inferred=known.inferred
        )
        if wanted != known:
            self.changed.append((known, wanted))

    def _check_existing(self, name: str, forward: _Side, reverse: _Side) -> None:
        shown = f"{forward.on}->{forward.label}"
        if self._catalog.find_reverse(*forward.name) or self._catalog.find_forward(*reverse.name):
            message = f"{shown}: Conflicting link found for attribute."
            raise _refused(
                name, f"{message} `{forward.on}.{forward.label}` exists in the other direction."
            )
        ours = self._catalog.find_forward(*forward.name)
        theirs = self._catalog.find_reverse(*reverse.name)
        if ours is not theirs or (ours is not None and not ours.is_ref):
            raise _duplicate(name, shown)

    def _add_field(self, etype: str, label: str, field: Any) -> None:
        path = f"{etype}->{label}"
        check_name(label, what="label", data_type=_DATA_TYPE, path=["schema"])
        known = self._catalog.find_name(etype, label)
        if label == "id" or (known is not None and known.is_system):
            return
        if not isinstance(field, dict):
            raise _refused(label, f"{path}: an attribute must be an object with `valueType`.")
        checked = _checked_type(field.get("valueType", "any"), path)
        config = field.get("config")
        config = config if isinstance(config, dict) else {}
        is_required = field.get("required") is True
        if is_required and etype.startswith("$"):
            raise _refused(
                label,
                f"{path}: attributes of system tables must be optional: sign-up and upload "
                "cannot fill them.",
            )
        self._take(etype, label)
        if known is not None and known.is_ref:
            raise _duplicate(label, path)
        wanted = Attr(
            id=AttrId(new_key(self._runtime)) if known is None else known.id,
            forward=AttrName(new_key(self._runtime), etype, label),
            reverse=None,
            value_type="blob",
            cardinality="one",
            is_unique=config.get("unique") is True,
            is_indexed=config.get("indexed") is True,
            is_required=is_required,
            checked_type=checked,
        )
        if known is not None:
            self._change(known, wanted)
            return
        self.fields.append(wanted)
        self._check_count()

    def _add_id(self, etype: str) -> None:
        if etype in self.ids or self._catalog.find_forward(etype, "id") is not None:
            return
        self.ids[etype] = Attr(
            id=AttrId(new_key(self._runtime)),
            forward=AttrName(new_key(self._runtime), etype, "id"),
            reverse=None,
            value_type="blob",
            cardinality="one",
            is_unique=True,
        )
        self._check_count()

    def _take(self, etype: str, label: str) -> None:
        if (etype, label) in self._taken:
            raise _duplicate(label, f"{etype}->{label}")
        self._taken.add((etype, label))

    def _check_count(self) -> None:
        count = len(self._catalog.by_id) + len(self.ids) + len(self.fields) + len(self.links)
        if count > limits.ATTRS_PER_APP_MAX:
            raise LimitExceeded(
                "parameter-limit-exceeded",
                f"The schema has too many attributes: an app may have {limits.ATTRS_PER_APP_MAX}.",
            )


class _Side:
    """One end of a link, checked in form."""

    __slots__ = ("has", "is_cascade", "is_required", "key", "label", "on")

    def __init__(self, name: str, key: str, raw: Any) -> None:
        if not isinstance(raw, dict):
            raise _refused(name, f"link `{name}` needs `{key}`: an object with on, label, has.")
        self.key = key
        self.on = check_name(raw.get("on"), what="namespace", data_type=_DATA_TYPE, path=["schema"])
        self.label = check_name(
            raw.get("label"), what="label", data_type=_DATA_TYPE, path=["schema"]
        )
        self.has = raw.get("has")
        if self.has not in ("one", "many"):
            raise _refused(name, f"link `{name}`: `{key}.has` must be 'one' or 'many'.")
        if raw.get("onDelete") not in (None, "cascade"):
            raise _refused(name, f"link `{name}`: `{key}.onDelete` must be 'cascade' or absent.")
        self.is_cascade = raw.get("onDelete") == "cascade"
        self.is_required = raw.get("required") is True

    @property
    def name(self) -> tuple[str, str]:
        return (self.on, self.label)


def _members(parent: dict[str, Any], key: str, owner: str) -> Iterable[tuple[str, Any]]:
    """The entries of an object that may be absent."""
    members = parent.get(key)
    if members is None:
        return ()
    if not isinstance(members, dict) or not all(isinstance(name, str) for name in members):
        raise _refused(key, f"{owner}: `{key}` must be an object.")
    return members.items()


def _checked_type(value_type: Any, path: str) -> CheckedType | None:
    if value_type in _UNCHECKED:
        return None
    for known in CHECKED_TYPES:
        if value_type == known:
            return known
    accepted = ", ".join((*CHECKED_TYPES, *_UNCHECKED))
    raise _refused(None, f"{path}: valueType must be one of {accepted}.")


def _check_namespace(etype: Any) -> None:
    check_name(etype, what="namespace", data_type=_DATA_TYPE, path=["schema"])
    if etype.startswith("$") and etype not in EXTENSIBLE:
        raise _refused(etype, f"$ is reserved for system tables. You can't create {etype}")


def _duplicate(given: Any, path: str) -> InvalidInput:
    message = (
        f"{path}: Duplicate entry found for attribute. Another attribute or link has this name."
    )
    return _refused(given, message)


def _refused(given: Any, message: str) -> InvalidInput:
    return invalid(_DATA_TYPE, given, [{"in": ["schema"], "message": message}])
