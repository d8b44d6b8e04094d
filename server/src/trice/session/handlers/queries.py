"""`add-query` and `remove-query`: answers, and the subscriptions that keep them live."""

from __future__ import annotations

from typing import Any

import orjson

from trice import limits
from trice.errors import Bug, InvalidInput, LimitExceeded, TriceError, invalid
from trice.live.live_query import LiveQuery, Question, RightsChanged, query_key
from trice.live.planner import Prepared
from trice.protocol import down, up
from trice.protocol.quoting import brief
from trice.session.extension import read_held
from trice.session.frames import answer_frame
from trice.session.incoming import Letter
from trice.session.session import OpenedSession, echo_query
from trice.session.state import Owed, Subscription


def add_query(
    opened: OpenedSession, message: up.AddQuery, raw: bytes, letter: Letter | None
) -> None:
    """Answer a query and keep the answer live (instant-realtime §5.1)."""
    prepared = _prepare(opened, message)
    question = prepared.question
    held = read_held(message.held, is_agreed=opened.extension.has_resume)
    owed = Owed(message.client_event_id, held)
    opened.want_deltas(question)
    state = opened.state
    if not state.has_room_to_owe(owed.event_id):
        raise LimitExceeded(
            "parameter-limit-exceeded",
            "Too many queries of this session wait for their answer; ask again when some are"
            " answered.",
        )
    if question.asked not in state.subscriptions:
        _check_room(opened, question)
    subscription = state.add_query(question, owed)
    live = subscription.live
    if live is not None and (live.answer is not None or live.error is not None):
        _answer(opened, subscription)
        return
    if len(subscription.owed) > 1:
        return  # the first answer is under way, and will answer this message too
    if subscription.question != question:
        # The query could not be answered with the rights it was asked with before.
        opened.disconnect(subscription)
        subscription.ask(question)
    first_answers = opened.session.first_answers
    if opened.database.has_answer(question) or first_answers.take(opened.app.id):
        try:
            _run(opened, subscription, raw, prepared)
        except BaseException:
            opened.disconnect(state.forget(subscription))
            opened.count_queries()
            raise
    else:
        first_answers.later(lambda: _run_later(opened, subscription, raw, prepared), opened.app.id)


def _check_room(opened: OpenedSession, question: Question) -> None:
    """Refuse the query if the session holds as many as it may."""
    state = opened.state
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
    if not opened.count_queries(len(question.q_json)):
        raise LimitExceeded(
            "parameter-limit-exceeded",
            f"The live queries of one network address may have"
            f" {limits.QUERIES_BYTES_OF_NETWORK_MAX:,} bytes as JSON, all together; remove some"
            " first.",
        )


def _run(opened: OpenedSession, subscription: Subscription, raw: bytes, prepared: Prepared) -> None:
    """Watch the query of a subscription and send its first answer, or start a task for that."""
    live = opened.database.watch_now(prepared, subscription)
    if live is None:
        opened.session.spawn(_add_slow_query(opened, subscription, raw))
    else:
        _begin(opened, subscription, live)


def _run_later(
    opened: OpenedSession, subscription: Subscription, raw: bytes, prepared: Prepared
) -> None:
    """`_run` in a later turn of the loop, if its answer is still wanted then. Never raises."""
    state = opened.state
    if state.subscriptions.get(subscription.question.asked) is not subscription:
        return  # the session is closed, or the subscription forgotten
    if not subscription.is_wanted:
        state.forget(subscription)
        return
    if prepared.question != subscription.question:
        # The query was asked again meanwhile, with other rights.
        prepared = Prepared(subscription.question)
    try:
        _run(opened, subscription, raw, prepared)
    except RightsChanged:
        opened.session.spawn(_add_slow_query(opened, subscription, raw))
    except TriceError as failure:
        _fail_owed(opened, subscription, failure, raw)
    except Exception as cause:
        _fail_owed(opened, subscription, _query_bug(cause), raw)


