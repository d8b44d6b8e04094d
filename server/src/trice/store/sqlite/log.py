"""The `_tx` table: what every transaction changed, newest last.

It recognises replayed mutations by their event id, and is the history from which a returning
client, audits and other nodes catch up.

`changes` is MessagePack: `[entities, pairs]`.

    entity  [etype, id, old created_ms, old cells, new created_ms, new cells, what]
            cells  {attr id: cell}: of an entity that was there before and after only those that
                   differ (nil on the side that had none); else all of them
            what   0 added, 1 changed, 2 deleted
    pair    [attr id, source, target, created_ms, is added]
"""

from __future__ import annotations

from typing import Final

import msgspec

from trice import limits
from trice.catalog.values import Cell
from trice.protocol.ids import AttrId, EventId, TxId
from trice.store.commit import Commit, EntityChange
from trice.store.engine import Row, Statements

CREATE: Final = """
CREATE TABLE _tx (
  id       INTEGER NOT NULL PRIMARY KEY,
  time_ms  INTEGER NOT NULL,
  identity TEXT NOT NULL,
  event_id TEXT,
  changes  BLOB NOT NULL
)
"""
CREATE_INDEX: Final = "CREATE INDEX _tx_event ON _tx (event_id) WHERE event_id IS NOT NULL"

FIND_EVENT: Final = "SELECT id FROM _tx WHERE event_id = ?"
INSERT: Final = "INSERT INTO _tx VALUES (?, ?, ?, ?, ?)"
_TRIM: Final = """
DELETE FROM _tx WHERE id <= min(? - ?, (SELECT min(id) FROM _tx) + ?)
"""

_Cells = dict[AttrId, Cell]
_Entity = tuple[str, bytes, int | None, _Cells, int | None, _Cells, int]

_ADDED, _CHANGED, _DELETED = 0, 1, 2
_EMPTY: Final[_Cells] = {}

_ENCODER: Final = msgspec.msgpack.Encoder()


def row(commit: Commit, event_id: EventId | None) -> Row:
    """The row of `_tx` that records `commit`, by which a replay of `event_id` is recognised."""
    changes = _ENCODER.encode(
        (
            [_entity(change) for change in commit.entities],
            [
                (pair.attr_id, pair.source, pair.target, pair.created_ms, pair.is_added)
                for pair in commit.pairs
            ],
        )
    )
    return (commit.tx, commit.time_ms, commit.identity, event_id, changes)


def load_last_tx(statements: Statements) -> TxId:
    """The newest transaction id, 0 before the first."""
    (last,) = statements.rows("SELECT max(id) FROM _tx")[0]
    return TxId(last if isinstance(last, int) else 0)


def trim(statements: Statements, tx: TxId) -> None:
    """Forget transactions beyond limits.TX_LOG_ROWS_MAX, a bounded number at a time."""
    if tx % limits.TX_LOG_TRIM_EVERY == 0:
        statements.rows(_TRIM, (tx, limits.TX_LOG_ROWS_MAX, 2 * limits.TX_LOG_TRIM_EVERY))


def _entity(change: EntityChange) -> _Entity:
    old, new = change.old, change.new
    if old is None:
        assert new is not None
        return (
            change.etype, change.id, None, _EMPTY, new.created_ms, dict(new.cells), _ADDED
        )  # fmt: skip
    if new is None:
        return (
            change.etype, change.id, old.created_ms, dict(old.cells), None, _EMPTY, _DELETED
        )  # fmt: skip
    before, after = old.cells, new.cells
    keys = [key for key in {**before, **after} if before.get(key) != after.get(key)]
    return (
        change.etype,
        change.id,
        old.created_ms,
        {key: before.get(key) for key in keys},
        new.created_ms,
        {key: after.get(key) for key in keys},
        _CHANGED,
    )
