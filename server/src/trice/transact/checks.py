"""What a transaction must satisfy besides its form: modes, system columns, required attrs.

source   instant-semantics §3.4, §3.8, §3.9; spec/transact.md T50-T62
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import Any, assert_never

from trice import limits
from trice.catalog.attr import Attr
from trice.catalog.catalog import Catalog, Namespace
from trice.catalog.system import WRITABLE
from trice.catalog.values import NULL
from trice.errors import InvalidInput, invalid
from trice.protocol.ids import AttrId, EntityId, uuid_text
from trice.store.engine import WriteTx
from trice.transact.draft import Draft, DraftRow
from trice.transact.parse import admin_only
from trice.transact.resolve import Resolved
from trice.transact.steps import (
    AddAttr,
    AttrStep,
    DeleteAttr,
    PendAttr,
    RemoveAttr,
    RestoreAttr,
    SettleAttr,
    UpdateAttr,
)
from trice.transact.writes import Write

_SERVER_OWNED = ("$files", "$streams", "$jobs", "$hooks")


def check_attr_steps(steps: Sequence[AttrStep], *, is_admin: bool) -> None:
    """Let only admins change, delete and restore attrs, in whatever form the steps were sent."""
    for step in () if is_admin else steps:
        match step:
            case AddAttr():
                pass
            case UpdateAttr() | RestoreAttr():
                raise admin_only("update")
            case DeleteAttr():
                raise admin_only("delete")
            case PendAttr() | SettleAttr() | RemoveAttr():
                raise admin_only("change")  # no client can send one
            case _:
                assert_never(step)


def check_modes(resolved: Resolved, draft: Draft) -> None:
    """Refuse to create what exists and to update what does not exist, before the transaction.

    Entities that the transaction deletes before it creates them again do not count as existing.
    """
    deleted: Mapping[str, Mapping[EntityId, object]] = {}
    present: dict[EntityId, None] = {}
    absent: dict[EntityId, None] = {}
    for op in resolved.groups:
        if op == "delete":
            deleted = resolved.deletes
            continue
        for write in resolved.writes[op]:
            if write.mode is None:
                continue
            row = draft.find(write.attr.etype, write.entity)
            is_there = row is not None and row.old is not None
            if write.mode == "update" and not is_there:
                absent[write.entity] = None
            is_deleted = write.entity in deleted.get(write.attr.etype, {})
            if write.mode == "create" and is_there and not is_deleted:
                present[write.entity] = None
    if present:
        raise _refused(f"Creating entities that exist: {_listed(present)}")
    if absent:
        raise _refused(f"Updating entities that don't exist: {_listed(absent)}")


def check_guards(resolved: Resolved, draft: Draft, *, is_admin: bool) -> None:
    """Refuse writes to system entities and columns that the caller may not write.

    Entities that a lookup would make, because it found nobody, are left to `check_new_guards`.
    """
    if not is_admin:
        for etype in resolved.deletes:
            if etype.startswith("$") and etype != "$files":
                raise _refused(
                    f"{etype} is a system entity. You aren't allowed to delete this directly."
                )
    for writes in resolved.writes.values():
        for write in writes:
            is_closed = write.attr.is_system and write.attr.forward.name not in WRITABLE
            if is_admin or not write.is_new or is_closed:
                _check_write(write, draft, is_admin=is_admin)


def check_new_guards(resolved: Resolved, draft: Draft) -> None:
    """The guards of entities that lookups would make; not for admins.

    They run after the rules: a refusal before these would reveal which users exist.
    """
    for writes in resolved.writes.values():
        for write in writes:
            if write.is_new:
                _check_write(write, draft, is_admin=False)


def _check_write(write: Write, draft: Draft, *, is_admin: bool) -> None:
    if write.attr.is_system:
        _check_column(write, write.attr, draft, is_admin=is_admin)
    if write.is_new and write.key is not None and write.key[0].is_system:
        _check_column(write, write.key[0], draft, is_admin=is_admin)


def _check_column(write: Write, attr: Attr, draft: Draft, *, is_admin: bool) -> None:
    etype = attr.etype
    if attr.forward.name not in WRITABLE:
        if not is_admin or etype in _SERVER_OWNED:
            raise _refused(
                f"{attr.name} is a system column. You aren't allowed to change this directly."
            )
        return
    if attr.label == "path":
        texts = (write.value, write.key[1] if write.key is not None else None)
        if any(isinstance(text, str) and text.startswith("$stream/") for text in texts):
            raise _refused("The path for stream files can't be edited.")
    if is_admin or etype != "$users":
        return
    if write.op == "retract":
        raise _refused("$users is a system entity. You aren't allowed to delete this directly.")
    row = draft.find(etype, write.entity)
    if row is None or row.old is None or row.old_created is None:
        raise _refused("$users is a system entity. You aren't allowed to create this directly.")


def check_required(
    tx: WriteTx, catalog: Catalog, draft: Draft, *, named_by: Resolved | None
) -> None:
    """Refuse touched entities that lack a required attr or, while they have one, their id.

    Runs after everything is written.

    named_by   its steps name the entities that the caller knows; ids of other entities are not
               told. None: all ids are told
    """
    records: list[dict[str, Any]] = []
    for etype in {*draft.rows, *draft.sources}:
        namespace = catalog.namespaces.get(etype)
        if namespace is None or not namespace.required:
            continue
        sources = draft.sources.get(etype, set())
        rows = draft.load(etype, sources)
        touched = [row for row in rows.values() if row.is_touched or row.id in sources]
        named = None if named_by is None else named_by.named()
        # A link whose lookup found nobody is no lacking value: its own fault is raised last.
        missed = set() if named_by is None else named_by.missed_links()
        records.extend(_lacking(tx, namespace, touched, named, missed=missed))
    if not records:
        return
    groups: dict[str, list[str | None]] = {}
    for record in records:
        groups.setdefault(f"{record['etype']}/{record['label']}", []).append(record["entity-id"])
    texts = [_missing(attribute, ids) for attribute, ids in groups.items()]
    raise InvalidInput(
        "validation-failed",
        ". ".join(texts),
        {"data-type": "tx-step", "records": records[: limits.ERROR_SAMPLES_MAX]},
    )


def _lacking(
    tx: WriteTx,
    namespace: Namespace,
    touched: list[DraftRow],
    named: AbstractSet[EntityId] | None,
    *,
    missed: AbstractSet[tuple[AttrId, EntityId]],
) -> Iterable[dict[str, Any]]:
    ids = tuple(row.id for row in touched)
    if not ids:
        return
    columns = [(attr, namespace.index[attr.id]) for attr in namespace.required if not attr.is_pairs]
    linked: dict[Attr, set[EntityId]] = {
        attr: tx.stored.find_linked(attr, ids) for attr in namespace.required if attr.is_pairs
    }
    for row in touched:
        lacking = [attr for attr, at in columns if row.cells[at] is None or row.cells[at] == NULL]
        lacking += [attr for attr, sources in linked.items() if row.id not in sources]
        if row.created is None and len(lacking) == len(namespace.required):
            continue
        labels = [attr.label for attr in lacking if (attr.id, row.id) not in missed]
        if row.created is None:
            labels.append("id")
        is_told = named is None or row.id in named
        for label in labels:
            told = uuid_text(row.id) if is_told else None
            yield {"etype": namespace.etype, "label": label, "entity-id": told}


def _missing(attribute: str, ids: list[str | None]) -> str:
    """One sentence of the error. None in `ids` is an entity that loses a link, and is not told."""
    told = [one for one in ids if one is not None]
    if not told:
        return f"Missing required attribute `{attribute}` of entities that would lose their link"
    shown = ", ".join(told[: limits.ERROR_SAMPLES_MAX])
    rest = len(ids) - min(len(told), limits.ERROR_SAMPLES_MAX)
    more = f" and {rest} more" if rest > 0 else ""
    return f"Missing required attribute `{attribute}`: {shown}{more}"


def _listed(entities: Iterable[EntityId]) -> str:
    ids = [uuid_text(entity) for entity in entities]
    shown = ", ".join(ids[: limits.ERROR_SAMPLES_MAX])
    rest = len(ids) - limits.ERROR_SAMPLES_MAX
    return f"{shown} and {rest} more" if rest > 0 else shown


def _refused(message: str) -> InvalidInput:
    return invalid("tx-step", None, [{"message": message}])
