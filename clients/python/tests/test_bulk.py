"""How much of many rows is held at once. `make bulk` does it with a million, and measures."""

from __future__ import annotations

import gc
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from client_apps import App
from trice_client import AsyncClient, Client, TriceError, new_id

ROWS = 2_300
PAGE = 500
ASKED = [PAGE] * 4 + [ROWS % PAGE]


class Watching(httpx.HTTPTransport):
    """Notes what is sent, and what `seen` says at that time."""

    def __init__(self) -> None:
        super().__init__()
        self.sent: list[tuple[str, Any, int]] = []
        self.seen: Callable[[], int] = lambda: 0

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        self.sent.append((request.url.path, json.loads(request.read()), self.seen()))
        return super().handle_request(request)

    def pages(self) -> list[int]:
        return [seen for path, _, seen in self.sent if path == "/admin/query"]

    def batches(self) -> list[int]:
        return [len(body["steps"]) for path, body, _ in self.sent if path == "/admin/transact"]


def filled(app: App, watching: Watching) -> Any:
    db = app.sync(transport=watching)
    db.transact(db.tx.todos[new_id()].create({"n": n}) for n in range(ROWS))
    watching.sent.clear()
    return db


@pytest.mark.rule("PY40", "PY87")
def test_a_page_is_asked_for_once_the_one_before_was_read(app: App) -> None:
    watching, read = Watching(), list[int]()
    watching.seen = lambda: len(read)
    with filled(app, watching) as db:
        for row in db.iterate("todos", page_rows=PAGE, order={"n": "asc"}):
            read.append(row["n"])
        assert read == list(range(ROWS))
        assert watching.pages() == [0, 500, 1_000, 1_500, 2_000]
        # Who stops early asks for no more.
        watching.sent.clear()
        rows = db.iterate("todos", page_rows=PAGE)
        next(rows)
        rows.close()
        assert len(watching.pages()) == 1


@pytest.mark.rule("PY87")
@pytest.mark.anyio
async def test_answers_that_were_read_are_let_go_without_the_garbage_collector() -> None:
    """Else the bodies of a hundred pages would wait for it."""
    meta = {"page-info": {"todos": {"has-next-page?": True, "end-cursor": "x"}}}
    page = {"result": {"todos": [{"n": 1}]}, "result-meta": meta}

    def answer(request: httpx.Request) -> httpx.Response:
        is_refused = request.url.path != "/admin/query"
        return httpx.Response(400 if is_refused else 200, json=page)

    def held() -> int:
        kinds = (httpx.Response, httpx.Request)
        return sum(isinstance(each, kinds) for each in gc.get_objects())

    transport = httpx.MockTransport(answer)
    gc.collect()
    before = held()
    gc.disable()
    try:
        async with AsyncClient("x", admin_token="x", transport=transport) as db:
            pages = db.iterate("todos")
            for _ in range(20):
                await anext(pages)
            for _ in range(20):
                with pytest.raises(TriceError):
                    await db.auth.create_guest()
            assert held() - before <= 4
            await pages.aclose()
        with Client("x", admin_token="x", transport=transport) as sync_db:
            rows = sync_db.iterate("todos")
            for _ in range(20):
                next(rows)
            assert held() - before <= 4
    finally:
        gc.enable()


@pytest.mark.rule("PY42", "PY87")
def test_an_export_holds_a_page(app: App, tmp_path: Path) -> None:
    watching, told = Watching(), list[int]()

    def lines() -> int:
        """Of the file that is being written; its name is its own until it is whole."""
        assert not (tmp_path / "todos.jsonl").exists()
        return sum(told[-1:])

    with filled(app, watching) as db:
        watching.seen = lines
        count = db.export_jsonl(
            "todos", tmp_path / "todos.jsonl", page_rows=PAGE, on_progress=told.append
        )
        assert count == ROWS and watching.pages() == [0, 500, 1_000, 1_500, 2_000]
    assert len((tmp_path / "todos.jsonl").read_bytes().splitlines()) == ROWS


@pytest.mark.rule("PY41", "PY87")
def test_a_batch_is_one_request_and_rows_are_read_as_it_needs_them(
    app: App, tmp_path: Path
) -> None:
    watching, made = Watching(), list[int]()

    def chunks() -> Any:
        for n in range(ROWS):
            made.append(n)
            yield db.tx.todos[new_id()].create({"n": n})

    with app.sync(transport=watching) as db:
        watching.seen = lambda: len(made)
        assert db.transact_many(chunks(), batch_rows=PAGE) == ROWS
        assert watching.batches() == ASKED
        assert [seen for _, _, seen in watching.sent] == [500, 1_000, 1_500, 2_000, 2_300]
        watching.sent.clear()
        source = tmp_path / "some.jsonl"
        source.write_text("".join(f'{{"n": {n}}}\n' for n in range(ROWS)))
        assert db.import_jsonl("todos", source, batch_rows=PAGE) == ROWS
        assert watching.batches() == ASKED
        assert db.totals("todos", {"count": True}) == {"count": 2 * ROWS}
