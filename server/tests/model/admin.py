"""The admin form of steps written out as the steps of a websocket, attrs invented. No I/O.

Follows instant-http §3.3 and instant-semantics §3.1, for uuids and `["attr", value]` lookups.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from model.state import Attr, Model, is_ref
from model.transact import Step

NewUuid = Callable[[], str]


class _Expansion:
    """Steps collected so far, and the attrs known once they have run."""

    def __init__(self, model: Model, new_uuid: NewUuid) -> None:
        self.known = Model(model.attrs.values())
        self.new_uuid = new_uuid
        self.attrs: list[Step] = []
        self.steps: list[Step] = []

    def invent(self, etype: str, label: str, **flags: Any) -> Attr:
        attr: Attr = {
            "id": self.new_uuid(),
            "forward-identity": [self.new_uuid(), etype, label],
            "value-type": "blob",
            "cardinality": "one",
            "unique?": False,
            "index?": False,
            "required?": False,
            **flags,
        }
        self.known.attrs[attr["id"]] = attr
        self.attrs.append(["add-attr", attr])
        return attr

    def id_attr(self, etype: str) -> Attr:
        return self.known.forward(etype, "id") or self.invent(etype, "id", **{"unique?": True})

    def field(self, etype: str, label: str) -> Attr:
        return self.known.forward(etype, label) or self.invent(etype, label)

    def link(self, etype: str, label: str) -> Attr:
        found = self.known.forward(etype, label) or self.known.reverse(etype, label)
        if found is not None:
            return found
        reverse = [self.new_uuid(), label, etype]
        flags = {"value-type": "ref", "cardinality": "many", "reverse-identity": reverse}
        return self.invent(etype, label, **flags)

    def entity(self, etype: str, given: Any) -> Any:
        """A uuid as it is, a lookup with its label turned into the attr's id."""
        if isinstance(given, str):
            return given
        label, value = next(iter(given.items())) if isinstance(given, dict) else given
        found = self.known.forward(etype, label)
        if found is None:
            found = self.invent(etype, label, **{"unique?": True, "index?": True})
        return [found["id"], value]


def expand(model: Model, steps: list[Step], *, new_uuid: NewUuid) -> list[Step]:
    """Turn `[op, etype, id, args, opts?]` into triples, invented attrs first."""
    expansion = _Expansion(model, new_uuid)
    for op, etype, given, *rest in steps:
        args = rest[0] if rest else {}
        opts = rest[1] if len(rest) > 1 else {}
        entity = expansion.entity(etype, given)
        if op == "delete":
            expansion.steps.append(["delete-entity", entity, etype])
        elif op in ("link", "unlink"):
            _expand_links(expansion, op, etype, entity, args)
        else:
            _expand_values(expansion, op, etype, entity, args, opts)
    return [*expansion.attrs, *expansion.steps]


def _expand_values(
    expansion: _Expansion, op: str, etype: str, entity: Any, args: dict[str, Any], opts: Any
) -> None:
    is_update = op in ("update", "merge", "increment") and (opts or {}).get("upsert") is False
    mode = {"mode": "create"} if op == "create" else {"mode": "update"} if is_update else None
    tail = [mode] if mode else []
    id_attr = expansion.id_attr(etype)
    expansion.steps.append(["add-triple", entity, id_attr["id"], entity, *tail])
    name = {"merge": "deep-merge-triple", "increment": "increment-triple"}.get(op, "add-triple")
    for label, value in args.items():
        if label != "id":
            attr = expansion.field(etype, label)
            expansion.steps.append([name, entity, attr["id"], value, *tail])


def _expand_links(
    expansion: _Expansion, op: str, etype: str, entity: Any, args: dict[str, Any]
) -> None:
    name = "add-triple" if op == "link" else "retract-triple"
    if not isinstance(entity, str):
        id_attr = expansion.id_attr(etype)
        expansion.steps.append(["add-triple", entity, id_attr["id"], entity])
    for label, given in args.items():
        attr = expansion.link(etype, label)
        assert is_ref(attr)
        is_forward = attr["forward-identity"][1:] == [etype, label]
        far = attr["reverse-identity" if is_forward else "forward-identity"][1]
        is_list = isinstance(given, list) and not _is_lookup(expansion, far, given)
        for one in given if is_list else [given]:
            there = expansion.entity(far, one)
            pair = [entity, attr["id"], there] if is_forward else [there, attr["id"], entity]
            expansion.steps.append([name, *pair])


def _is_lookup(expansion: _Expansion, etype: str, given: list[Any]) -> bool:
    attr = expansion.known.forward(etype, str(given[0])) if given else None
    return len(given) == 2 and attr is not None and bool(attr["unique?"])
