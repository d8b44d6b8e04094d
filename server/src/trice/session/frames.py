"""Answers and refreshes in the form that this session's client understands. No I/O.

Clients of Instant always get the full form. Clients that agreed on more (`extension.py`) get
answers with versions, and a delta from the answer they hold when that is shorter.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from trice.catalog.catalog import Catalog
from trice.database import Database
from trice.live.deltas import NOTHING_HELD, Deltas
from trice.live.live_query import LiveQuery
from trice.protocol import down
from trice.protocol.ids import SessionId, TxId
from trice.protocol.shared import Frame, SharedNews, SharedPart
from trice.protocol.version import VERSION
from trice.session.extension import Extension
from trice.session.state import Owed, Subscription


def init_frame(
    session_id: SessionId,
    *,
    app: Mapping[str, Any],
    event_id: str | None,
    extension: Extension,
    database: Database,
) -> Frame:
    """`init-ok`, with what was agreed on if `init` had `trice`."""
    catalog = database.catalog
    trice: dict[str, Any] | None = None
    is_catalog_held = False
    if extension.is_announced:
        trice = {"version": VERSION, "features": extension.features, "tx": database.tx}
        if extension.tx > database.tx:
            trice["reset?"] = True
        if extension.has_resume:
            trice["catalog"] = catalog.wire_name
            is_catalog_held = extension.catalog == catalog.wire_name
    return down.init_ok(
        session_id,
        event_id=event_id,
        app=app,
        attrs=None if is_catalog_held else catalog.wire_part,
        trice=trice,
    )


def answer_frame(
    subscription: Subscription,
    live: LiveQuery,
    *,
    meta_json: bytes,
    owed: Owed,
    extension: Extension,
    deltas: Deltas,
) -> Frame:
    """`add-query-ok` for one message. From here on its answer counts as told to the client."""
    names, tx = b"", live.tx
    if extension.has_versions:
        subscription.tell(live.digest)
        if extension.has_delta or owed.held == live.digest:
            change = deltas.change(live, owed.held)
            if change is not None:
                return down.add_query_ok_from_held(event_id=owed.event_id, change=change, tx=tx)
        names = deltas.names(live)
    else:
        tx = TxId(max(tx, 1))  # official clients take 0 for none (P10)
    return down.add_query_ok(
        event_id=owed.event_id,
        q_json=subscription.question.q_json,
        result=live.result(),
        meta_json=meta_json,
        tx=tx,
        names=names,
    )


def refresh_frame(
    news: Sequence[tuple[Subscription, LiveQuery]],
    extension: Extension,
    database: Database,
    *,
    catalog: Catalog | None,
    calls: Sequence[SharedPart] = (),
) -> Frame:
    """`refresh-ok` with the answers of `news`, which from here on count as told to the client.

    catalog   the catalog, if the client must be told it too; None if the client knows it
    calls     answers of functions, no older than those of `news`
    """
    deltas = database.deltas
    if len(news) == 1 and catalog is None and not calls:
        ((subscription, live),) = news
        if not extension.has_versions:
            return live.refresh_frame()
        held = _take_told(subscription, live, extension)
        return deltas.frame(live, held)
    computations: list[bytes | SharedPart]
    if extension.has_versions:
        computations = [
            deltas.computation(live, _take_told(subscription, live, extension))
            for subscription, live in news
        ]
    else:
        computations = [live.computation() for _, live in news]
    return down.refresh_ok(
        computations,
        tx=min((live.tx for _, live in news), default=database.tx),
        attrs=catalog.wire_part if catalog is not None else None,
        catalog=catalog.wire_name if catalog is not None and extension.has_resume else None,
        calls=calls,
    )


def calls_frame(calls: Sequence[SharedPart], *, tx: TxId) -> Frame:
    """`refresh-ok` with answers of functions alone; encoded once for all sessions that are told the
    one answer that changed."""
    first = calls[0]
    if len(calls) == 1 and isinstance(first, SharedNews):
        return first.frame(tx, lambda: down.refresh_ok([], tx=tx, attrs=None, calls=calls))
    return down.refresh_ok([], tx=tx, attrs=None, calls=calls)


def _take_told(subscription: Subscription, live: LiveQuery, extension: Extension) -> bytes:
    """The version that the client holds. From here on it holds the current one."""
    told = subscription.tell(live.digest)
    return told if extension.has_delta else NOTHING_HELD
