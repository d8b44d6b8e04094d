"""What a session sends and tells, without a connection."""

from __future__ import annotations

from typing import Any

import anyio
import pytest

from trice_client import TriceError
from trice_client._config import make_caller
from trice_client._live.room import Topic, TopicMessage
from trice_client._live.session import Session
from trice_client._live.wire import decode, encode

QUERY = {"todos": {}}
APP = "00000000-0000-4000-8000-000000000000"
OPENED = {"op": "init-ok", "session-id": "me", "trice": {"version": 1, "features": ["resume"]}}


def open_session() -> Session:
    session = Session(make_caller(APP, None, None))
    told(session, OPENED)
    return session


def told(session: Session, *messages: dict[str, Any]) -> None:
    for message in messages:
        for each in decode(encode(message)):
            session.take(each)


def answer(asked: dict[str, Any], **more: Any) -> dict[str, Any]:
    named = {"query-id": "a1", "version": "b1", "processed-tx-id": 3}
    return {"op": "add-query-ok", "client-event-id": asked["client-event-id"], **named, **more}


@pytest.mark.rule("PY34")
@pytest.mark.anyio
async def test_who_watches_the_same_shares_one_subscription() -> None:
    session = open_session()
    first = session.watch_query({"todos": {}, "people": {}}, lambda each: each)
    second = session.watch_query({"people": {}, "todos": {}}, lambda each: each)
    (asked,) = await session.mail()
    assert asked["op"] == "add-query"
    await first.aclose()
    told(session, answer(asked, result={"todos": []}))
    assert (await anext(second)).data == {"todos": []}
    await second.aclose()
    (ended,) = await session.mail()
    assert ended["op"] == "remove-query"


@pytest.mark.rule("PY31")
@pytest.mark.anyio
async def test_after_a_lost_connection_what_is_held_is_said() -> None:
    session = open_session()
    live = session.watch_query(QUERY, lambda each: each.data)
    (asked,) = await session.mail()
    told(session, answer(asked, result={"todos": [1]}))
    assert await anext(live) == {"todos": [1]}
    session.lost()
    told(session, OPENED)
    (again,) = await session.mail()
    assert again["held"] == "b1"
    told(session, answer(again, **{"from": "b1"}))
    with anyio.move_on_after(0) as nothing:
        await anext(live)
    assert nothing.cancelled_caught
    news = {"query-id": "a1", "version": "b2", "instaql-query": QUERY}
    told(
        session,
        {
            "op": "refresh-ok",
            "processed-tx-id": 4,
            "computations": [{**news, "instaql-result": {"todos": [2]}, "result-changed?": True}],
        },
    )
    assert await anext(live) == {"todos": [2]}


@pytest.mark.rule("PY33")
@pytest.mark.anyio
async def test_a_refusal_ends_what_was_refused_alone() -> None:
    session = open_session()
    bad, good = (session.watch_query({name: {}}, lambda each: each.data) for name in "bg")
    asked, other = await session.mail()
    refusal = {"type": "validation-failed", "message": "no", "hint": {}, "status": 400}
    told(session, {"op": "error", "client-event-id": asked["client-event-id"], **refusal})
    told(session, answer(other, result={"g": []}))
    with pytest.raises(TriceError, match="no"):
        await anext(bad)
    assert bad.is_closed and await anext(good) == {"g": []}
    later: list[Any] = []
    session.later = lambda after_s, work: later.append((after_s, work))
    busy = session.watch_query({"h": {}}, lambda each: each.data)
    (asked,) = await session.mail()
    refusal = {**refusal, "type": "rate-limited", "hint": {"retry-after": 2_000}}
    told(session, {"op": "error", "client-event-id": asked["client-event-id"], **refusal})
    ((after_s, work),) = later
    work()
    (again,) = await session.mail()
    assert (after_s, again["q"], busy.is_closed) == (2, {"h": {}}, False)


@pytest.mark.rule("PY35")
@pytest.mark.anyio
async def test_messages_that_nobody_reads_are_bounded() -> None:
    topic = Topic("t", lambda _: None)
    for n in range(1_500):
        topic.tell(TopicMessage("t", n, None))
    assert topic.missed == 500
    assert (await anext(topic)).data == 500
