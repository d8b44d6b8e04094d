"""InstaML over the model's triples: what a transaction does and why it is refused. No I/O.

Follows instant-semantics §3.3-3.8 in the websocket form of steps. A refusal carries every code a
server may answer with, for the reference does not say which of several faults is named first.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import combinations
from typing import Any

from model.state import Attr, Model, is_ref
from model.values import MISSING, is_of_type, is_same, json_bytes

Step = list[Any]
NewId = Callable[[str, Any], str]
"""(lookup attr id, value) -> id of the entity that an upsert through a lookup creates."""

WRITES = ("add-triple", "deep-merge-triple", "increment-triple")
INFERRED = ("number", "string", "boolean", "json")


class Rejected(Exception):
    """The transaction is refused.

    codes   what the server may answer
    """

    def __init__(self, codes: set[str]) -> None:
        super().__init__(", ".join(sorted(codes)))
        self.codes = codes


def transact(model: Model, steps: list[Step], *, now_ms: int, new_id: NewId) -> Model:
    """Apply `steps` to a copy of the model and return it, or raise Rejected."""
    return _Transaction(model, now_ms, new_id).run(steps)


class _Transaction:
    """One transaction: the state before, the state it builds, the faults found on the way."""

    def __init__(self, before: Model, now_ms: int, new_id: NewId) -> None:
        self.before = before
        self.after = before.copy()
        self.now_ms = now_ms
        self.new_id = new_id
        self.faults: set[str] = set()
        self.touched: set[tuple[str, str]] = set()
        self.invented: dict[str, str] = {}

    def run(self, steps: list[Step]) -> Model:
        for step in steps:
            if step[0] == "add-attr":
                self.add_attr(step[1])
        if self.faults:
            raise Rejected(self.faults)
        self.check_modes(steps)
        if self.faults:
            raise Rejected(self.faults)
        for op in dict.fromkeys(step[0] for step in steps):
            for step in steps:
                if step[0] == op:
                    self.apply(step)
        self.check_unique()
        self.check_required()
        if self.faults:
            raise Rejected(self.faults)
        return self.after

    # --- attrs -----------------------------------------------------------------------------

    def add_attr(self, given: Attr) -> None:
        attr = {key: value for key, value in given.items() if key != "isUnsynced"}
        for flag in ("unique?", "index?", "required?"):
            attr.setdefault(flag, False)
        known = self.after.attrs.get(attr["id"])
        if known is not None:
            if any(known.get(key) != value for key, value in attr.items()):
                self.faults.add("sql-raise")
            return
        for side in ("forward-identity", "reverse-identity"):
            if side in attr:
                _, etype, label = attr[side]
                if self.after.forward(etype, label) or self.after.reverse(etype, label):
                    self.faults.add("record-not-unique")
        if attr["required?"] and self.before.entities(attr["forward-identity"][1]):
            self.faults.add("validation-failed")
        self.after.attrs[attr["id"]] = {"inferred-types": None, **attr}

    # --- before the writes -----------------------------------------------------------------

    def check_modes(self, steps: list[Step]) -> None:
        """Create needs an entity that is not there, update one that is, before any write.

        What the transaction deletes before its first write may be created again.
        """
        ops = [step[0] for step in steps]
        is_delete_first = "delete-entity" in ops and not any(
            op in WRITES for op in ops[: ops.index("delete-entity")]
        )
        doomed = self.doomed_by(steps) if is_delete_first else set()
        for step in steps:
            if step[0] not in WRITES or len(step) < 5:
                continue
            mode = (step[4] or {}).get("mode")
            attr = self.after.attrs.get(step[2])
            if attr is None or mode not in ("create", "update"):
                continue
            entity = step[1] if isinstance(step[1], str) else self.find(*step[1])
            etype = attr["forward-identity"][1]
            is_there = entity is not None and self.before.has_row(entity, etype)
            is_deleted = mode == "create" and (entity, etype) in doomed
            if (is_there and not is_deleted) is (mode == "create"):
                self.faults.add("validation-failed")

    def find(self, attr_id: str, value: Any) -> str | None:
        """The entity that a lookup names, before the transaction."""
        attr = self.before.attrs.get(attr_id)
        if attr is None:
            return None
        for (entity, owner), stored in self.before.ones.items():
            if owner == attr_id and is_same(stored, value):
                return entity
        return None

    # --- the writes ------------------------------------------------------------------------

    def apply(self, step: Step) -> None:
        match step:
            case ["delete-entity", *_]:
                for entity, etype in self.doomed_by([step]):
                    self.remove(entity, etype)
            case [op, *rest] if op in WRITES:
                self.write(op, *rest[:3])
            case ["retract-triple", entity, attr_id, value]:
                self.retract(entity, attr_id, value)
            case _:
                assert step[0] in ("add-attr", "rule-params")

    def subject(self, given: Any) -> str:
        """The entity of a step; a lookup that finds nothing makes one with the lookup's value."""
        if isinstance(given, str):
            return given
        attr_id, value = given
        found = self.find(attr_id, value)
        if found is not None:
            return found
        key = repr((attr_id, value))
        if key not in self.invented:
            attr = self.after.attrs[attr_id]
            is_id = attr["forward-identity"][2] == "id"
            self.invented[key] = value if is_id else self.new_id(attr_id, value)
            self.set_one(self.invented[key], attr, value)
        return self.invented[key]

    def named(self, lookup: list[Any]) -> str | None:
        """The entity of a lookup in the place of a target: there before, or made by this one."""
        attr_id, value = lookup
        return self.find(attr_id, value) or self.invented.get(repr((attr_id, value)))

    def write(self, op: str, given: Any, attr_id: str, value: Any) -> None:
        attr = self.after.attrs.get(attr_id)
        if attr is None:
            self.faults.add("sql-raise")
            return
        entity = self.subject(given)
        if is_ref(attr):
            self.write_link(entity, attr, value, is_add=op == "add-triple")
            return
        if attr["forward-identity"][2] == "id":
            value = entity
        stored = self.after.ones.get((entity, attr_id), MISSING)
        if op == "deep-merge-triple":
            value = merged(stored, value)
        elif op == "increment-triple" and stored is not MISSING and stored is not None:
            if not is_of_type(stored, "number"):
                self.faults.add("validation-failed")
                return
            value += stored
        too_large = (attr["index?"] or attr["unique?"]) and json_bytes(value) > 1012
        if not is_of_type(value, attr.get("checked-data-type")) or too_large:
            self.faults.add("validation-failed")
            return
        self.set_one(entity, attr, value)

    def write_link(self, entity: str, attr: Attr, value: Any, *, is_add: bool) -> None:
        target = self.named(value) if isinstance(value, list) else value
        if not is_add or target is None:
            self.faults.add("validation-failed")
            return
        if attr["cardinality"] == "one":
            self.set_one(entity, attr, target)
            return
        self.touch(entity, attr)
        key = (attr["id"], entity, target)
        # A pair taken away and given back by one transaction never was away.
        self.after.many.setdefault(key, self.before.many.get(key, self.now_ms))

    def set_one(self, entity: str, attr: Attr, value: Any) -> None:
        """Store a value of cardinality one; an equal value is no change and keeps its form."""
        self.touch(entity, attr)
        key = (entity, attr["id"])
        if not is_same(self.after.ones.get(key, MISSING), value):
            self.after.ones[key] = value
        _, etype, label = attr["forward-identity"]
        if label == "id":
            self.after.created.setdefault((entity, etype), self.now_ms)
        if not is_ref(attr):
            self.infer(attr, value)

    def infer(self, attr: Attr, value: Any) -> None:
        if value is None:
            return
        kinds: dict[type, str] = {bool: "boolean", str: "string", int: "number", float: "number"}
        kind = kinds.get(type(value), "json")
        seen = {*(attr.get("inferred-types") or ()), kind}
        self.after.attrs[attr["id"]] = {
            **self.after.attrs[attr["id"]],
            "inferred-types": [name for name in INFERRED if name in seen],
        }

    def touch(self, entity: str, attr: Attr) -> None:
        self.touched.add((entity, attr["forward-identity"][1]))

    def retract(self, given: Any, attr_id: str, value: Any) -> None:
        attr = self.after.attrs[attr_id]
        entity = given if isinstance(given, str) else self.find(*given)
        target = self.find(*value) if isinstance(value, list) and is_ref(attr) else value
        if entity is None or target is None:
            return
        if attr["cardinality"] == "many":
            is_gone = self.after.many.pop((attr_id, entity, target), None) is not None
        else:
            is_gone = is_same(self.after.ones.get((entity, attr_id), MISSING), target)
            if is_gone:
                self.drop_one(entity, attr)
        if is_gone:
            self.touch(entity, attr)

    def drop_one(self, entity: str, attr: Attr) -> None:
        del self.after.ones[entity, attr["id"]]
        _, etype, label = attr["forward-identity"]
        if label == "id":
            del self.after.created[entity, etype]

    # --- deletes ---------------------------------------------------------------------------

    def doomed_by(self, steps: list[Step]) -> set[tuple[str, str]]:
        """Every (entity, namespace) that the deletes among `steps` take along."""
        doomed: set[tuple[str, str]] = set()
        etypes = {attr["forward-identity"][1] for attr in self.before.attrs.values()}
        for op, *rest in steps:
            if op != "delete-entity":
                continue
            entity = rest[0] if isinstance(rest[0], str) else self.find(*rest[0])
            if entity is None:
                continue
            known = [one for one in sorted(etypes) if self.before.has_triples(entity, one)]
            for one in rest[1:] or known:
                self.doom(entity, one, doomed)
        return doomed

    def doom(self, entity: str, etype: str, doomed: set[tuple[str, str]]) -> None:
        """Collect what a delete takes along, as linked before the transaction."""
        if (entity, etype) in doomed:
            return
        doomed.add((entity, etype))
        for attr in self.before.attrs.values():
            if not is_ref(attr):
                continue
            if attr.get("on-delete") == "cascade" and attr["reverse-identity"][1] == etype:
                for source in self.before.linked(entity, attr, is_forward=False):
                    self.doom(source, attr["forward-identity"][1], doomed)
            if attr.get("on-delete-reverse") == "cascade" and attr["forward-identity"][1] == etype:
                for target in self.before.linked(entity, attr, is_forward=True):
                    self.doom(target, attr["reverse-identity"][1], doomed)

    def remove(self, entity: str, etype: str) -> None:
        for attr in self.after.attrs.values():
            if attr["forward-identity"][1] == etype:
                if (entity, attr["id"]) in self.after.ones:
                    self.drop_one(entity, attr)
                self.drop_pairs(attr, entity, position=1)
            if is_ref(attr) and attr["reverse-identity"][1] == etype:
                for source in self.after.linked(entity, attr, is_forward=False):
                    self.touch(source, attr)
                    self.after.ones.pop((source, attr["id"]), None)
                self.drop_pairs(attr, entity, position=2)
        self.touched.add((entity, etype))

    def drop_pairs(self, attr: Attr, entity: str, *, position: int) -> None:
        for key in list(self.after.many):
            if key[0] == attr["id"] and key[position] == entity:
                del self.after.many[key]

    # --- after the writes ------------------------------------------------------------------

    def check_unique(self) -> None:
        """Judged by what the transaction leaves behind."""
        if any(
            attr["unique?"] and _clashes(self.after, attr) for attr in self.after.attrs.values()
        ):
            self.faults.add("record-not-unique")

    def check_required(self) -> None:
        """Of its id and its required attrs an entity has all, or none: then it is no entity."""
        for entity, etype in self.touched:
            required = [attr for attr in self.after.owned(etype) if attr["required?"]]
            given = {self.is_set(entity, attr) for attr in required}
            if required and given | {self.after.exists(entity, etype)} == {True, False}:
                self.faults.add("validation-failed")

    def is_set(self, entity: str, attr: Attr) -> bool:
        if is_ref(attr):
            return bool(self.after.linked(entity, attr, is_forward=True))
        return self.after.value(entity, attr) not in (None, MISSING)


def _clashes(model: Model, attr: Attr) -> bool:
    """Whether two entities share a non-null value, or a target of a unique link two sources."""
    if attr["cardinality"] == "many":
        values = [target for attr_id, _, target in model.many if attr_id == attr["id"]]
    else:
        values = [value for (_, attr_id), value in model.ones.items() if attr_id == attr["id"]]
    return any(is_same(a, b) for a, b in combinations([v for v in values if v is not None], 2))


def merged(stored: Any, patch: Any) -> Any:
    """`merge` of instant-semantics §3.6."""
    if not isinstance(stored, dict) or not isinstance(patch, dict):
        return patch
    result = dict(stored)
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        elif isinstance(value, dict) and isinstance(result.get(key), dict):
            result[key] = merged(result[key], value)
        else:
            result[key] = value
    return result
