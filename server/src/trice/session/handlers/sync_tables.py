"""`start-sync`, `resync-table` and `remove-sync`: one namespace whole, then every change of it.

The server keeps no record of a sync table. What `resync-table` needs is in the token: app, table
id and query. It is not secret and not signed, because only admins of the app may present it, and
they may read all of the app anyway.
"""

from __future__ import annotations

import base64
from binascii import Error as NotBase64
from typing import Any

import orjson

from trice import sync_limits
from trice.errors import InvalidInput, TriceError, invalid
from trice.live.sync_tables import too_far_behind
from trice.protocol import down, up
from trice.protocol.ids import TxId
from trice.runtime import new_uuid
from trice.session.incoming import Letter
from trice.session.session import OpenedSession
from trice.session.sync_tables import SyncedTable, SyncTables


def start_sync(
    opened: OpenedSession, message: up.StartSync, raw: bytes, letter: Letter | None
) -> None:
    """Send a namespace whole, then what each transaction changes (instant-realtime §11)."""
    _check_admin(opened, "start-sync")
    made = opened.database.table_changes(message.q)
    tables = opened.open_sync_tables()
    table = tables.add(new_uuid(opened.session.runtime), made)
    opened.session.spawn(_load(opened, tables, table, message, raw))


async def _load(
    opened: OpenedSession,
    tables: SyncTables,
    table: SyncedTable,
    message: up.StartSync,
    raw: bytes,
) -> None:
    try:
        loaded = await opened.database.load_table(message.q, identity=opened.identity)
        table.load(loaded)
        if table.is_behind:
            raise too_far_behind()
    except TriceError as failure:
        tables.remove(table.id)
        opened.session.fail(failure, raw=raw, event_id=message.client_event_id)
        return
    opened.tell_catalog_first()
    opened.session.push(
        down.start_sync_ok(
            orjson.dumps(message.q),
            event_id=message.client_event_id,
            table_id=table.id,
            token=_token(opened.app.id, table.id, message.q),
        )
    )


def resync_table(
    opened: OpenedSession, message: up.ResyncTable, raw: bytes, letter: Letter | None
) -> None:
    """Send what changed since the transaction that the client has; errors make it start again."""
    _check_admin(opened, "resync-table")
    source = _query_of(opened.app.id, message)
    made = opened.database.table_changes(source)
    tables = opened.open_sync_tables()
    table = tables.add(message.subscription_id, made)
    opened.session.spawn(_replay(opened, tables, table, source, message, raw))


async def _replay(
    opened: OpenedSession,
    tables: SyncTables,
    table: SyncedTable,
    source: Any,
    message: up.ResyncTable,
    raw: bytes,
) -> None:
    try:
        last, changes = await opened.database.replay_table(
            source, TxId(message.tx_id), identity=opened.identity
        )
        table.replay(last, changes)
        if table.is_behind:
            raise too_far_behind()
    except TriceError as failure:
        if tables.has(table):
            tables.remove(table.id)
        opened.session.fail(failure, raw=raw, event_id=message.client_event_id)
        return
    opened.session.outbox.schedule()


def remove_sync(
    opened: OpenedSession, message: up.RemoveSync, raw: bytes, letter: Letter | None
) -> None:
    """End a sync table, without an answer."""
    if opened.sync_tables is not None:
        opened.sync_tables.remove(message.subscription_id)


def _check_admin(opened: OpenedSession, op: str) -> None:
    if not opened.identity.is_admin:
        reason = "Sync tables are currently supported for admins only."
        raise invalid(op, None, [{"in": ["op"], "message": reason}])


def _token(app_id: str, table_id: str, source: Any) -> str:
    return base64.urlsafe_b64encode(orjson.dumps([app_id, table_id, source])).decode()


def _query_of(app_id: str, message: up.ResyncTable) -> Any:
    """The query in the token, which must be that of this app and sync table."""
    try:
        if len(message.token) <= sync_limits.SYNC_TOKEN_CHARS_MAX:
            named = orjson.loads(base64.urlsafe_b64decode(message.token.encode()))
            if isinstance(named, list) and named[:2] == [app_id, message.subscription_id]:
                return named[2]
    except (NotBase64, ValueError, IndexError):
        pass
    raise InvalidInput(
        "param-malformed",
        'Malformed parameter: ["token"]. It is not the token of this sync table; start it again.',
        {"in": ["token"]},
    )
