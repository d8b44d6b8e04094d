"""A transaction from steps to Commit: its stages, in order.

    attr steps → lookups, links, cascades → guards → writes by op, in memory → rules → guards of
    entities that lookups would make → modes → disk → required → rules

source   instant-semantics §3.3; spec/transact.md
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, Final

from trice.catalog.attr import INFERRED_BITS, Attr
from trice.catalog.catalog import Catalog
from trice.catalog.check import check_value
from trice.catalog.values import Cell, decode_attr, decode_cell, encode_cell, inferred_bit
from trice.errors import InvalidInput, TriceError
from trice.protocol.ids import AttrId, EntityId, EventId, find_uuid_bytes, uuid_text
from trice.runtime import Runtime
from trice.store.commit import Commit
from trice.store.engine import WriteTx
from trice.transact.attrs import Alias, AttrChanges
from trice.transact.checks import (
    check_attr_steps,
    check_guards,
    check_modes,
    check_new_guards,
    check_required,
)
from trice.transact.draft import Draft, DraftRow, is_equal_cell, must_be_short
from trice.transact.merge import deep_merge
from trice.transact.parse import find_lookup
from trice.transact.permission import Checks, Proposal
from trice.transact.resolve import DataStep, Resolved, resolve
from trice.transact.steps import (
    AddTriple,
    AttrStep,
    DeepMerge,
    DeleteEntity,
    Increment,
    Lookup,
    RetractTriple,
    RuleParams,
    Step,
    Subject,
)
from trice.transact.writes import Write

# The most frequent first: `isinstance` compares with each in turn.
_DATA_STEPS: Final = (AddTriple, RetractTriple, DeepMerge, Increment, DeleteEntity, RuleParams)
_LINK_BIT = INFERRED_BITS["string"]


Hear = Callable[[Resolved, Draft], bool]
"""Returns whether required attrs are checked now."""


def apply(
    tx: WriteTx,
    steps: Sequence[Step],
    *,
    is_admin: bool,
    identity_name: str,
    event_id: EventId | None,
    runtime: Runtime,
    is_internal: bool = False,
    checks: Checks | None = None,
    hear: Hear | None = None,
) -> Commit:
    """Apply a transaction's steps inside an open write.

    is_admin        may change attrs and write system columns (not of `$files`, `$streams`)
    identity_name   who sent it, for the log
    is_internal     the server itself sent it: no guards on `$` namespaces
    checks          judges the transaction; None: it may do anything
    hear            shown what was read and written, once it is; it may leave required attrs to be
                    checked later
    returns         everything that changed; empty when nothing did
    raises          InvalidInput, Conflict, LimitExceeded, what `checks` raises; then the caller
                    must undo what was written
    cost            one read and one write per touched row, plus a few statements per namespace
    """
    attr_steps, data = _split(steps)
    catalog = tx.catalog
    added: Sequence[Attr] = ()
    if attr_steps:
        catalog, added, data = _change_attrs(
            tx, attr_steps, data, is_admin=is_admin, is_internal=is_internal
        )
    is_judged = checks is not None
    resolved = resolve(tx, catalog, data, runtime=runtime, is_judged=is_judged)
    draft = Draft(tx, catalog)
    _load(draft, resolved)
    if not is_internal:
        check_guards(resolved, draft, is_admin=is_admin)
    writer = _Writer(draft, catalog, tx)
    fault = _play(resolved, draft, writer)
    if checks is not None:
        proposal = Proposal(tx, catalog, resolved, draft, added=added)
        checks.before(proposal)
    if not is_admin and not is_internal:
        check_new_guards(resolved, draft)
    check_modes(resolved, draft)
    if fault is not None:
        raise fault
    entities, pairs = draft.flush()
    if hear is None or hear(resolved, draft):
        check_required(tx, catalog, draft, named_by=resolved if is_judged else None)
    if checks is not None:
        checks.after(proposal)
    if resolved.fault is not None:
        # Last, after the same checks as a refusal to link to a hidden entity: they look alike.
        raise resolved.fault
    is_changed = catalog is not tx.catalog
    if writer.inferred:
        catalog = _with_inferred(tx, catalog, writer.inferred)
    return Commit(
        tx=tx.tx,
        time_ms=tx.time_ms,
        identity=identity_name,
        event_id=event_id,
        entities=entities,
        pairs=pairs,
        catalog=catalog,
        is_catalog_changed=is_changed,
    )


def _change_attrs(
    tx: WriteTx,
    steps: list[AttrStep],
    data: list[DataStep],
    *,
    is_admin: bool,
    is_internal: bool,
) -> tuple[Catalog, Sequence[Attr], list[DataStep]]:
    """The catalog after the steps about attrs, the attrs they added, and the other steps by it."""
    check_attr_steps(steps, is_admin=is_admin)
    changes = AttrChanges(tx, is_internal=is_internal)
    changes.run(steps)
    if changes.aliases:
        data = [_aliased(step, changes.aliases) for step in data]
    return changes.catalog, changes.added, data


def _split(steps: Sequence[Step]) -> tuple[list[AttrStep], list[DataStep]]:
    """The steps about attrs, which run first, and the other steps; both keep their order."""
    attr_steps: list[AttrStep] = []
    data: list[DataStep] = []
    for step in steps:
        if isinstance(step, _DATA_STEPS):
            data.append(step)
        else:
            attr_steps.append(step)
    return attr_steps, data


class _Writer:
    """Plays single writes into the draft.

    Holds the types of values that are new to an attr (`inferred`, bits by attr).
    """

    def __init__(self, draft: Draft, catalog: Catalog, tx: WriteTx) -> None:
        self.inferred: dict[AttrId, int] = {}
        self._tx = tx
        self._draft = draft
        self._namespaces = catalog.namespaces
        self._time_ms = tx.time_ms

    def write(self, write: Write) -> None:
        """Add, merge, increment or retract one triple."""
        attr = write.attr
        if write.key is not None and write.op != "retract":
            self._name(write, *write.key)
        if attr.is_pairs:
            is_linked = write.op != "retract"
            self._draft.link(attr, write.entity, write.value, is_linked=is_linked)
            if is_linked:
                self._infer(attr, _LINK_BIT)
            return
        row = self._draft.rows[attr.etype][write.entity]
        row.is_touched = True
        if attr.is_id:
            self._write_id(row, attr, is_removed=write.op == "retract")
            return
        position = self._namespaces[attr.etype].index[attr.id]
        if write.op == "retract":
            if _holds(attr, row, position, write.value, self._tx):
                row.cells[position] = None
        elif attr.is_ref:
            row.cells[position] = write.value
            self._infer(attr, _LINK_BIT)
        else:
            value = write.value
            if write.op == "merge":
                must_be_short(row.cells[position], self._tx)
                stored = decode_cell(row.cells[position], is_indexed=attr.shows_null)
                # The patch is checked alone first: merging recurses, so its depth must be bounded.
                check_value(attr, value, write.entity)
                value = deep_merge(stored, value)
                _check_merged(attr, value, write.entity)
            elif write.op == "increment":
                check_value(attr, value, write.entity)
                value = self._incremented(attr, row, position, value)
            else:
                check_value(attr, value, write.entity)
            row.cells[position] = encode_cell(value, is_indexed=attr.fills_null)
            if write.op != "add":
                row.merged |= {position}
            self._infer(attr, inferred_bit(value))

    def _incremented(self, attr: Attr, row: DraftRow, position: int, amount: float) -> float:
        """The sum of a field and a number. Errors do not repeat what was stored: the caller may not
        see it."""
        must_be_short(row.cells[position], self._tx)
        stored = decode_cell(row.cells[position], is_indexed=True)
        if stored is None:
            return amount
        if type(stored) is not int and type(stored) is not float:
            raise _not_incremented(attr, row.id, "what is stored there is no number")
        try:
            total = stored + amount
            check_value(attr, total, row.id)
        except (InvalidInput, OverflowError):
            raise _not_incremented(attr, row.id, "the sum is out of range") from None
        return total

    def _write_id(self, row: DraftRow, attr: Attr, *, is_removed: bool) -> None:
        if is_removed:
            row.created = None
        elif row.created is None:
            row.created = self._time_ms
            self._infer(attr, _LINK_BIT)

    def _name(self, write: Write, by: Attr, cell: Cell) -> None:
        """Give an entity that a lookup creates the value it was looked up by."""
        if by.is_pairs:
            if write.is_new:
                assert isinstance(cell, bytes)
                self._draft.link(by, write.entity, EntityId(cell), is_linked=True)
            return
        row = self._draft.rows[by.etype][write.entity]
        if not row.has_content:
            row.cells[self._namespaces[by.etype].index[by.id]] = cell
            row.is_touched = True
            self._infer(by, inferred_bit(decode_attr(by, cell)))

    def _infer(self, attr: Attr, bits: int) -> None:
        if bits & ~attr.inferred:
            self.inferred[attr.id] = self.inferred.get(attr.id, attr.inferred) | bits


def _play(resolved: Resolved, draft: Draft, writer: _Writer) -> TriceError | None:
    """Play everything into the draft; return the fault that makes it impossible, None if there is

    none. The fault is raised after rules and modes: it may depend on stored data that the caller
    may not see.
    """
    try:
        for op in resolved.groups:
            if op == "delete":
                for etype, deleted in resolved.deletes.items():
                    if deleted:
                        draft.delete(etype, deleted)
            else:
                for write in resolved.writes[op]:
                    writer.write(write)
    except TriceError as fault:
        return fault
    return None


def _load(draft: Draft, resolved: Resolved) -> None:
    """Read every row that the writes touch or ask about, a namespace at a time."""
    wanted: dict[str, dict[EntityId, None]] = {}
    for writes in resolved.writes.values():
        for write in writes:
            attr = write.attr
            if not attr.is_pairs or write.mode is not None or write.key is not None:
                ids = wanted.get(attr.etype)
                if ids is None:
                    ids = wanted[attr.etype] = {}
                ids[write.entity] = None
    for etype, ids in wanted.items():
        draft.load(etype, ids)


def _check_merged(attr: Attr, value: Any, entity: EntityId) -> None:
    """Refuse the result of a merge. The error does not repeat it: the caller may not see it."""
    try:
        check_value(attr, value, entity)
    except InvalidInput as refusal:
        refusal.hint["value"] = None
        raise


def _not_incremented(attr: Attr, entity: EntityId, reason: str) -> InvalidInput:
    message = f"Cannot increment {attr.name}: {reason}."
    hint = {
        "namespace": attr.etype,
        "attribute": attr.label,
        "attr-id": attr.id,
        "entity-id": uuid_text(entity),
    }
    return InvalidInput("validation-failed", message, hint)


def _holds(attr: Attr, row: DraftRow, position: int, value: Any, tx: WriteTx) -> bool:
    """Whether a column holds exactly `value`: the same target of a link, or equal JSON."""
    cell = row.cells[position]
    if attr.is_ref:
        return bool(cell == value)
    check_value(attr, value, row.id)
    return is_equal_cell(cell, encode_cell(value, is_indexed=attr.fills_null), tx)


def _with_inferred(tx: WriteTx, catalog: Catalog, inferred: dict[AttrId, int]) -> Catalog:
    """The catalog with these inferred types added; clients are not told of it."""
    changed: list[Attr] = []
    for attr_id, bits in inferred.items():
        old = catalog.by_id[attr_id]
        changed.append(tx.attrs.replace(old, replace(old, inferred=bits)))
    return catalog.with_attrs(changed, is_visible=False)


def _aliased(step: DataStep, aliases: dict[AttrId, Alias]) -> DataStep:
    """The step with each attr that its client invented replaced by the attr that stands for it."""
    subject = _aliased_subject(step.subject, aliases)
    match step:
        case RuleParams():
            return RuleParams(subject, step.etype, step.params)
        case DeleteEntity():
            return DeleteEntity(subject, step.etype)
    attr_id, value = step.attr_id, step.value
    target = find_lookup(value)
    if target is not None and target.attr_id in aliases:
        value = [aliases[target.attr_id].attr_id, target.value]
    alias = aliases.get(attr_id)
    if alias is not None:
        attr_id = alias.attr_id
        if alias.is_swapped:
            other = find_uuid_bytes(value) or find_lookup(value)
            if other is not None:
                subject, value = other, _as_value(subject)
    if isinstance(step, RetractTriple):
        return RetractTriple(subject, attr_id, value)
    return type(step)(subject, attr_id, value, step.mode)


def _aliased_subject(subject: Subject, aliases: dict[AttrId, Alias]) -> Subject:
    if isinstance(subject, Lookup) and subject.attr_id in aliases:
        return Lookup(aliases[subject.attr_id].attr_id, subject.value)
    return subject


def _as_value(subject: Subject) -> Any:
    """A subject written as the value of a link."""
    if isinstance(subject, Lookup):
        return [subject.attr_id, subject.value]
    return uuid_text(subject)
