"""Steps → writes on known entities: lookups answered, links read, deletes spread by cascades.

Reads only. Everything is judged against the data before the transaction, but a lookup also finds
what the transaction itself is about to create. A little over 500 lines, one file because the entity
that a lookup finds decides what every step becomes.

source   instant-semantics §3.3, §3.5, §3.7; spec/transact.md T10-T26
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from trice.catalog.attr import Attr
from trice.catalog.catalog import Catalog
from trice.catalog.check import check_value
from trice.catalog.values import Cell, encode_cell
from trice.errors import InvalidInput, invalid
from trice.protocol.ids import AttrId, EntityId, find_uuid_bytes, uuid_text
from trice.runtime import Runtime, new_key_bytes
from trice.store.engine import WriteTx
from trice.transact import stored
from trice.transact.attrs import unknown_attr
from trice.transact.cascade import EntityKey, cascade
from trice.transact.parse import find_lookup
from trice.transact.steps import (
    AddTriple,
    DeepMerge,
    DeleteEntity,
    Increment,
    Lookup,
    RetractTriple,
    RuleParams,
    Subject,
    TripleStep,
)
from trice.transact.writes import Key, Missed, Op, Write

DataStep = TripleStep | DeleteEntity | RuleParams
_TRIPLE_STEPS: Final = (AddTriple, RetractTriple, DeepMerge, Increment)
_OPS: Final[dict[type, Op]] = {
    AddTriple: "add",
    DeepMerge: "merge",
    Increment: "increment",
    RetractTriple: "retract",
}
_NOBODY: Final = EntityId(bytes(16))
"""Stands for the entity that a lookup did not find. Compare by `is`: a caller may send this id."""


@dataclass(slots=True)
class Resolved:
    """A transaction ready to be judged and applied.

    writes    by op, in list order
    deletes   entities by namespace, cascades included, each with the entity a step named: the
              first from which a cascade reached it, or itself. A namespace may be empty: lookups
              found nobody in it
    groups    ops in the order in which each first appears
    params    `ruleParams` for each entity; empty unless judged
    missed    what steps were to do to nobody; empty unless judged
    fault     what makes the transaction impossible, to be raised after everything that the rules
              refuse; unless judged it is raised at once
    """

    writes: dict[Op, list[Write]] = field(default_factory=dict)
    deletes: dict[str, dict[EntityId, EntityKey]] = field(default_factory=dict)
    groups: list[Op] = field(default_factory=list)
    params: dict[EntityKey, Mapping[str, Any]] = field(default_factory=dict)
    missed: list[Missed] = field(default_factory=list)
    fault: InvalidInput | None = None

    def missed_links(self) -> set[tuple[AttrId, EntityId]]:
        """Links that were not made because their lookups found nobody: attr and source."""
        links = (missed.link for missed in self.missed if missed.op != "retract")
        return {(link.attr.id, link.entity) for link in links if link is not None}

    def named(self) -> set[EntityId]:
        """Every entity that a step names, without cascades."""
        found = {write.entity for writes in self.writes.values() for write in writes}
        for deleted in self.deletes.values():
            found.update(root[1] for root in deleted.values())
        return found


def resolve(
    tx: WriteTx,
    catalog: Catalog,
    steps: Sequence[DataStep],
    *,
    runtime: Runtime,
    is_judged: bool = False,
) -> Resolved:
    """Read the steps on data against the catalog and the data.

    is_judged   rules will be asked: `params` and `missed` are filled
    raises      InvalidInput("sql-raise") for an unknown attr, InvalidInput("validation-failed") for
                impossible lookups and link values, LimitExceeded for a cascade that is too large
    cost        1 µs a step; one statement for 64 lookups of an attr, and for each cascading link
                and level
    """
    resolved = Resolved()
    lookups = _Lookups(tx, catalog, runtime, is_judged=is_judged)
    lookups.load(steps)
    deletes: list[DeleteEntity] = []
    for step in steps:
        if isinstance(step, _TRIPLE_STEPS):
            _add_write(resolved, step, lookups, is_judged=is_judged)
        elif isinstance(step, DeleteEntity):
            if not deletes:
                resolved.groups.append("delete")
            deletes.append(step)
        elif is_judged:
            _add_params(resolved.params, step, lookups)
    resolved.fault = resolved.fault or lookups.fault
    if deletes:
        resolved.deletes = _deleted(tx, catalog, deletes, lookups)
        for subject in (step.subject for step in deletes if is_judged):
            if isinstance(subject, Lookup) and lookups.finds_nobody(subject):
                etype = lookups.find_stored(subject)[0].etype
                resolved.missed.append(Missed("delete", etype, 0))
    return resolved


def _add_write(resolved: Resolved, step: TripleStep, lookups: _Lookups, *, is_judged: bool) -> None:
    """Add the write of a step, if there is one."""
    op = _OPS[type(step)]
    group = resolved.writes.get(op)
    if group is None:
        group = resolved.writes[op] = []
        resolved.groups.append(op)
    write = lookups.write(op, step)
    is_by_lookup = is_judged and not isinstance(step.subject, bytes)
    is_missed = is_by_lookup and _is_missed(write) and lookups.finds_nobody(step.subject)
    if is_missed and write is not None and write.attr.is_ref:
        resolved.missed.append(Missed(op, write.attr.etype, len(group), write, is_source=True))
        if write.value is not _NOBODY:
            if write.entity is not _NOBODY:
                group.append(write)  # for its mode, which is checked after the rules
        elif op != "retract":
            resolved.fault = resolved.fault or lookups.no_target(step)
        return
    if write is not None and write.value is _NOBODY:
        assert write.attr.reverse is not None
        if op != "retract":
            fault = lookups.no_target(step)
            if not is_judged:
                raise fault
            resolved.fault = resolved.fault or fault
        if is_judged:
            missed = Missed(op, write.attr.reverse.etype, len(group), write)
            resolved.missed.append(missed)
        return
    if is_missed:
        attr = lookups.attr(step.attr_id)
        # To remove another entity's id does nothing, whatever the lookup finds.
        if write is not None or not attr.is_id:
            resolved.missed.append(Missed(op, attr.etype, len(group)))
    if write is not None:
        group.append(write)


class _Lookups:
    """The lookups of one transaction and the entities they mean.

    Holds the entity that has each value in the data (`_stored`), or that a step on a known entity
    gives the value (`_pending`); and the ids of entities that lookups make (`_made`) or that a mode
    keeps them from making (`_kept`). The latter are nobody to all but their own writes.

    fault   see `Resolved.fault`
    """

    def __init__(self, tx: WriteTx, catalog: Catalog, runtime: Runtime, *, is_judged: bool) -> None:
        self.fault: InvalidInput | None = None
        self._is_judged = is_judged
        self._tx = tx
        self._attrs = catalog.by_id
        self._runtime = runtime
        self._stored: dict[tuple[AttrId, Cell], EntityId] = {}
        self._pending: dict[tuple[AttrId, Cell], EntityId] = {}
        self._made: dict[tuple[AttrId, Cell], EntityId] = {}
        self._kept: dict[tuple[AttrId, Cell], EntityId] = {}

    def load(self, steps: Sequence[DataStep]) -> None:
        """Answer every lookup in `steps`; give ids to the entities that writes will create."""
        is_judged = self._is_judged
        subjects: list[tuple[Lookup, bool]] = []
        wanted: dict[AttrId, dict[Cell, None]] = {}
        for step in steps:
            subject = step.subject
            if not isinstance(subject, bytes) and (is_judged or not isinstance(step, RuleParams)):
                self._want(subject, wanted)
                if isinstance(step, (AddTriple, DeepMerge, Increment)):
                    subjects.append((subject, step.mode != "update" or not is_judged))
            if isinstance(step, _TRIPLE_STEPS) and type(step.value) is list:
                target = find_lookup(step.value) if self.attr(step.attr_id).is_ref else None
                if target is not None:
                    self._want(target, wanted)
        if not wanted:
            return
        for attr_id, cells in wanted.items():
            attr = self._attrs[attr_id]
            for cell, entity in self._tx.stored.find_holders(attr, tuple(cells)).items():
                self._stored[attr_id, cell] = entity
        self._foresee(steps, wanted)
        for lookup, may_make in subjects:
            attr, cell = self._key(lookup)
            if attr.is_id or self._find(attr, cell) is not None:
                continue
            key = (attr.id, cell)
            fresh = self._made.get(key) or self._kept.pop(key, None)
            if fresh is None:
                fresh = EntityId(new_key_bytes(self._runtime))
            is_made = may_make or key in self._made
            (self._made if is_made else self._kept)[key] = fresh

    def attr(self, attr_id: AttrId) -> Attr:
        attr = self._attrs.get(attr_id)
        if attr is None or attr.deleted_ms is not None:
            raise unknown_attr(attr_id)
        return attr

    def find_stored(self, lookup: Lookup) -> tuple[Attr, EntityId | None]:
        """The lookup's attr, and the entity that has its value before the transaction."""
        attr, cell = self._key(lookup)
        if attr.is_id:
            return attr, _as_id(cell)
        return attr, self._stored.get((attr.id, cell))

    def finds_nobody(self, subject: Subject) -> bool:
        """Whether it is a lookup whose value no entity has before the transaction."""
        return isinstance(subject, Lookup) and self.find_stored(subject)[1] is None

    def find_named(self, subject: Subject, etype: str) -> EntityId | None:
        """The entity of `etype` that a subject names: stored, or made by this transaction."""
        if not isinstance(subject, Lookup):
            return subject
        attr, cell = self._key(subject)
        _check_namespace(attr, etype)
        if attr.is_id:
            return _as_id(cell)
        return self._find(attr, cell) or self._find_made(attr, cell)

    def write(self, op: Op, step: TripleStep) -> Write | None:
        """The write a step means; None when it removes from an entity that does not exist.

        A link whose target is a lookup that finds nobody has the value `_NOBODY`. Where rules are
        asked, a link that is removed from such a source has the entity `_NOBODY`.
        """
        attr = self.attr(step.attr_id)
        mode = None if isinstance(step, RetractTriple) else step.mode
        subject = step.subject
        value = step.value
        key: Key | None = None
        is_new = False
        if isinstance(subject, bytes):
            entity = subject
        else:
            key = self._key(subject)
            _check_namespace(key[0], attr.etype)
            if key[0].is_id:
                entity = _as_id(key[1])
                key = None
            else:
                found = self._find(*key)
                if found is None and op != "retract":
                    found = self._find_made(*key)
                if found is None and not (self._is_judged and attr.is_ref):
                    return None
                entity = found or _NOBODY
                is_new = op != "retract" and (key[0].id, key[1]) not in self._stored
                if is_new and key[0].id == attr.id and op != "retract":
                    value = self._own_value(key, subject, value, is_whole=op != "increment")
        if attr.is_ref:
            if op in ("merge", "increment"):
                message = f"{op} operation is not supported for links"
                raise invalid("tx-step", value, [{"message": f"{message}: `{attr.name}`."}])
            value = self._target(attr, entity, value, is_retract=op == "retract")
        elif attr.is_id and not _is_own_id(entity, subject, value):
            if op == "retract":
                return None
            # A caller that names the entity by a lookup may not know its id.
            told = f": {uuid_text(entity)}" if isinstance(subject, bytes) else ""
            message = f"`{attr.name}` of an entity is its own id{told}."
            fault = invalid("tx-step", value, [{"message": message}])
            if isinstance(subject, bytes):
                raise fault
            self._tell_later(fault)
        return Write(op, attr, entity, value, mode, key, is_new)

    def _target(self, attr: Attr, entity: EntityId, raw: Any, *, is_retract: bool) -> EntityId:
        """The target of a link, or `_NOBODY` for a lookup that finds nothing."""
        direct = find_uuid_bytes(raw)
        if direct is not None:
            return direct
        lookup = find_lookup(raw)
        if lookup is None:
            raise stored.no_link_value(attr, entity, raw)
        by, cell = self._key(lookup)
        assert attr.reverse is not None
        _check_namespace(by, attr.reverse.etype)
        if by.is_id:
            return _as_id(cell)
        found = self._find(by, cell)
        if found is None and not is_retract:
            found = self._made.get((by.id, cell))
        return found or _NOBODY

    def no_target(self, step: TripleStep) -> InvalidInput:
        """The fault of a link to a lookup that finds nobody."""
        lookup = find_lookup(step.value)
        assert lookup is not None
        by = self.attr(lookup.attr_id)
        return invalid(
            "lookup",
            {
                "attribute-id": by.id,
                "namespace": by.etype,
                "label": by.label,
                "value": lookup.value,
            },
            [{"message": "The entity for the lookup does not exist."}],
        )

    def _want(self, lookup: Lookup, wanted: dict[AttrId, dict[Cell, None]]) -> None:
        attr, cell = self._key(lookup)
        if not attr.is_id:
            wanted.setdefault(attr.id, {})[cell] = None

    def _key(self, lookup: Lookup) -> Key:
        """The unique attr of a lookup and the cell to look for."""
        attr = self.attr(lookup.attr_id)
        value = lookup.value
        if attr.is_id or attr.is_ref:
            if not attr.is_unique:
                raise _not_unique_attr(attr, value)
            found = find_uuid_bytes(value)
            if found is None:
                shown = str(value)[:100].encode("utf-8", "replace").decode()
                message = f"Invalid lookup '{shown}' on `{attr.name}`: it is not a valid UUID."
                raise invalid("tx-steps", None, [{"expected": "uuid?", "message": message}])
            return attr, found
        if not attr.is_unique:
            raise _not_unique_attr(attr, value)
        if value is None:
            message = (
                f"Invalid lookup on `{attr.name}`: any number of entities may have null there."
            )
            raise invalid("lookup", None, [{"message": message}])
        check_value(attr, value, _NOBODY)
        return attr, encode_cell(value, is_indexed=True)

    def _find_made(self, attr: Attr, cell: Cell) -> EntityId | None:
        key = (attr.id, cell)
        return self._made.get(key) or self._kept.get(key)

    def _find(self, attr: Attr, cell: Cell) -> EntityId | None:
        key = (attr.id, cell)
        return self._stored.get(key) or self._pending.get(key)

    def _foresee(self, steps: Sequence[DataStep], wanted: dict[AttrId, dict[Cell, None]]) -> None:
        """Find lookups that the transaction's own steps on known entities will answer."""
        missing = {
            (attr_id, cell)
            for attr_id, cells in wanted.items()
            for cell in cells
            if (attr_id, cell) not in self._stored
        }
        if not missing:
            return
        for step in steps:
            if not isinstance(step, AddTriple) or step.attr_id not in wanted:
                continue
            if isinstance(step.subject, Lookup):
                continue
            attr = self._attrs[step.attr_id]
            cell: Cell = find_uuid_bytes(step.value)
            if not attr.is_ref:
                check_value(attr, step.value, step.subject)
                cell = encode_cell(step.value, is_indexed=True)
            if (attr.id, cell) in missing:
                self._pending[attr.id, cell] = step.subject

    def _tell_later(self, fault: InvalidInput) -> None:
        """Keep a fault that depends on what a lookup finds; the rules may refuse before it."""
        if not self._is_judged:
            raise fault
        self.fault = self.fault or fault

    def _own_value(self, key: Key, subject: Lookup, value: Any, *, is_whole: bool) -> Any:
        """The lookup's value, for the entity that the lookup makes. Another `value` is a fault, and
        so is a part of one (`is_whole`): the new entity has the value it was looked up by."""
        attr, wanted = key
        given: Cell = find_uuid_bytes(value)
        if not attr.is_ref:
            check_value(attr, value, _NOBODY)
            given = encode_cell(value, is_indexed=True)
        if given != wanted or not is_whole:
            message = (
                "Updates with lookups can only update the lookup attribute if an entity with the "
                "unique attribute value already exists."
            )
            self._tell_later(invalid("tx-step", {"attribute": attr.name}, [{"message": message}]))
        return subject.value


