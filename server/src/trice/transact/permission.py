"""A transaction as rules see it: what it is about to do, what it did, and who is asked.

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
    """A transaction played in memory. In `before` nothing of it is written but new attrs.

    Rows are read once: those of the transaction's own steps are there already. An entity *existed*
    if anything of cardinality one was stored for it, as modes see it; it *appears* if it gets its
    id in this transaction.

    catalog   with the attrs that the transaction adds
    added     these attrs
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
        """Every triple to add, merge or remove, by op, in list order."""
        for writes in self._resolved.writes.values():
            yield from writes

    def asked(self) -> Iterator[Write | Missed]:
        """As `writes`, with what was to be done to whom lookups did not find in its place."""
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
        """Entities to delete by namespace, cascades included, each with the one a step named."""
        return self._resolved.deletes

    @property
    def missed(self) -> Sequence[Missed]:
        """What was to be done to entities that lookups did not find."""
        return self._resolved.missed

    @property
    def params(self) -> Mapping[EntityKey, Mapping[str, Any]]:
        """`ruleParams` of the steps, merged for each entity."""
        return self._resolved.params

    def load(self, etype: str, entities: Iterable[EntityId]) -> None:
        """Read the rows not read yet, with one statement. Only in `before`."""
        self._draft.load(etype, entities)

    def has_existed(self, key: EntityKey) -> bool:
        """Whether anything was stored; of an entity that was loaded."""
        row = self._draft.find(*key)
        return row is not None and row.old is not None

    def is_made(self, key: EntityKey) -> bool:
        """Whether nothing was stored and something will be; of an entity that was loaded."""
        row = self._draft.find(*key)
        return row is not None and row.old is None and row.has_content

    def has_appeared(self, key: EntityKey) -> bool:
        """Whether it has an id now and had none; of an entity that was loaded."""
        row = self._draft.find(*key)
        return row is not None and row.created is not None and row.old_created is None

    def columns(self, etype: str) -> Sequence[Attr]:
        """The attrs whose cells `old` and `new` are."""
        namespace = self.catalog.namespaces.get(etype)
        return () if namespace is None else namespace.columns

    def old(self, key: EntityKey) -> Sequence[Cell] | None:
        """The entity's cells before the transaction; None if it did not exist."""
        row = self._draft.find(*key)
        return None if row is None else row.old

    def new(self, key: EntityKey) -> Sequence[Cell]:
        """The entity's cells with all writes of the transaction; none if none was loaded.

        Of an entity that is deleted too and not written again: as it was when it was deleted.
        """
        row = self._draft.find(*key)
        if row is None:
            return [None] * len(self.columns(key[0]))
        if row.cleared is not None and not row.has_content:
            return row.cleared
        return row.cells


class Checks(Protocol):
    """Who says whether a transaction may be. Whatever it raises undoes everything."""

    def before(self, proposal: Proposal) -> None:
        """Judge what can be judged by the data as it is before anything is written."""
        ...

    def after(self, proposal: Proposal) -> None:
        """Judge the rest by the data as it has become."""
        ...
