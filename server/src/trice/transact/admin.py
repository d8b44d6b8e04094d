"""The high-level steps of the admin API → steps. No I/O, except that it makes fresh ids.

    ["create" | "update" | "merge", etype, eid, {label: value}, opts?]
    ["link" | "unlink", etype, eid, {label: eid | [eid, …]}]
    ["delete", etype, eid]   ["ruleParams", etype, eid, object]
    ["add-attr", attr]       ["delete-attr", id]
    eid := uuid | [attr, value] | {attr: value} | "lookup__attr__<JSON>"

Attrs that are missing are created in the same transaction, unless the caller forbids it.

source   instant-http §3.3; spec/transact.md T90-T100
"""

from __future__ import annotations

from typing import Any, Final, NoReturn

import orjson

from trice.catalog.attr import Attr, AttrName
from trice.catalog.catalog import Catalog
from trice.catalog.check import check_name
from trice.errors import InvalidInput, invalid
from trice.protocol.ids import AttrId, find_uuid_bytes, uuid_text
from trice.protocol.quoting import bare, quote
from trice.runtime import Runtime, new_key
from trice.transact.parse import check_amount, check_count
from trice.transact.parse_attr import AttrReader
from trice.transact.steps import (
    AddAttr,
    AddTriple,
    DeepMerge,
    DeleteAttr,
    DeleteEntity,
    Increment,
    Lookup,
    Mode,
    RetractTriple,
    RuleParams,
    Step,
    Subject,
)

_DATA_TYPE: Final = "steps"
_LOOKUP_TEXT: Final = "lookup__"


def expand_admin_steps(
    steps: Any, catalog: Catalog, *, throw_on_missing_attrs: bool, runtime: Runtime
) -> list[Step]:
    """Turn the admin API's steps into low-level ones.

    steps                   decoded JSON of any shape
    throw_on_missing_attrs  refuse labels the catalog does not have instead of adding them
    returns                 new attrs first, then the rest in order
    raises                  InvalidInput("validation-failed", data-type "steps"), LimitExceeded
    """
    if not isinstance(steps, list):
        raise _malformed(steps, "coll?", [], "The steps of a transaction must be an array.")
    check_count(len(steps))
    expansion = _Expansion(catalog, runtime)
    for position, raw in enumerate(steps):
        expansion.expand(raw, position)
    if throw_on_missing_attrs and expansion.missing:
        hint = {"attributes": sorted(expansion.missing)}
        message = "Attributes are missing in your schema"
        raise invalid(_DATA_TYPE, None, [{"message": message, "hint": hint}], message=message)
    found: list[Step] = [*expansion.attrs, *expansion.steps]
    check_count(len(found))
    return found


