"""Plain functions: on a thread, with the words of async ones, which block."""

from __future__ import annotations

import asyncio
import inspect
import runpy
from pathlib import Path
from typing import Any

import pytest

from support.function_stage import open_stage
from trice.functions import blocking, contexts
from trice.functions.call_thread import CallThread, start_thread

ROOT = Path(__file__).resolve().parents[3]
ID = "e0000001-0000-4000-8000-000000000000"


@pytest.mark.rule("FN650")
async def test_plain_functions_read_write_and_run_others(tmp_path: Path) -> None:
    async with open_stage(tmp_path, "plain") as stage:
        user = await stage.user(ID, nickname="al")
        made = await stage.call("notes.add", text="b")
        assert await stage.ask({"notes": {}}) == {"notes": [{"id": made, "text": "b", "seen": 0}]}
        assert await stage.call("notes.acts", text="a") == ["a", "b"]
        assert await stage.call("notes.asks", user=user) == [2, 2, ["a", "b"], "al"]
        failed = await stage.fail("notes.add", text="")
        assert (failed.code, failed.data) == (
            "function-error",
            {"code": "empty", "data": {"text": ""}},
        )
        assert await stage.call("notes.texts") == ["a", "b"]


@pytest.mark.rule("FN650")
async def test_async_and_plain_functions_run_each_other_on_one_thread(tmp_path: Path) -> None:
    async with open_stage(tmp_path, "plain") as stage:
        started = []
        stage.program.start_thread = lambda run: (started.append(run), start_thread(run))
        assert await stage.call("notes.add_two", text="a", other="b") == [2, 2]
        assert await stage.call("notes.texts") == ["a", "b"]
        await stage.call("notes.nested", text="c")
        assert len(started) == 4 + 1 + 1, "add, add, nested, texts; texts; nested"


@pytest.mark.rule("FN650")
async def test_what_a_plain_function_raises_is_told_as_of_async_ones(tmp_path: Path) -> None:
    async with open_stage(tmp_path, "plain") as stage:
        failed = await stage.fail("notes.fails")
        assert failed.code == "function-failed"
        first, *_, last = failed.traceback.strip().splitlines()
        assert first == "Traceback (most recent call last):"
        assert last == "RuntimeError: coroutine raised StopIteration", "as Python has it"
        assert "StopIteration: by nothing" in failed.traceback
        assert 'File "functions/notes.py"' in failed.traceback
        assert "call_thread" not in failed.traceback
        assert "on the thread of its function" in await stage.call("notes.leaks")


@pytest.mark.rule("FN650")
def test_the_words_of_plain_functions_are_those_of_async_ones() -> None:
    """A word that one of them gets, the other has too, with the same parameters."""
    for kind in ("Context", "Reader", "Query", "Mutation", "Action"):
        ours, theirs = getattr(blocking, kind), getattr(contexts, kind)
        assert _words(ours) == _words(theirs), kind


def _words(cls: Any) -> dict[str, list[str]]:
    internal = ("call_async", "call_blocking", "begin_step", "end_step")
    return {
        name: list(inspect.signature(word).parameters) if inspect.isfunction(word) else []
        for name, word in inspect.getmembers(cls)
        if not name.startswith("_") and name not in internal
    }


@pytest.mark.rule("FN650")
def test_tables_of_plain_functions_are_as_new_as_those_of_async_ones() -> None:
    """`make gen` writes them."""
    made = runpy.run_path(str(ROOT / "scripts" / "blocking.py"))
    assert made["TARGET"].read_text(encoding="utf-8") == made["blocking_tables"]()


@pytest.mark.rule("FN651")
async def test_a_thread_whose_call_is_over_waits_for_nothing_more() -> None:
    thread = CallThread(start_thread)
    told: list[str] = []
    loop = asyncio.get_running_loop()
    begun = asyncio.Event()

    async def for_ever() -> None:
        begun.set()
        await asyncio.Event().wait()

    def body() -> None:
        for _ in range(2):
            try:
                thread.wait(for_ever())
            except asyncio.CancelledError:
                told.append("over")
        loop.call_soon_threadsafe(over.set)

    over = asyncio.Event()
    call = asyncio.create_task(thread.work(body))
    await begun.wait()
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    await over.wait()
    assert told == ["over", "over"], "now, and at once the next time"
    assert await thread.work(lambda: "another one") == "another one"
