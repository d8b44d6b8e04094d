"""`start-sync`, `resync-table` and `remove-sync`: one namespace whole, then every change of it.

The server keeps no record of a sync table. What `resync-table` needs is in the token: app, table
id, query, and the attrs that the client knows. It is signed with the app's admin token, so that it
ends with that, and no client can make one that names another query or table.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
from typing import Any

import orjson

from trice import sync_limits
from trice.apps.apps import App
from trice.errors import InvalidInput, TriceError, Unavailable, invalid
from trice.live.sync_load import TableLoad
from trice.live.sync_tables import TablePage, attrs_changed, too_far_behind
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
    view = opened.database.table_view(message.q)
    load = TableLoad(view, opened.database.table_feed)
    table = SyncedTable(new_uuid(opened.session.runtime), view, load)
    tables = opened.open_sync_tables()
    tables.add(table)
    opened.session.spawn(_load(opened, tables, table, message, raw))


async def _load(
    opened: OpenedSession,
    tables: SyncTables,
    table: SyncedTable,
    message: up.StartSync,
    raw: bytes,
) -> None:
    try:
        # All loads look at each entity that changes meanwhile, so there are few at a time.
        async with tables.loading, opened.database.table_loads:
            await _load_pages(opened, tables, table, message)
        if table.failure is not None and not table.is_on:
            raise table.failure
    except TriceError as failure:
        if tables.has(table):
            tables.remove(table.id)
            opened.session.fail(failure, raw=raw, event_id=message.client_event_id)
    finally:
        tables.starting -= 1


async def _load_pages(
    opened: OpenedSession, tables: SyncTables, table: SyncedTable, message: up.StartSync
) -> None:
    """Read page after page, each when the one before was sent; begin with the answer."""
    drained = asyncio.Event()
    table.on_drained = drained.set
    while table.load is not None:
        page = await _read_page(opened, table, table.load)
        if page is None:
            break
        drained.clear()
        was_answered = table.is_on
        table.take(page)
        if not was_answered and not table.is_ended:
            _answer(opened, table, message)
        tables.check()
        opened.session.outbox.schedule()
        if table.load is not None:
            try:
                await asyncio.wait_for(drained.wait(), sync_limits.SYNC_PAGE_TIMEOUT_MS / 1000)
            except TimeoutError:
                table.fail(too_far_behind())
                tables.check()


async def _read_page(
    opened: OpenedSession, table: SyncedTable, load: TableLoad
) -> TablePage | None:
    """The next page of a load; None if the table ended meanwhile.

    raises   LimitExceeded, Unavailable when it did not come in several attempts
    """
    request, tried = load.begin_read(), 0
    while not table.is_ended:
        try:
            page = await opened.database.read_table(table.view, request, identity=opened.identity)
        except Unavailable:
            tried += 1
            if tried == sync_limits.SYNC_READS_TRIED_MAX:
                raise
            await opened.session.runtime.sleep_ms(sync_limits.SYNC_RETRY_MS * tried)
            continue
        return None if table.is_ended else page
    return None


def _answer(opened: OpenedSession, table: SyncedTable, message: up.StartSync) -> None:
    opened.tell_catalog_first()
    opened.session.push(
        down.start_sync_ok(
            orjson.dumps(message.q),
            event_id=message.client_event_id,
            table_id=table.id,
            token=_token(opened.app, table),
        )
    )


def resync_table(
    opened: OpenedSession, message: up.ResyncTable, raw: bytes, letter: Letter | None
) -> None:
    """Send what changed since the transaction that the client has; errors make it start again."""
    _check_admin(opened, "resync-table")
    source, digest = _read_token(opened.app, message)
    view = opened.database.table_view(source)
    if view.digest != digest:
        raise attrs_changed()
    table = SyncedTable(message.subscription_id, view)
    tables = opened.open_sync_tables()
    tables.add(table)
    opened.session.spawn(_replay(opened, tables, table, message, raw))


async def _replay(
    opened: OpenedSession,
    tables: SyncTables,
    table: SyncedTable,
    message: up.ResyncTable,
    raw: bytes,
) -> None:
    try:
        # One after the other, because each may read much of the log.
        async with tables.replaying:
            if table.failure is None and not table.is_ended:
                last, changes = await opened.database.replay_table(
                    table.view, TxId(message.tx_id), identity=opened.identity
                )
                if not table.is_ended:
                    table.replay(last, changes)
        if table.failure is not None:
            raise table.failure
    except TriceError as failure:
        if tables.has(table):
            tables.remove(table.id)
            opened.session.fail(failure, raw=raw, event_id=message.client_event_id)
        return
    finally:
        tables.starting -= 1
    tables.check()
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


def _token(app: App, table: SyncedTable) -> str:
    named = orjson.dumps([table.id, table.view.source, table.view.digest])
    text = base64.urlsafe_b64encode(named).decode()
    return f"{text}.{_sign(app, text)}"


def _sign(app: App, text: str) -> str:
    signed = f"sync-table/{app.id}/{text}".encode()
    return hmac.new(app.row.admin_token_hash, signed, hashlib.sha256).hexdigest()


def _read_token(app: App, message: up.ResyncTable) -> tuple[Any, str]:
    """The query and the attrs that the token names, which must be that of this sync table."""
    text, _, signature = message.token.partition(".")
    if (
        len(message.token) <= sync_limits.SYNC_TOKEN_CHARS_MAX
        and message.token.isascii()
        and hmac.compare_digest(signature, _sign(app, text))
    ):
        table_id, source, digest = orjson.loads(base64.urlsafe_b64decode(text))
        if table_id == message.subscription_id:
            return source, digest
    raise InvalidInput(
        "param-malformed",
        'Malformed parameter: ["token"]. It is not the token of this sync table; start it again.',
        {"in": ["token"]},
    )
