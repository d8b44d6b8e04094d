"""Steps that change attrs: add, update, delete, restore.

They run before the steps on data, in list order, and each sees what the earlier ones did.

source   instant-semantics §1.1, §1.9, §3.8, §4.5; spec/transact.md T70-T85
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, assert_never

from trice import account_limits, limits
from trice.catalog.attr import Attr, AttrName
from trice.catalog.catalog import Catalog
from trice.catalog.system import EXTENSIBLE, SYSTEM_ETYPES
from trice.errors import Conflict, InvalidInput, LimitExceeded, invalid, not_built
from trice.protocol.ids import AttrId
from trice.store.engine import WriteTx
from trice.store.rows import UniqueViolation
from trice.transact import stored
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

_SNAPSHOT: Final = "soft_delete_snapshot"
_PENDABLE: Final = ("is_indexed", "is_unique", "is_required", "checked_type", "cardinality")


@dataclass(frozen=True, slots=True)
class Alias:
    """The attr that stands for an attr that a client invented.

    is_swapped   the link runs the other way: entity and value trade places
    """

    attr_id: AttrId
    is_swapped: bool


class _NewAttrs:
    """Attrs that were added and have no place on disk yet, by their ids and names.

    counts   how many attrs a namespace has, stored ones included, once it was asked
    """

    def __init__(self) -> None:
        self.by_id: dict[AttrId, Attr] = {}
        self.forward: dict[tuple[str, str], Attr] = {}
        self.reverse: dict[tuple[str, str], Attr] = {}
        self.counts: dict[str, int] = {}

    def add(self, attr: Attr) -> None:
        self.by_id[attr.id] = attr
        self.forward[attr.forward.name] = attr
        self.counts[attr.etype] += 1
        if attr.reverse is not None and attr.is_ref:
            self.reverse[attr.reverse.name] = attr


class AttrChanges:
    """Applies attr steps to disk and to the catalog.

    Holds the catalog as the steps so far made it, and which attrs stand for invented ones. Attrs
    that are added in a row are placed together, which costs the store less.

    catalog   the catalog that the steps on data are read against
    aliases   by the id that the client invented
    added     attrs that did not exist before, as the steps describe them
    """

    def __init__(self, tx: WriteTx, *, is_internal: bool) -> None:
        self.catalog: Catalog = tx.catalog
        self.aliases: dict[AttrId, Alias] = {}
        self.added: list[Attr] = []
        self._tx = tx
        self._is_internal = is_internal
        self._new = _NewAttrs()

    def run(self, steps: Sequence[AttrStep]) -> None:
        """Apply the steps, and renew the views for people.

        raises   InvalidInput("validation-failed" | "sql-raise" | "not-built"),
                 Conflict("record-not-unique"), LimitExceeded
        """
        if len(steps) > limits.TX_ATTR_STEPS_MAX:
            raise LimitExceeded(
                "parameter-limit-exceeded",
                f"There are too many parameters in the transaction: {len(steps)} steps change "
                f"attributes, {limits.TX_ATTR_STEPS_MAX} are accepted.",
            )
        for step in steps:
            if not isinstance(step, AddAttr):
                self._place()
            match step:
                case AddAttr():
                    self._add(step)
                case UpdateAttr():
                    self._update(step)
                case DeleteAttr():
                    self._delete(step)
                case RestoreAttr():
                    self._restore(step)
                case PendAttr():
                    self._pend(step)
                case SettleAttr():
                    self._settle(step)
                case RemoveAttr():
                    self._remove(step)
                case _:
                    assert_never(step)
        self._place()
        if self.catalog is not self._tx.catalog:
            self._tx.attrs.settle(self._tx.catalog, self.catalog)

    def _add(self, step: AddAttr) -> None:
        attr = step.attr
        known = self.catalog.by_id.get(attr.id) or self._new.by_id.get(attr.id)
        if known is not None:
            if not _is_same(known, attr):
                raise InvalidInput(
                    "sql-raise",
                    f"An attribute with id = {attr.id} exists already as `{known.name}`, with "
                    "other properties.",
                    {"attr-id": attr.id, "etype": known.etype, "label": known.label},
                )
            return
        if step.is_unsynced and self._find_alias(attr):
            return
        self._check_system(attr)
        self._check_names(attr)
        self._check_room(attr)
        if attr.is_required and attr.etype in self.catalog.namespaces:
            self._place()  # an id attr among them decides which entities there are
        if attr.is_required and self._has_entities(attr.etype):
            message = (
                f"Can't create attribute `{attr.label}` as required because `{attr.etype}` "
                "already have entities"
            )
            raise invalid("attributes", attr.wire(), [{"message": message}])
        self._new.add(attr)

    def _place(self) -> None:
        """Make room on disk for the attrs added since the last time, all at once."""
        if not self._new.by_id:
            return
        attrs, self._new = tuple(self._new.by_id.values()), _NewAttrs()
        placed = self._tx.attrs.create(self.catalog, attrs)
        self.added += placed
        self.catalog = self.catalog.with_attrs(placed)

    def _update(self, step: UpdateAttr) -> None:
        old = self._get(step.attr_id)
        new = replace(old, **step.changes)
        if new == old:
            return
        if old.is_system and not self._is_internal:
            raise _refused(f"{old.name} is a system column. You aren't allowed to change it.")
        self._check_update(old, new)
        if old.pending and any(getattr(old, name) != getattr(new, name) for name in _PENDABLE):
            raise _refused(f"A job is changing {old.name}. Wait for its end, or cancel it.")
        stored.check_existing(self._tx.attrs, self.catalog, old, new)
        self._replace(old, new)

    def _pend(self, step: PendAttr) -> None:
        old = self._get(step.attr_id)
        if step.changes:
            if old.is_system and not self._is_internal:
                raise _refused(f"{old.name} is a system column. You aren't allowed to change it.")
            self._check_update(old, replace(old, **step.changes))
        self._replace(old, replace(old, pending=tuple(step.changes.items())))

    def _settle(self, step: SettleAttr) -> None:
        old = self._get(step.attr_id)
        if dict(old.pending) != dict(step.changes):
            raise _refused(f"{old.name} was changed while a job worked on it.")
        new = replace(old, **step.changes, pending=old.pending if step.stays_pending else ())
        self._check_update(old, new)
        self._replace(old, new)

    def _remove(self, step: RemoveAttr) -> None:
        old = self.catalog.by_id.get(step.attr_id)
        if old is None or old.deleted_ms is None:
            return
        self._tx.attrs.remove(old)
        self.catalog = self.catalog.without(old)

    def _delete(self, step: DeleteAttr) -> None:
        old = self._get(step.attr_id)
        if old.is_system and not self._is_internal:
            raise _refused(f"{old.name} is a system column. You aren't allowed to delete it.")
        id_attr = self.catalog.find_forward(old.etype, "id")
        snapshot = {
            "is_indexed": old.is_indexed,
            "is_required": old.is_required,
            "id_attr_id": None if id_attr is None else id_attr.id,
        }
        prefix = _prefix(old)
        self._replace(
            old,
            replace(
                old,
                forward=_renamed(old.forward, prefix + old.label),
                reverse=old.reverse and _renamed(old.reverse, prefix + old.reverse.label),
                is_indexed=False,
                is_required=False,
                deleted_ms=self._tx.time_ms,
                pending=(),
                metadata={**(old.metadata or {}), _SNAPSHOT: snapshot},
            ),
        )

    def _restore(self, step: RestoreAttr) -> None:
        old = self.catalog.by_id.get(step.attr_id)
        if old is None:
            raise unknown_attr(step.attr_id)
        if old.deleted_ms is None:
            return
        if old.deleted_ms <= self._tx.time_ms - account_limits.DELETED_ATTR_MS:
            raise unknown_attr(step.attr_id)  # its values may be gone already
        prefix = _prefix(old)
        new = replace(
            old,
            forward=_renamed(old.forward, old.label.removeprefix(prefix)),
            reverse=old.reverse and _renamed(old.reverse, old.reverse.label.removeprefix(prefix)),
            deleted_ms=None,
            metadata={k: v for k, v in (old.metadata or {}).items() if k != _SNAPSHOT} or None,
        )
        self._check_names(new)
        self._replace(old, new)

    # --- checks ---------------------------------------------------------------------------------

    def _check_system(self, attr: Attr) -> None:
        """`$` namespaces: only some may be extended, and not by required attrs."""
        if self._is_internal:
            return
        for identity in (attr.forward, attr.reverse):
            if identity is None or not identity.etype.startswith("$"):
                continue
            taken = self._find_name(identity)
            name = f"{identity.etype}.{identity.label}"
            if taken is not None and taken.is_system:
                raise _refused(f"{name} is a system column and it already exists.")
            if identity.etype not in EXTENSIBLE:
                message = "$ is reserved for system tables. "
                if identity.etype in SYSTEM_ETYPES:
                    message += f"You can't add attributes to {identity.etype}"
                else:
                    message += f"You can't create {identity.etype}"
                raise _refused(message)
        if attr.is_required and attr.etype.startswith("$"):
            raise _refused(
                f"You can't create {attr.name} as required: it is on a system table, whose "
                "entities are made without it. Make it optional."
            )

    def _check_names(self, attr: Attr) -> None:
        for identity in (attr.forward, attr.reverse):
            if identity is None:
                continue
            taken = self._find_name(identity)
            if taken is not None and taken.id != attr.id:
                raise _name_taken(identity)

    def _check_room(self, attr: Attr) -> None:
        new = self._new
        if attr.etype not in new.counts:
            others = self.catalog.by_id.values()
            new.counts[attr.etype] = sum(other.etype == attr.etype for other in others)
        if new.counts[attr.etype] >= limits.ATTRS_PER_NAMESPACE_MAX:
            raise _too_many(f"`{attr.etype}`", limits.ATTRS_PER_NAMESPACE_MAX)
        if len(self.catalog.by_id) + len(new.by_id) >= limits.ATTRS_PER_APP_MAX:
            raise _too_many("The app", limits.ATTRS_PER_APP_MAX)

    def _check_update(self, old: Attr, new: Attr) -> None:
        if new.value_type != old.value_type:
            raise not_built(f"Changing `{old.name}` from {old.value_type} to {new.value_type}")
        if new.etype != old.etype:
            raise not_built(f"Moving `{old.name}` to the namespace `{new.etype}`")
        if old.reverse is not None and new.is_ref:
            if new.reverse is None:
                raise _refused(f"The link `{old.name}` must keep its reverse-identity.")
            if new.reverse.etype != old.reverse.etype:
                raise not_built(f"Pointing the link `{old.name}` at `{new.reverse.etype}`")
        if not new.is_ref:
            if new.cardinality != "one":
                raise _refused(f"`{old.name}` is a field: its cardinality is one.")
            if new.reverse is not old.reverse or new.on_delete or new.on_delete_reverse:
                raise _refused(f"`{old.name}` is a field: only links have a reverse and cascades.")
        elif new.checked_type is not None:
            raise _refused(f"`{old.name}` is a link: only fields have a checked-data-type.")
        if (new.label == "id") != (old.label == "id"):
            raise _refused(f"`{old.name}` cannot be renamed to `{new.name}`: `id` is reserved.")
        if new.is_id and (not new.is_unique or new.checked_type not in (None, "string")):
            raise _refused(f"`{old.name}` holds uuids: it stays unique, and its type is string.")
        if new.is_required and old.etype.startswith("$") and not self._is_internal:
            raise _refused(f"{old.name} is on a system table, so it cannot be required.")
        self._check_names(new)

    # --- changes --------------------------------------------------------------------------------

    def _find_alias(self, attr: Attr) -> bool:
        """Find an attr with the name of `attr`, and let it stand for `attr` if values fit. Return
        whether there is one."""
        name = attr.forward.name
        forward = self.catalog.find_forward(*name) or self._new.forward.get(name)
        if forward is not None and forward.value_type == attr.value_type:
            self.aliases[attr.id] = Alias(forward.id, is_swapped=False)
            return True
        reverse = self.catalog.find_reverse(*name) or self._new.reverse.get(name)
        if reverse is not None and attr.is_ref:
            self.aliases[attr.id] = Alias(reverse.id, is_swapped=True)
            return True
        return False

    def _find_name(self, identity: AttrName) -> Attr | None:
        """The attr with this name, attrs still to be made included."""
        name, new = identity.name, self._new
        return self.catalog.find_name(*name) or new.forward.get(name) or new.reverse.get(name)

    def _has_entities(self, etype: str) -> bool:
        namespace = self.catalog.namespaces.get(etype)
        return (
            namespace is not None and namespace.has_rows and self._tx.stored.has_entities(namespace)
        )

    def _replace(self, old: Attr, new: Attr) -> None:
        try:
            placed = self._tx.attrs.replace(old, new)
        except UniqueViolation as shared:
            raise stored.not_unique(new, shared.cell) from None
        self.catalog = self.catalog.with_attrs([placed])

    def _get(self, attr_id: AttrId) -> Attr:
        attr = self.catalog.by_id.get(attr_id)
        if attr is None or attr.deleted_ms is not None:
            raise unknown_attr(attr_id)
        return attr


def unknown_attr(attr_id: AttrId) -> InvalidInput:
    """The error for an attr id that the catalog does not have."""
    return InvalidInput(
        "sql-raise", f"We could not find an attribute with id = {attr_id}", {"attr-id": attr_id}
    )


def _is_same(known: Attr, given: Attr) -> bool:
    """Whether `given` equals `known` in everything that the server does not decide alone."""
    return known == replace(given, inferred=known.inferred, is_system=known.is_system)


def _prefix(attr: Attr) -> str:
    """The prefix of the names of a soft-deleted attr."""
    return f"{attr.id}_deleted$"


def _renamed(identity: AttrName, label: str) -> AttrName:
    return replace(identity, label=label)


def _name_taken(identity: AttrName) -> Conflict:
    return Conflict(
        "record-not-unique",
        f"`{identity.label}` already exists on `{identity.etype}`",
        {"record-type": "ident", "etype": identity.etype, "label": identity.label},
    )


def _refused(message: str) -> InvalidInput:
    entry: dict[str, Any] = {"message": message}
    return invalid("attributes", None, [entry])


def _too_many(owner: str, most: int) -> LimitExceeded:
    return LimitExceeded(
        "parameter-limit-exceeded", f"{owner} has {most} attributes already, the most there can be."
    )
