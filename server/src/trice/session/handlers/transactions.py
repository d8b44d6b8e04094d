"""`transact`: steps are handed over in order of arrival, and acknowledged once durable."""

from __future__ import annotations

from asyncio import Future

from trice.database import Database
from trice.errors import Bug, TriceError
from trice.protocol import down, up
from trice.protocol.ids import EventId, TxId
from trice.session.inbox import FULL
from trice.session.incoming import Letter
from trice.session.session import OpenedSession
from trice.session.state import Phase


def transact(
    opened: OpenedSession, message: up.Transact, raw: bytes, letter: Letter | None
) -> None:
    """Hand the steps to the database; acknowledge when durable (instant-realtime §6)."""
    session, event_id, order = opened.session, message.client_event_id, opened.writes

    def submit() -> Future[TxId]:
        return opened.database.submit(
            message.tx_steps,
            identity=opened.identity,
            event_id=EventId(event_id) if event_id is not None else None,
            digest=None if letter is None else letter.digest,
        )

    if order is None:
        done = submit()
    elif order.is_free:
        done = submit()
        order.begin_transact()
    else:
        done = order.hold(submit)
    size_bytes = len(raw) if letter is None else letter.size_bytes
    if session.state.begin_transact(size_bytes):
        session.inbox.pause(FULL)
    if letter is not None:
        session.inbox.hold_long()

    def finish(future: Future[TxId]) -> None:
        _finish(opened, future, raw, event_id, size_bytes)
        if letter is not None:
            session.inbox.end_long()

    done.add_done_callback(finish)


def digest_long(message: up.Transact, raw: bytes) -> str:
    """On the thread that read a long message: the digest of its steps, to recognise replays."""
    return Database.digest(message.tx_steps)


def _finish(
    opened: OpenedSession, done: Future[TxId], raw: bytes, event_id: str | None, size_bytes: int
) -> None:
    session = opened.session
    cause = None if done.cancelled() else done.exception()
    if opened.writes is not None:
        opened.writes.end_transact()
    if done.cancelled() or session.state.phase is Phase.CLOSED:
        return
    if session.state.end_transact(size_bytes):
        session.inbox.resume(FULL)
    if cause is None:
        session.push(down.transact_ok(done.result(), event_id=event_id))
        if session.state.awaits_nothing:
            # No other frame could join this one: it leaves before live queries of others are
            # refreshed.
            session.outbox.send_now()
        return
    failure = cause if isinstance(cause, TriceError) else _bug(cause)
    session.fail(failure, raw=raw, event_id=event_id)
    # The client may show the rejected write inside an answer (instant-realtime §6.8).
    session.tell_again()


def _bug(cause: BaseException) -> Bug:
    bug = Bug("unknown", "Something went wrong in the server while applying this transaction.")
    bug.__cause__ = cause
    return bug
