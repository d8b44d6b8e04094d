"""One function per op: what it means, in terms of the state and the database."""

from __future__ import annotations

import logging
from asyncio import Future
from typing import Any, Final, assert_never

import orjson

from trice import limits
from trice.apps.apps import App
from trice.auth.accounts import no_user
from trice.auth.tokens import hash_token, identify
from trice.errors import (
    Bug,
    InvalidInput,
    LimitExceeded,
    TriceError,
    invalid,
)
from trice.identity import ADMIN, Identity
from trice.live.deltas import NOTHING_HELD, find_version
from trice.live.live_query import LiveQuery, Question, RightsChanged, query_key
from trice.live.planner import Asked
from trice.log import fields
from trice.protocol import down, up
from trice.protocol.errors import CODES, TRY_LATER
from trice.protocol.ids import EventId, TxId, find_uuid_bytes
from trice.protocol.quoting import brief
from trice.session.extension import Extension, negotiate
from trice.session.frames import answer_frame, init_frame
from trice.session.incoming import Letter
from trice.session.session import FULL, Session, echo_query
from trice.session.state import Owed, Phase, Subscription
from trice.store.engine import ReadTooLong

logger: Final = logging.getLogger("trice.session")


def handle(session: Session, message: up.Up, raw: bytes, letter: Letter | None = None) -> None:
    """Carry out one message. Raises TriceError; the worker turns it into an `error` message.

    raw     what errors repeat of it
    letter  what else is known of a long one
    """
    match message:
        case up.Init():
            init(session, message, raw)
        case up.AddQuery():
            add_query(session, message, raw)
        case up.RemoveQuery():
            remove_query(session, message)
        case up.Transact():
            transact(session, message, raw, letter)
        case _:
            assert_never(message)


def init(session: Session, message: up.Init, raw: bytes) -> None:
    """Open the app and answer with its catalog (instant-realtime §3)."""
    if session.state.phase is not Phase.WAITING:
        raise invalid("init", None, [{"message": "`init` has already run for this session."}])
    if message.app_id is None:
        raise InvalidInput("param-missing", 'Missing parameter: ["app-id"]', {"in": ["app-id"]})
    if find_uuid_bytes(message.app_id) is None:
        raise InvalidInput(
            "param-malformed",
            'Malformed parameter: ["app-id"]. It must be a uuid.',
            {"in": ["app-id"], "original-input": message.app_id},
        )
    extension = negotiate(message.trice)
    session.state.phase = Phase.OPENING
    session.spawn(_open(session, message, raw, extension))


async def _open(session: Session, message: up.Init, raw: bytes, extension: Extension) -> None:
    try:
        app = await session.apps.lend(message.app_id.lower())
    except TriceError as failure:
        _refuse_init(session, failure, message, raw)
        return
    except Exception:
        logger.exception("app not opened %s", fields(session=session.id, app=message.app_id))
        session.close(TRY_LATER, "try again")
        return
    try:
        identity, hashed_token = await _identify(session, app, message)
    except TriceError as failure:
        session.apps.give_back(app)
        _refuse_init(session, failure, message, raw)
        return
    session.enter(app, identity, hashed_token=hashed_token, extension=extension)
    session.push(
        init_frame(
            session.id,
            app={"id": app.id, "title": app.title},
            event_id=message.client_event_id,
            extension=extension,
            database=app.database,
        )
    )
    session.handle_early()


async def _identify(session: Session, app: App, message: up.Init) -> tuple[Identity, str | None]:
    """Who the tokens say it is, and the hash of the refresh token used."""
    if message.admin_token is not None:
        app.check_admin_token(message.admin_token)
        return ADMIN, None
    if message.refresh_token is not None:
        # Clients forget a token that is nobody's, and are stuck with any other error.
        if find_uuid_bytes(message.refresh_token) is None:
            raise no_user()
        token = message.refresh_token
        identity = await identify(app.database, token, request=session.guest)
        return identity, hash_token(token)
    return session.guest, None


def _refuse_init(session: Session, failure: TriceError, message: up.Init, raw: bytes) -> None:
    close_code = CODES[failure.code].init_closes_with
    if close_code is not None:
        session.close(close_code, "try again")
        return
    session.state.phase = Phase.WAITING
    session.fail(failure, raw=raw, event_id=message.client_event_id)
    session.handle_early()


