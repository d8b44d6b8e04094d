"""The `_tx` table: what every transaction changed, newest last; see `store/log.md`.

A follower reads it to catch up. After a restart, replayed mutations are recognised by it
(`store.sqlite.recent_events`).

    id        the transaction's id
    time_ms   when it was, by the wall clock; see S69
    identity  who sent it; behind ` by `, the function that wrote it
    event_id  `transact.replay.replay_key`: the client's id, a digest of the caller, and a digest of
              the steps
    changes   see `store.log_format`
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from trice import limits
from trice.catalog.attr import Attr
from trice.catalog.catalog import Catalog
from trice.catalog.values import Cell
from trice.protocol.ids import AttrId, EntityId, EventId, TxId
from trice.store.commit import Commit, LoggedChanges
from trice.store.engine import Row, Statements
from trice.store.log_format import (
    Unreadable,
    catalog_before,
    decode_commit,
    decode_entities,
    encode_changes,
    find_old_cell,
    parted_sender,
    sender_of,
)
from trice.store.sqlite import hook_places
from trice.store.sqlite.index import quoted

CREATE: Final = """
CREATE TABLE _tx (
  id       INTEGER NOT NULL PRIMARY KEY,
  time_ms  INTEGER NOT NULL,
  identity TEXT NOT NULL,
  event_id TEXT,
  changes  BLOB NOT NULL
)
"""

INSERT: Final = "INSERT INTO _tx VALUES (?, ?, ?, ?, ?)"
_EVENTS: Final = """
SELECT * FROM (
  SELECT id, event_id FROM _tx ORDER BY id DESC LIMIT ?
) WHERE event_id IS NOT NULL ORDER BY id
"""
_SIZE: Final = "SELECT count(*), sum(length(changes)) FROM _tx WHERE id > ? AND id <= ?"
_BETWEEN: Final = """
SELECT id, time_ms, identity, event_id, changes FROM _tx WHERE id > ? AND id <= ? ORDER BY id
"""
_FIRST: Final = "SELECT min(id) FROM _tx WHERE id > ? AND id <= ?"
_ONE: Final = "SELECT time_ms, identity, changes FROM _tx WHERE id = ?"
_OF_ENTITY: Final = """
SELECT id, changes FROM _tx WHERE id > ? AND instr(changes, ?) > 0 ORDER BY id LIMIT 1
"""
_TRIM: Final = """
DELETE FROM _tx WHERE id <= (SELECT min(id) FROM _tx) + ?1 - 1 AND id < ?2
AND (id <= ?2 - ?3 OR (time_ms < ?4 AND id <= ?5))
"""


MOVE: Final = "UPDATE _tx SET id = id + ?1"
"""Gives all transactions other ids, in a new app that nobody has seen yet."""


def row(commit: Commit, event_id: EventId | None, before: Catalog) -> Row:
    """The row of `_tx` that records `commit`; a replay of `event_id` is recognised by it.

    before  the catalog of the transaction before it
    """
    changes = encode_changes(commit, before)
    return (commit.tx, commit.time_ms, sender_of(commit), event_id, changes)


def load_last_tx(statements: Statements) -> TxId:
    """The newest transaction id, 0 before the first."""
    (last,) = statements.rows("SELECT max(id) FROM _tx")[0]
    return TxId(last if isinstance(last, int) else 0)


def load_last(statements: Statements) -> tuple[TxId, int]:
    """The id and the time of the newest transaction, 0 and 0 before the first."""
    for last, time_ms in statements.rows("SELECT id, time_ms FROM _tx ORDER BY id DESC LIMIT 1"):
        assert isinstance(last, int) and isinstance(time_ms, int), "as the table was made"
        return TxId(last), time_ms
    return TxId(0), 0


def load_events(statements: Statements) -> Iterator[tuple[TxId, EventId]]:
    """The event ids of the newest transactions, oldest first."""
    for tx, event_id in statements.rows(_EVENTS, (limits.EVENT_IDS_KEPT,)):
        assert isinstance(tx, int) and isinstance(event_id, str)
        yield TxId(tx), EventId(event_id)


def is_event(statements: Statements, tx: TxId, event_id: EventId) -> bool:
    """Whether the log still has transaction `tx`, and with this event id."""
    return statements.rows("SELECT event_id FROM _tx WHERE id = ?", (tx,)) == [(event_id,)]


def trim(statements: Statements, tx: TxId, *, oldest_ms: int, catalog: Catalog) -> None:
    """Delete the rows beyond limits.TX_LOG_ROWS_MAX, and those before `oldest_ms` that no hook
    still has to read: a bounded number at a time, and never the newest, because ids go on from it.

    catalog   as of the transaction before `tx`
    """
    if tx % limits.TX_LOG_TRIM_EVERY == 0:
        most = 2 * limits.TX_LOG_TRIM_EVERY
        read = hook_places.find_least(statements, catalog)
        read = tx if read is None else read
        statements.rows(_TRIM, (most, tx, limits.TX_LOG_ROWS_MAX, oldest_ms, read))


def make_room(statements: Statements, tx: TxId, *, kept: int, most: int) -> None:
    """Delete the rows of the oldest transactions, at most `most`, but never the newest `kept`.

    tx   the transaction that is being written; its own row stays
    """
    statements.rows(_TRIM, (most, tx, kept, 0, 0))


def load_commits(
    statements: Statements,
    catalog: Catalog,
    *,
    after: TxId,
    last: TxId,
    rows_max: int,
    bytes_max: int,
) -> list[Commit] | None:
    """The commits after `after` up to `last`; see `engine.Snapshot.commits_after`.

    catalog   as of `last`
    """
    count = last - after
    if not 0 <= count <= rows_max:
        return None
    ((rows, size_bytes),) = statements.rows(_SIZE, (after, last))
    if rows != count or (isinstance(size_bytes, int) and size_bytes > bytes_max):
        return None

    def find(tx: TxId, entity: EntityId, attr_id: AttrId) -> Cell:
        attr = catalog.by_id.get(attr_id)
        if attr is None:
            raise Unreadable
        return find_cell(statements, attr, tx, entity)

    found: list[Any] = statements.rows(_BETWEEN, (after, last))
    commits: list[Commit] = []
    try:
        before = catalog_before(catalog, [blob for *_, blob in reversed(found)])
        for tx, time_ms, sender, event_id, blob in found:
            commit = decode_commit(
                blob,
                tx=tx,
                time_ms=time_ms,
                sender=sender,
                event_id=event_id,
                before=before,
                find_cell=find,
            )
            before = commit.catalog
            commits.append(commit)
    except Unreadable:
        return None
    return commits


def load_changes(
    statements: Statements,
    catalog: Catalog,
    *,
    after: TxId,
    last: TxId,
    rows_max: int,
    bytes_max: int,
    is_whole: bool,
) -> list[LoggedChanges]:
    """What the transactions after `after` changed; see `engine.Snapshot.logged_changes`.

    last   the last transaction that is published
    """
    names = {attr.number: attr.id for attr in catalog.by_id.values()}

    def find(tx: TxId, entity: EntityId, attr_id: AttrId) -> Cell:
        attr = catalog.by_id[attr_id]
        if not is_whole or attr.deleted_ms is not None:
            return None
        return find_cell(statements, attr, tx, entity)

    ((first,),) = statements.rows(_FIRST, (after, last))
    if not isinstance(first, int):
        return []
    found: list[LoggedChanges] = []
    size_bytes = 0
    for tx in map(TxId, range(first, min(last, first + rows_max - 1) + 1)):
        rows: list[Any] = statements.rows(_ONE, (tx,))
        time_ms, sender, blob = rows[0] if rows else (0, "", b"")
        try:
            entities = decode_entities(blob, tx=tx, names=names, find_cell=find)
        except Unreadable:
            continue
        identity, function = parted_sender(sender)
        found.append(LoggedChanges(tx, entities, time_ms, identity, function))
        size_bytes += len(blob)
        if size_bytes >= bytes_max:
            break
    return found


def find_cell(statements: Statements, attr: Attr, tx: TxId, entity: EntityId) -> Cell:
    """A cell that the row of transaction `tx` leaves out: what `entity` had in `attr` after it.

    statements  a snapshot of the file
    attr        as of that snapshot
    raises      Unreadable when the attr was deleted, and the entity after it: the cell went with
                the entity, and no row tells it
    cost        looks for the entity in the bytes of the rows after `tx`, until one tells the cell
    """
    cell = _find_cell(statements, attr, tx, entity)
    if cell is None:
        raise Unreadable
    return cell


def _find_cell(statements: Statements, attr: Attr, tx: TxId, entity: EntityId) -> Cell:
    # The log may have a million rows: most do not name the entity, and are not decoded.
    after: Cell = tx
    while rows := statements.rows(_OF_ENTITY, (after, bytes(entity))):
        ((after, blob),) = rows
        assert isinstance(blob, bytes)
        is_told, cell = find_old_cell(blob, entity, attr.number)
        if is_told:
            return cell
    found = statements.rows(
        f"SELECT {quoted(attr.column)} FROM {quoted(attr.table)} WHERE id = ?", (entity,)
    )
    return found[0][0] if found else None
