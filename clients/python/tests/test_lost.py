"""Answers that are lost, servers that cannot now: without a network."""

from __future__ import annotations

import json
import pickle
import sys
import tracemalloc
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from enum import Enum
from typing import Any
from uuid import UUID

import httpx
import pytest

from trice_client import ActionFunction, Client, MutationFunction, TriceError, new_id, tx
from trice_client._live.backoff import Backoff
from trice_client._live.presence import apply_edits
from trice_client._plain import plain
from trice_client._retry import wait_s

Answer = Callable[[httpx.Request], httpx.Response]
APP = "00000000-0000-4000-8000-000000000000"


def client(answer: Answer, **more: Any) -> Client:
    return Client(APP, admin_token="secret", transport=httpx.MockTransport(answer), **more)


def lost(request: httpx.Request) -> httpx.Response:
    raise httpx.ReadError("lost", request=request)


def refuse(code: str, status: int, **hint: Any) -> httpx.Response:
    return httpx.Response(status, json={"type": code, "message": "no", "hint": hint})


class Server:
    """Answers in turn; the last one stays. It keeps what it was asked."""

    def __init__(self, *answers: Answer) -> None:
        self.answers = list(answers)
        self.asked: list[httpx.Request] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        return answer(request)


@pytest.mark.rule("PY5")
def test_a_write_is_sent_again_under_its_id() -> None:
    server = Server(lost, lambda _: refuse("overloaded", 503), lambda _: good({"tx-id": 7}))
    with client(server) as db:
        assert db.transact(tx.todos[new_id()].update({"n": 1})) == 7
    keys = [each.headers["idempotency-key"] for each in server.asked]
    assert len(keys) == 3 and len(set(keys)) == 1
    assert len({each.content for each in server.asked}) == 1


@pytest.mark.rule("PY5", "PY6")
def test_mutations_are_sent_again_and_actions_are_not() -> None:
    mutation: MutationFunction[dict[str, int], int] = MutationFunction("a.b")
    action: ActionFunction[dict[str, int], int] = ActionFunction("a.c")
    server = Server(lost, lambda _: good({"value": 3, "tx": 1}))
    with client(server) as db:
        assert db.call(mutation, {"n": 1}) == 3
        for fn in (action, "a.c"):
            server.answers = [lost]
            server.asked.clear()
            with pytest.raises(TriceError) as refused:
                db.call(fn, {"n": 1})  # type: ignore[call-overload]
            assert (refused.value.code, len(server.asked)) == ("call-lost", 1)
        server.answers = [lambda _: refuse("rate-limited", 429), lambda _: good({"value": 4})]
        assert db.call(action, {"n": 1}) == 4


@pytest.mark.rule("PY6")
def test_a_code_is_used_up_once() -> None:
    server = Server(lost)
    with client(server) as db, pytest.raises(TriceError) as refused:
        db.auth.sign_in_with_magic_code("ann@example.com", "123456")
    assert (refused.value.code, len(server.asked)) == ("offline", 1)


@pytest.mark.rule("PY7")
def test_tries_end_and_wait_as_long_as_asked() -> None:
    server = Server(lambda _: refuse("rate-limited", 429, **{"retry-after": 60_000}))
    with client(server) as db, pytest.raises(TriceError) as refused:
        db.query({"todos": {}})
    assert (refused.value.retry_after_s, len(server.asked)) == (60, 1)
    error = TriceError("offline", "gone")
    assert [wait_s(n, 0.5, error) for n in (1, 2, 3, 20)] == [0.25, 0.5, 1.0, 8.0]
    backoff = Backoff()
    assert [backoff.next_s(0, 0, 1.0) for _ in range(3)] == [0.25, 1.0, 2.0]
    assert backoff.next_s(0, 31, 1.0) == 0.25
    assert Backoff().next_s(1012, 99, 1.0) == 5.0


@pytest.mark.rule("PY8")
def test_errors_read_well() -> None:
    hint = {"path": ["text"], "expected": "text", "got": 3}
    server = Server(lambda _: refuse("bad-args", 400, **hint))
    with client(server) as db, pytest.raises(TriceError) as refused:
        db.call("a.b")
    error = refused.value
    assert repr(error) == "TriceError('bad-args', 'no', path=['text'], expected='text', status=400)"
    again = pickle.loads(pickle.dumps(error))
    assert (again.code, again.hint, str(again)) == (error.code, error.hint, "no")
    server.answers = [lambda _: httpx.Response(400, text="<html>")]
    with client(server) as db, pytest.raises(TriceError, match="<html>"):
        db.query({"todos": {}})
    server.answers = [lambda _: httpx.Response(200, text="<html>")]
    with client(server) as db, pytest.raises(TriceError, match="trice server"):
        db.query({"todos": {}})
    with pytest.raises(TriceError, match="https://data"):
        Client(APP, server="localhost:8888")
    with pytest.raises(TriceError, match="is closed"):
        db.query({"todos": {}})


