"""A transaction as rules see it: what it is about to do, what it did, and the checks of both.

`apply` plays a transaction in memory, asks `Checks.before`, writes, and asks `Checks.after`. This
package knows no rules; `rules/writes.py` does.

source   instant-semantics §5.8; spec/rules.md R100-R126
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Protocol

from trice.catalog.attr import Attr
from trice.catalog.catalog import Catalog
from trice.catalog.values import Cell
from trice.protocol.ids import EntityId
from trice.store.engine import Statements, WriteTx
from trice.transact.cascade import EntityKey
from trice.transact.draft import Draft
from trice.transact.resolve import Resolved
from trice.transact.writes import Missed, Write


class Proposal:
    """A transaction played in memory. In `before` only its new attrs are written.

    Rows are read once; those that the steps name are loaded already. An entity *existed* if any
    value of cardinality one was stored for it, as modes see it. It *appears* if it gets its id in
    this transaction.

    catalog   the catalog with the attrs that the transaction adds
    added     the attrs that the transaction adds
    """

    def __init__(
        self,
        tx: WriteTx,
        catalog: Catalog,
        resolved: Resolved,
        draft: Draft,
        *,
        added: Sequence[Attr],
    ) -> None:
        self.catalog = catalog
        self.added = added
        self._tx = tx
        self._resolved = resolved
        self._draft = draft

    @property
    def statements(self) -> Statements:
        """Where the data is read: before the writes in `before`, after them in `after`."""
        return self._tx

    def writes(self) -> Iterator[Write]:
        """Every triple to add, merge, increment or remove, by op, in list order."""
        for writes in self._resolved.writes.values():
            yield from writes

    def asked(self) -> Iterator[Write | Missed]:
        """As `writes`; each `Missed` stands where its write would be."""
        missed = self._resolved.missed
        return self._with_missed(missed) if missed else self.writes()

    def _with_missed(self, missed: Sequence[Missed]) -> Iterator[Write | Missed]:
        for op, writes in self._resolved.writes.items():
            waiting = deque(each for each in missed if each.op == op)
            for at, write in enumerate(writes):
                while waiting and waiting[0].at <= at:
                    yield waiting.popleft()
                yield write
            yield from waiting

    @property
    def deletes(self) -> Mapping[str, Mapping[EntityId, EntityKey]]:
        """Entities to delete by namespace, cascades included, each with the entity a step named."""
        return self._resolved.deletes

    @property
    def missed(self) -> Sequence[Missed]:
        """What steps were to do to entities that lookups did not find."""
        return self._resolved.missed

    @property
    def params(self) -> Mapping[EntityKey, Mapping[str, Any]]:
        """`ruleParams` of the steps, merged for each entity."""
        return self._resolved.params

    def load(self, etype: str, entities: Iterable[EntityId]) -> None:
        """Read rows that are not loaded yet, with one statement. Only in `before`."""
        self._draft.load(etype, entities)

    def has_existed(self, key: EntityKey) -> bool:
        """Whether anything was stored for a loaded entity."""
        row = self._draft.find(*key)
        return row is not None and row.old is not None

    def is_made(self, key: EntityKey) -> bool:
        """Whether nothing was stored for a loaded entity, and something will be."""
        row = self._draft.find(*key)
        return row is not None and row.old is None and row.has_content

    def has_appeared(self, key: EntityKey) -> bool:
        """Whether a loaded entity has an id now and had none before."""
        row = self._draft.find(*key)
        return row is not None and row.created is not None and row.old_created is None

    def columns(self, etype: str) -> Sequence[Attr]:
        """The attrs of the cells that `old` and `new` return, in their order."""
        namespace = self.catalog.namespaces.get(etype)
        return () if namespace is None else namespace.columns

    def old(self, key: EntityKey) -> Sequence[Cell] | None:
        """The entity's cells before the transaction; None if it did not exist."""
        row = self._draft.find(*key)
        return None if row is None else row.old

    def new(self, key: EntityKey) -> Sequence[Cell]:
        """The entity's cells with all writes of the transaction; empty if it was not loaded.

        For an entity that is deleted and not written again: its cells when it was deleted.
        """
        row = self._draft.find(*key)
        if row is None:
            return [None] * len(self.columns(key[0]))
        if row.cleared is not None and not row.has_content:
            return row.cleared
        return row.cells


class Checks(Protocol):
    """Decides whether a transaction is allowed. If it raises, everything is undone."""

    def before(self, proposal: Proposal) -> None:
        """Judge what can be judged by the data before anything is written."""
        ...

    def after(self, proposal: Proposal) -> None:
        """Judge the rest by the data after the writes."""
        ...