class _Expansion:
    """One list of steps while it is expanded.

    attrs     steps that add attrs, given or implied
    steps     steps on data
    missing   names of implied attrs, `etype.label`
    """

    def __init__(self, catalog: Catalog, runtime: Runtime) -> None:
        self.attrs: list[AddAttr | DeleteAttr] = []
        self.steps: list[Step] = []
        self.missing: dict[str, None] = {}
        self._catalog = catalog
        self._runtime = runtime
        self._forward: dict[tuple[str, str], Attr] = {}
        self._reverse: dict[tuple[str, str], Attr] = {}

    def expand(self, raw: Any, position: int) -> None:
        """Expand one step."""
        if not isinstance(raw, list) or not raw:
            raise _malformed(raw, "coll?", [position], "A step must be an array: [op, …].")
        op = raw[0]
        if op in ("add-attr", "delete-attr") and len(raw) == 2:
            self._expand_attr(op, raw[1], position)
            return
        if not isinstance(op, str) or op not in _ACTIONS:
            self._unsupported(op, position)
        if len(raw) not in (4, 5) and not (op == "delete" and len(raw) == 3):
            message = f"`{op}` is [op, namespace, id, arguments, options?]."
            raise _malformed(raw, "count", [position], message)
        etype = check_name(raw[1], what="namespace", data_type=_DATA_TYPE, path=[position, 1])
        if op == "delete":
            self.steps.append(DeleteEntity(self._subject(raw[2], etype, [position, 2]), etype))
            return
        arguments = raw[3]
        if not isinstance(arguments, dict):
            raise _malformed(arguments, "map?", [position, 3], "Arguments must be an object.")
        for label in arguments:
            check_name(label, what="label", data_type=_DATA_TYPE, path=[position, 3])
        if op == "ruleParams":
            subject = self._subject(raw[2], etype, [position, 2])
            self.steps.append(RuleParams(subject, etype, arguments))
        elif op in ("link", "unlink"):
            self._expand_links(op, etype, raw[2], arguments, position)
        else:
            mode = self._mode(op, raw[4] if len(raw) == 5 else None, position)
            self._expand_values(op, etype, raw[2], arguments, mode, position)

    def _unsupported(self, op: Any, position: int) -> NoReturn:
        shown = bare(op)
        known = ", ".join((*_ACTIONS, "add-attr", "delete-attr"))
        message = f"Unsupported action {shown}. Accepted are {known}."
        raise invalid(
            "action", shown, [{"message": message, "expected": "action?", "in": [position, 0]}]
        )

    def _expand_attr(self, op: str, raw: Any, position: int) -> None:
        path: list[Any] = [position, 1]
        if op == "delete-attr":
            found = find_uuid_bytes(raw)
            if found is None:
                raise _malformed(raw, "uuid?", path, "An attr id must be a uuid.")
            self.attrs.append(DeleteAttr(AttrId(uuid_text(found))))
            return
        reader = AttrReader(raw, data_type=_DATA_TYPE, path=path)
        attr = reader.attr()
        self._remember(attr)
        self.attrs.append(AddAttr(attr, reader.is_unsynced()))

    def _expand_values(
        self,
        op: str,
        etype: str,
        eid: Any,
        arguments: dict[str, Any],
        mode: Mode | None,
        position: int,
    ) -> None:
        subject = self._subject(eid, etype, [position, 2])
        self._add_id(etype, subject, mode)
        make = _VALUE_STEPS[op]
        for label, value in arguments.items():
            if label == "id":
                continue
            attr = self._find(etype, label)
            if attr is None:
                reverse = self._find_reverse(etype, label)
                if reverse is not None:
                    message = f"`{label}` is a link of `{etype}`: use link and unlink, not {op}."
                    raise _malformed(label, "attr?", [position, 3, label], message)
                attr = self._create(etype, label)
            if op == "increment":
                check_amount(value, data_type=_DATA_TYPE, path=[position, 3, label])
            elif attr.is_ref and value is not None and op != "merge":
                value = self._link_value(value, _target_etype(attr), [position, 3, label])
            self.steps.append(make(subject, attr.id, value, mode))

    def _expand_links(
        self, op: str, etype: str, eid: Any, arguments: dict[str, Any], position: int
    ) -> None:
        subject = self._subject(eid, etype, [position, 2])
        if isinstance(subject, Lookup):
            self._add_id(etype, subject, None)
        else:
            self._id_attr(etype)
        for label, targets in arguments.items():
            if label == "id":
                continue
            path: list[Any] = [position, 3, label]
            listed = _listed(targets)
            attr, is_forward = self._link(etype, label, listed, path)
            other = _target_etype(attr) if is_forward else attr.etype
            for target in listed:
                end = self._subject(target, other, path)
                source, value = (
                    (subject, _as_value(end)) if is_forward else (end, _as_value(subject))
                )
                if op == "link":
                    self.steps.append(AddTriple(source, attr.id, value))
                else:
                    self.steps.append(RetractTriple(source, attr.id, value))

    def _link(
        self, etype: str, label: str, targets: list[Any], path: list[Any]
    ) -> tuple[Attr, bool]:
        """The link that `etype` calls `label`, and whether `etype` is its source."""
        attr = self._find(etype, label)
        if attr is not None:
            if not attr.is_ref:
                message = f"`{attr.name}` is a field, not a link: use update."
                raise _malformed(label, "link?", path, message)
            return attr, True
        reverse = self._find_reverse(etype, label)
        if reverse is not None:
            return reverse, False
        is_by_lookup = any(find_uuid_bytes(target) is None for target in targets)
        return self._create_link(etype, label, is_single=is_by_lookup), True

    def _mode(self, op: str, options: Any, position: int) -> Mode | None:
        if options is not None and not isinstance(options, dict):
            raise _malformed(options, "map?", [position, 4], "Options must be an object.")
        upsert = (options or {}).get("upsert")
        if upsert is not None and not isinstance(upsert, bool):
            message = "`upsert` must be true or false."
            raise _malformed(upsert, "boolean?", [position, 4, "upsert"], message)
        if op == "create":
            return "create"
        return "update" if upsert is False else None

    # --- ids and lookups ------------------------------------------------------------------------

    def _subject(self, raw: Any, etype: str, path: list[Any]) -> Subject:
        """Read an entity id or a lookup in any of its three spellings."""
        found = find_uuid_bytes(raw)
        if found is not None:
            return found
        if isinstance(raw, str) and raw.startswith(_LOOKUP_TEXT):
            label, separator, text = raw.removeprefix(_LOOKUP_TEXT).partition("__")
            if not separator:
                raise _malformed(raw, "lookup?", path, "lookup value is invalid")
            try:
                value = orjson.loads(text)
            except orjson.JSONDecodeError:
                raise _malformed(raw, "lookup?", path, "lookup value is invalid") from None
            return self._lookup(label, value, etype, path)
        if isinstance(raw, dict):
            if len(raw) != 1:
                message = "lookup must be an object with a single unique attr and value."
                raise _malformed(raw, "lookup?", path, message)
            (label, value), *_ = raw.items()
            return self._lookup(label, value, etype, path)
        if isinstance(raw, list) and len(raw) == 2:
            return self._lookup(raw[0], raw[1], etype, path)
        message = f"Invalid entity ID '{bare(raw)}'. Entity IDs must be UUIDs or lookup references."
        raise _malformed(raw, "uuid?", path, message)

    def _lookup(self, label: Any, value: Any, etype: str, path: list[Any]) -> Lookup:
        if not isinstance(label, str) or not label:
            raise _malformed(
                label, "attr?", path, f"{quote(label)} is not a valid lookup attribute."
            )
        known = find_uuid_bytes(label)
        attr = self._find(etype, label)
        if attr is None and known is not None:
            attr = self._find_by_id(AttrId(uuid_text(known)))
        if attr is None and "." in label:
            attr = self._link_lookup(label, etype, path)
        if attr is None:
            check_name(label, what="label", data_type=_DATA_TYPE, path=path)
            attr = self._create(etype, label, is_lookup=True)
        if not attr.is_unique:
            message = f"`{attr.label}` is not a unique attribute on `{attr.etype}`"
            raise _malformed(label, "unique?", path, message)
        if value is None:
            raise _malformed(value, "lookup?", path, "lookup value is invalid")
        return Lookup(attr.id, value)

    def _link_lookup(self, label: str, etype: str, path: list[Any]) -> Attr:
        """The link of a lookup such as `author.id`."""
        link, _, last = label.rpartition(".")
        if last != "id" or not link:
            raise _malformed(label, "attr?", path, f"{label} is not a valid lookup attribute.")
        check_name(link, what="label", data_type=_DATA_TYPE, path=path)
        attr = self._find(etype, link)
        if attr is None:
            return self._create_link(etype, link, is_single=True)
        if not attr.is_ref:
            raise _malformed(label, "attr?", path, f"{label} is not a valid lookup attribute.")
        return attr

    def _link_value(self, raw: Any, etype: str, path: list[Any]) -> Any:
        """The target of a link given among the values of create or update."""
        return _as_value(self._subject(raw, etype, path))

    def _add_id(self, etype: str, subject: Subject, mode: Mode | None) -> None:
        id_attr = self._id_attr(etype)
        self.steps.append(AddTriple(subject, id_attr.id, _as_value(subject), mode))

    # --- attrs ----------------------------------------------------------------------------------

    def _find(self, etype: str, label: str) -> Attr | None:
        return self._forward.get((etype, label)) or self._catalog.find_forward(etype, label)

    def _find_reverse(self, etype: str, label: str) -> Attr | None:
        return self._reverse.get((etype, label)) or self._catalog.find_reverse(etype, label)

    def _find_by_id(self, attr_id: AttrId) -> Attr | None:
        known = self._catalog.by_id.get(attr_id)
        return known or next((a for a in self._forward.values() if a.id == attr_id), None)

    def _id_attr(self, etype: str) -> Attr:
        return self._find(etype, "id") or self._create(etype, "id")

    def _create(self, etype: str, label: str, *, is_lookup: bool = False) -> Attr:
        return self._implied(
            Attr(
                id=AttrId(new_key(self._runtime)),
                forward=AttrName(new_key(self._runtime), etype, label),
                reverse=None,
                value_type="blob",
                cardinality="one",
                is_unique=is_lookup or label == "id",
                is_indexed=is_lookup and label != "id",
            )
        )

    def _create_link(self, etype: str, label: str, *, is_single: bool) -> Attr:
        """A link that is not declared: its target namespace is taken to be named like its label."""
        return self._implied(
            Attr(
                id=AttrId(new_key(self._runtime)),
                forward=AttrName(new_key(self._runtime), etype, label),
                reverse=AttrName(new_key(self._runtime), label, etype),
                value_type="ref",
                cardinality="one" if is_single else "many",
                is_unique=is_single,
                is_indexed=is_single,
            )
        )

    def _implied(self, attr: Attr) -> Attr:
        self._remember(attr)
        self.missing[attr.name] = None
        # As if a client had invented it: if another transaction adds the name first, that wins.
        self.attrs.append(AddAttr(attr, is_unsynced=True))
        return attr

    def _remember(self, attr: Attr) -> None:
        self._forward.setdefault(attr.forward.name, attr)
        if attr.reverse is not None:
            self._reverse.setdefault(attr.reverse.name, attr)


_VALUE_STEPS: Final[dict[str, type[AddTriple | DeepMerge | Increment]]] = {
    "create": AddTriple,
    "update": AddTriple,
    "merge": DeepMerge,
    "increment": Increment,
}
_ACTIONS: Final = (*_VALUE_STEPS, "link", "unlink", "delete", "ruleParams")


def _listed(targets: Any) -> list[Any]:
    """The targets of a link step. `[label, value]` alone is one lookup, not two targets."""
    if not isinstance(targets, list):
        return [targets]
    is_lookup = (
        len(targets) == 2
        and isinstance(targets[0], str)
        and find_uuid_bytes(targets[0]) is None
        and not targets[0].startswith(_LOOKUP_TEXT)
    )
    return [targets] if is_lookup else targets


def _target_etype(attr: Attr) -> str:
    assert attr.reverse is not None
    return attr.reverse.etype


def _as_value(subject: Subject) -> Any:
    """A subject written as the value of a link."""
    if isinstance(subject, Lookup):
        return [subject.attr_id, subject.value]
    return uuid_text(subject)


def _malformed(given: Any, expected: str, path: list[Any], message: str) -> InvalidInput:
    return invalid(_DATA_TYPE, given, [{"expected": expected, "in": path, "message": message}])