def add_query(session: Session, message: up.AddQuery, raw: bytes) -> None:
    """Answer a query and keep the answer live (instant-realtime §5.1)."""
    app = _ready(session)
    question = _question(session, app, message)
    owed = Owed(message.client_event_id, _held(session, message))
    session.want_deltas(question)
    state = session.state
    if not state.has_room_to_owe(owed.event_id):
        raise LimitExceeded(
            "parameter-limit-exceeded",
            "Too many queries of this session wait for their answer; ask again when some are"
            " answered.",
        )
    if question.asked not in state.subscriptions:
        _check_room(session, question)
    subscription = state.add_query(question, owed)
    live = subscription.live
    if live is not None and (live.answer is not None or live.error is not None):
        _answer(session, subscription)
        return
    if len(subscription.owed) > 1:
        return  # the first answer is on its way to everybody it is owed to
    if app.database.has_answer(subscription.question) or session.first_answers.take():
        try:
            _run(session, subscription, raw)
        except BaseException:
            state.forget(subscription)
            session.count_queries()
            raise
    else:
        asked = app.database.asked
        session.first_answers.later(lambda: _run_later(session, subscription, raw, asked))


def _check_room(session: Session, question: Question) -> None:
    """Refuse a query more than a session may hold."""
    state = session.state
    if len(state.subscriptions) >= limits.SESSION_QUERIES_MAX:
        raise LimitExceeded(
            "parameter-limit-exceeded",
            f"A session may hold {limits.SESSION_QUERIES_MAX} live queries; remove some first.",
        )
    if state.queries_bytes + len(question.q_json) > limits.SESSION_QUERIES_BYTES_MAX:
        raise LimitExceeded(
            "parameter-limit-exceeded",
            f"The live queries of a session may have {limits.SESSION_QUERIES_BYTES_MAX:,} bytes as"
            " JSON, all together; remove some first.",
        )
    if not session.count_queries(len(question.q_json)):
        raise LimitExceeded(
            "parameter-limit-exceeded",
            f"The live queries of one network address may have"
            f" {limits.QUERIES_BYTES_OF_NETWORK_MAX:,} bytes as JSON, all together; remove some"
            " first.",
        )


def _run(
    session: Session, subscription: Subscription, raw: bytes, asked: Asked | None = None
) -> None:
    """Watch the query of a subscription and send its first answer, or leave it to a task."""
    database = _ready(session).database
    try:
        live = database.watch_now(subscription.question, subscription, asked)
    except ReadTooLong:
        session.spawn(_add_slow_query(session, subscription, raw))
    else:
        _begin(session, subscription, live)


def _run_later(
    session: Session, subscription: Subscription, raw: bytes, asked: Asked | None
) -> None:
    """`_run` in a later turn of the loop, unless nobody waits for it any more. Never raises."""
    state = session.state
    if state.subscriptions.get(subscription.question.asked) is not subscription:
        return  # closed, or forgotten
    if not subscription.is_wanted:
        state.forget(subscription)
        return
    try:
        _run(session, subscription, raw, asked)
    except RightsChanged:
        session.spawn(_add_slow_query(session, subscription, raw))
    except TriceError as failure:
        _fail_owed(session, subscription, failure, raw)
    except Exception as cause:
        _fail_owed(session, subscription, _query_bug(cause), raw)


def _query_bug(cause: Exception) -> Bug:
    bug = Bug("unknown", "Something went wrong in the server while running this query.")
    bug.__cause__ = cause
    return bug


async def _add_slow_query(session: Session, subscription: Subscription, raw: bytes) -> None:
    app = _ready(session)
    try:
        live = await _watch(session, app, subscription)
    except TriceError as failure:
        _fail_owed(session, subscription, failure, raw)
        return
    except Exception as cause:
        _fail_owed(session, subscription, _query_bug(cause), raw)
        return
    _begin(session, subscription, live)


async def _watch(session: Session, app: App, subscription: Subscription) -> LiveQuery:
    """The answer to what the subscription asks, whoever asks it by then."""
    while True:
        question = subscription.question
        try:
            live = await app.database.watch(question, subscription)
        except RightsChanged:
            session.ask_again(subscription)
            continue
        if subscription.question is question and not live.is_outdated:
            return live
        app.database.unwatch(live, subscription)
        if subscription.question is question:
            session.ask_again(subscription)


def _fail_owed(
    session: Session, subscription: Subscription, failure: TriceError, raw: bytes
) -> None:
    waiting = session.state.take_owed(subscription)
    session.state.forget(subscription)
    for owed in waiting:
        session.fail(failure, raw=raw, event_id=owed.event_id)


def _begin(session: Session, subscription: Subscription, live: LiveQuery) -> None:
    subscription.live = live
    if not subscription.is_wanted:
        session.disconnect(session.state.forget(subscription))
        return
    _answer(session, subscription)