def _is_missed(write: Write | None) -> bool:
    """Whether a write does nothing because its lookup found nobody. A caller that may not change
    such entities must not learn from this that none exists."""
    if write is None or write.entity is _NOBODY:
        return True
    is_user = write.key is not None and write.key[0].is_system
    return write.is_new and (write.mode == "update" or is_user)


def _add_params(
    params: dict[EntityKey, Mapping[str, Any]], step: RuleParams, lookups: _Lookups
) -> None:
    """Note parameters for an entity; later ones are merged over earlier ones."""
    entity = lookups.find_named(step.subject, step.etype)
    if entity is not None:
        key = (step.etype, entity)
        params[key] = {**params.get(key, {}), **step.params}


def _deleted(
    tx: WriteTx, catalog: Catalog, steps: Sequence[DeleteEntity], lookups: _Lookups
) -> dict[str, dict[EntityId, EntityKey]]:
    """The entities to delete, by namespace, with everything that cascades from them."""
    roots: dict[str, dict[EntityId, EntityKey]] = {}
    anywhere: dict[EntityId, None] = {}
    for step in steps:
        entity: EntityId | None
        if isinstance(step.subject, Lookup):
            attr, entity = lookups.find_stored(step.subject)
            # The rules of its namespace are asked even if the lookup finds nobody.
            roots.setdefault(attr.etype, {})
            if step.etype is not None:
                _check_namespace(attr, step.etype)
        else:
            entity = step.subject
        if entity is None:
            continue
        if step.etype is None:
            anywhere[entity] = None
        else:
            roots.setdefault(step.etype, {})[entity] = (step.etype, entity)
    if anywhere:
        ids = tuple(anywhere)
        for etype, namespace in catalog.namespaces.items():
            found: set[EntityId] = set()
            if namespace.has_rows:
                found.update(tx.stored.find_present(namespace, ids))
            for attr in namespace.pairs:
                found.update(tx.stored.find_linked(attr, ids))
            if found:
                named = roots.setdefault(etype, {})
                named.update((entity, (etype, entity)) for entity in ids if entity in found)
    return cascade(tx, catalog, roots)


def _as_id(cell: Cell) -> EntityId:
    """The id that a lookup by an id attr names."""
    assert isinstance(cell, bytes)
    return EntityId(cell)


def _is_own_id(entity: EntityId, subject: Any, value: Any) -> bool:
    """Whether `value` names `entity`: its id as text, or the lookup that found it."""
    if find_uuid_bytes(value) == entity:
        return True
    return type(subject) is Lookup and find_lookup(value) == subject


def _check_namespace(by: Attr, etype: str) -> None:
    if by.etype != etype:
        message = (
            "Invalid transaction: the namespace in the lookup attribute is different from the "
            f"namespace of the entity: `{by.name}` cannot find an entity of `{etype}`."
        )
        raise invalid("tx-step", {"attribute": by.name, "etype": etype}, [{"message": message}])


def _not_unique_attr(attr: Attr, value: Any) -> InvalidInput:
    message = f"`{attr.label}` is not a unique attribute on `{attr.etype}`"
    return invalid("lookup", {"attribute-id": attr.id, "value": value}, [{"message": message}])