def _query_bug(cause: Exception) -> Bug:
    bug = Bug("unknown", "Something went wrong in the server while running this query.")
    bug.__cause__ = cause
    return bug


async def _add_slow_query(opened: OpenedSession, subscription: Subscription, raw: bytes) -> None:
    try:
        live = await _watch(opened, subscription)
    except TriceError as failure:
        _fail_owed(opened, subscription, failure, raw)
        return
    except Exception as cause:
        _fail_owed(opened, subscription, _query_bug(cause), raw)
        return
    _begin(opened, subscription, live)


async def _watch(opened: OpenedSession, subscription: Subscription) -> LiveQuery:
    """Watch the question of the subscription, until the one that was answered is still its own."""
    while True:
        question = subscription.question
        try:
            live = await opened.database.watch(question, subscription)
        except RightsChanged:
            opened.ask_again(subscription)
            continue
        if subscription.question is question and not live.is_outdated:
            return live
        opened.database.unwatch(live, subscription)
        if subscription.question is question:
            opened.ask_again(subscription)


def _fail_owed(
    opened: OpenedSession, subscription: Subscription, failure: TriceError, raw: bytes
) -> None:
    waiting = opened.state.take_owed(subscription)
    opened.disconnect(opened.state.forget(subscription))
    for owed in waiting:
        opened.session.fail(failure, raw=raw, event_id=owed.event_id)


def _begin(opened: OpenedSession, subscription: Subscription, live: LiveQuery) -> None:
    subscription.show(live)
    if not subscription.is_wanted:
        opened.disconnect(opened.state.forget(subscription))
        return
    _answer(opened, subscription)


def _answer(opened: OpenedSession, subscription: Subscription) -> None:
    """Send the current answer, once for each add-query that waits for it."""
    live = subscription.live
    assert live is not None
    owed = opened.state.take_owed(subscription)
    if live.answer is None or live.error is not None:
        failure = live.error or Bug("unknown", "This query has no answer yet.")
        raw = echo_query(subscription.question)
        for one in owed:
            opened.session.fail(failure, raw=raw, event_id=one.event_id)
        return
    opened.tell_catalog_first()
    for one in owed:
        opened.session.push(
            answer_frame(
                subscription,
                live,
                meta_json=live.answer.meta_json,
                owed=one,
                extension=opened.extension,
                deltas=opened.database.deltas,
            )
        )
    opened.state.told(subscription)


def remove_query(
    opened: OpenedSession, message: up.RemoveQuery, raw: bytes, letter: Letter | None
) -> None:
    """End the subscriptions to `q`, in every shape it was asked for."""
    q_json = b"null"
    if isinstance(message.q, dict):
        q_json = _q_json(message.q)
        key = query_key(message.q)
        for shape in ("flat", "tree", "tree-one"):
            removed = opened.state.remove_query((shape, key))
            if removed is not None:
                opened.disconnect(removed)
                opened.count_queries()
    opened.session.push(down.remove_query_ok(q_json, event_id=message.client_event_id))


def _prepare(opened: OpenedSession, message: up.AddQuery) -> Prepared:
    if not isinstance(message.q, dict):
        raise invalid(
            "query",
            message.q,
            [{"expected": "map?", "in": [], "message": "A query must be an object."}],
        )
    try:
        return opened.database.prepare(message.q, identity=opened.identity, shape=_shape(message))
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


def check_long(message: up.AddQuery | up.RemoveQuery, raw: bytes) -> None:
    """On the thread that read a long message: refuse a query that is too large to be the key under
    which its answer is shared."""
    if len(raw) > limits.QUERY_BYTES_MAX:
        raise LimitExceeded(
            "parameter-limit-exceeded",
            f"The query has {len(raw):,} bytes; {limits.QUERY_BYTES_MAX:,} are accepted. Use fewer"
            " values in `$in`, or a link in its place.",
            {"bytes": len(raw), "bytes-max": limits.QUERY_BYTES_MAX},
        )