def _answer(session: Session, subscription: Subscription) -> None:
    """Send the current answer, once per add-query that waits for it."""
    live = subscription.live
    assert live is not None
    database = _ready(session).database
    owed = session.state.take_owed(subscription)
    if live.answer is None or live.error is not None:
        failure = live.error or Bug("unknown", "This query has no answer yet.")
        raw = echo_query(subscription.question)
        for one in owed:
            session.fail(failure, raw=raw, event_id=one.event_id)
        return
    session.tell_catalog_first()
    for one in owed:
        session.push(
            answer_frame(
                subscription,
                live,
                live.answer,
                owed=one,
                extension=session.extension,
                deltas=database.live.deltas,
            )
        )
    session.state.told(subscription)


def remove_query(session: Session, message: up.RemoveQuery) -> None:
    """End the subscription to `q`, in whichever shape it was asked for."""
    _ready(session)
    q_json = b"null"
    if isinstance(message.q, dict):
        q_json = _q_json(message.q)
        key = query_key(message.q)
        for shape in ("flat", "tree", "tree-one"):
            removed = session.state.remove_query((shape, key))
            if removed is not None:
                session.disconnect(removed)
                session.count_queries()
    session.push(down.remove_query_ok(q_json, event_id=message.client_event_id))


def transact(
    session: Session, message: up.Transact, raw: bytes, letter: Letter | None = None
) -> None:
    """Hand the steps to the database in order of arrival; acknowledge when durable."""
    app = _ready(session)
    event_id = message.client_event_id
    done = app.database.submit(
        message.tx_steps,
        identity=session.identity,
        event_id=EventId(event_id) if event_id is not None else None,
        digest=None if letter is None else letter.digest,
    )
    size_bytes = len(raw) if letter is None else letter.size_bytes
    if session.state.begin_transact(size_bytes):
        session.pause(FULL)
    if letter is not None:
        session.hold_long()

    def finish(future: Future[TxId]) -> None:
        _finish_transact(session, future, raw, event_id, size_bytes)
        if letter is not None:
            session.end_long()

    done.add_done_callback(finish)


def _finish_transact(
    session: Session, done: Future[TxId], raw: bytes, event_id: str | None, size_bytes: int
) -> None:
    cause = None if done.cancelled() else done.exception()
    if done.cancelled() or session.state.phase is Phase.CLOSED:
        return
    if session.state.end_transact(size_bytes):
        session.resume(FULL)
    if cause is None:
        session.push(down.transact_ok(done.result(), event_id=event_id))
        return
    failure = cause if isinstance(cause, TriceError) else _bug(cause)
    session.fail(failure, raw=raw, event_id=event_id)
    # The client may have baked the rejected write into a result (instant-realtime §6.8).
    session.tell_again()


def _bug(cause: BaseException) -> Bug:
    bug = Bug("unknown", "Something went wrong in the server while applying this transaction.")
    bug.__cause__ = cause
    return bug


def _ready(session: Session) -> App:
    if session.app is None:
        raise invalid("init", None, [{"message": "`init` has not run for this session."}])
    return session.app


def _question(session: Session, app: App, message: up.AddQuery) -> Question:
    if not isinstance(message.q, dict):
        raise invalid(
            "query",
            message.q,
            [{"expected": "map?", "in": [], "message": "A query must be an object."}],
        )
    try:
        return app.database.question(message.q, identity=session.identity, shape=_shape(message))
    except orjson.JSONEncodeError as cause:
        raise _not_echoed(cause) from cause


def _q_json(q: Any) -> bytes:
    try:
        return orjson.dumps(q)
    except orjson.JSONEncodeError as cause:
        raise _not_echoed(cause) from cause


def _not_echoed(cause: orjson.JSONEncodeError) -> InvalidInput:
    reason = (
        "A whole number in the query has more than 64 bits; write it with an exponent (1e20)."
        if "64-bit" in str(cause)
        else "The query nests too deeply."
    )
    return invalid("query", None, [{"in": [], "message": reason}])


def _held(session: Session, message: up.AddQuery) -> bytes:
    """The version that the client still has, if it may say so."""
    if message.held is None or not session.extension.has_resume:
        return NOTHING_HELD
    if not isinstance(message.held, str):
        raise InvalidInput(
            "param-malformed",
            'Malformed parameter: ["held"]. It must be the `version` of an earlier answer.',
            {"in": ["held"], "original-input": brief(message.held)},
        )
    return find_version(message.held)


def _shape(message: up.AddQuery) -> str:
    match message.return_type:
        case None | "join-rows":
            return "flat"
        case "tree":
            return "tree-one" if message.is_inferring is True else "tree"
        case other:
            raise InvalidInput(
                "param-malformed",
                'Malformed parameter: ["return-type"]; "join-rows" and "tree" are accepted.',
                {"in": ["return-type"], "original-input": brief(other)},
            )