class Color(Enum):
    RED = "red"


@pytest.mark.rule("PY4")
def test_values_are_as_json_has_them() -> None:
    at = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    given = {
        "at": at,
        "day": date(2026, 1, 2),
        "id": UUID(APP),
        "price": Decimal("1.10"),
        "color": Color.RED,
        "bytes": b"\x00",
        "for": timedelta(seconds=90),
        "all": (1, [None, {"x": 1.5}]),
    }
    assert plain(given) == {
        "at": "2026-01-02T03:04:05+00:00",
        "day": "2026-01-02",
        "id": APP,
        "price": "1.10",
        "color": "red",
        "bytes": "AA==",
        "for": "PT90S",
        "all": [1, [None, {"x": 1.5}]],
    }
    for bad, path in (
        ({"a": [float("nan")]}, ["a", 0]),
        ({"at": datetime(2026, 1, 2)}, ["at"]),
        ({"x": object()}, ["x"]),
        ({1: 2}, []),
    ):
        with pytest.raises(TriceError) as refused:
            plain(bad)
        assert (refused.value.code, refused.value.path) == ("value-malformed", path)
    with pytest.raises(TriceError, match="nothing to do"), client(lost) as db:
        db.transact(tx.todos["x"])


@pytest.mark.rule("PY40")
def test_a_million_rows_take_the_memory_of_a_page() -> None:
    """Served here from memory: what is measured is the client."""
    rows, pages = 1_000, 100
    page = {"has-next-page?": True, "end-cursor": ["e", "a", "v", 1]}
    body = {"result": {"todos": [{"id": str(n)} for n in range(rows)]}}
    raw = json.dumps({**body, "result-meta": {"page-info": {"todos": page}}}).encode()

    def answer(_: httpx.Request) -> httpx.Response:
        return httpx.Response(200, content=raw)

    def peak(wanted: int) -> int:
        tracemalloc.start()
        with client(answer) as db:
            for _, _ in zip(range(wanted), db.iterate("todos"), strict=False):
                pass
        found = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return found

    peak(rows)
    few, many = peak(5 * rows), peak(pages * rows)
    sys.stdout.write(f"peak of {5 * rows:,} rows: {few:,} bytes; of {pages * rows:,}: {many:,}\n")
    assert many < 1.5 * few


@pytest.mark.rule("PY50")
def test_an_upload_goes_on_from_where_the_server_has_it() -> None:
    content = bytes(range(256)) * 4_096
    kept, broken = bytearray(), [True]

    def answer(request: httpx.Request) -> httpx.Response:
        told = {"upload-offset": str(len(kept))}
        if request.method == "POST":
            return httpx.Response(201, headers={**told, "location": "/admin/storage/tus/1"})
        if request.method == "PATCH":
            assert int(request.headers["upload-offset"]) == len(kept)
            if broken and len(kept) > 300_000:
                kept.extend(request.content[:1_000])
                broken.clear()
                lost(request)
            kept.extend(request.content)
            told = {"upload-offset": str(len(kept))}
        done = {"trice-file-id": "f"} if len(kept) == len(content) else {}
        return httpx.Response(204, headers={**told, **done})

    with client(answer) as db:
        assert db.storage.upload("a", content) == "f"
    assert bytes(kept) == content and not broken


@pytest.mark.rule("PY51")
def test_a_text_whose_answer_was_lost_is_in_the_stream_once() -> None:
    kept, broken = bytearray(), [True]

    def answer(request: httpx.Request) -> httpx.Response:
        if request.method == "POST":
            if int(request.url.params["offset"]) != len(kept):
                return refuse("stream-conflict", 409)
            kept.extend(request.content)
            if broken:
                broken.clear()
                lost(request)
        return httpx.Response(204, headers={"stream-next-offset": str(len(kept))})

    with client(answer) as db, db.streams.write("s") as stream:
        stream.write("Hello ")
        stream.write("world")
    assert kept == b"Hello world"


@pytest.mark.rule("PY35")
def test_edits_of_presence() -> None:
    members: dict[str, Any] = {"a": {"data": {"x": [1, 2]}}}
    apply_edits(
        members,
        [
            [["b"], "+", {"data": {}}],
            [["a", "data", "x", 1], "+", 9],
            [["a", "data", "x", 0], "-"],
            [["a", "data", "y", "z"], "r", True],
            [["gone", "data"], "-"],
        ],
    )
    assert members == {"a": {"data": {"x": [9, 2], "y": {"z": True}}}, "b": {"data": {}}}


def good(body: Any) -> httpx.Response:
    return httpx.Response(200, json=body)
