"""Lines of functions in files that are thrown away as new ones come."""

from __future__ import annotations

import asyncio

import pytest

from support.runtime import FakeRuntime
from trice import function_limits as limits
from trice.calls.log_ring import Logs, Wanted
from trice.errors import Unavailable

ALL = Wanted()


def note(logs: Logs, text: str, app: str = "app", **options: str) -> None:
    given = {"function": "a.b", "trace": "t", "level": "info", **options}
    logs.note(app, text=text, **given)


@pytest.fixture
def runtime():
    return FakeRuntime()


@pytest.fixture
async def logs(tmp_path, runtime, exits):
    made = Logs(tmp_path, runtime=runtime)
    exits.push_async_callback(made.close)
    return made


@pytest.mark.rule("FN300")
async def test_lines_are_kept_in_order_and_survive_a_restart(logs, tmp_path):
    for at in range(5):
        note(logs, f"line {at}")
    note(logs, "of another app", app="other")
    lines, place = await logs.read("app", after=None, wanted=ALL)
    assert [line.text for line in lines] == [f"line {at}" for at in range(5)]
    note(logs, "more\nlines")
    again = Logs(tmp_path, runtime=FakeRuntime())
    await logs.flush()
    lines, after = await again.read("app", after=place, wanted=ALL)
    assert [line.text for line in lines] == ["more\nlines"]
    assert await again.read("app", after=after, wanted=ALL) == ([], after)
    assert await again.read("nobody", after=None, wanted=ALL) == ([], 0)


@pytest.mark.rule("FN301")
async def test_lines_are_chosen_by_function_trace_and_level(logs):
    note(logs, "1", function="a.b", trace="x", level="debug")
    note(logs, "2", function="a.c", trace="x", level="warning")
    note(logs, "3", function="a.c", trace="y", level="error")

    async def texts(**wanted):
        lines, _ = await logs.read("app", after=None, wanted=Wanted(**wanted))
        return [line.text for line in lines]

    assert await texts() == ["1", "2", "3"]
    assert await texts(function="a.c") == ["2", "3"]
    assert await texts(trace="x") == ["1", "2"]
    note(logs, "4", trace="0af7651916cd43dd8448eb211c80319c")
    assert await texts(trace="0af76519") == ["4"], "as logs show it: its beginning"
    assert await texts(level="warning") == ["2", "3"]
    assert await texts(level="error", trace="x") == []


@pytest.mark.rule("FN302")
async def test_the_oldest_lines_are_thrown_away(logs, tmp_path, monkeypatch):
    monkeypatch.setattr(limits, "LOG_BYTES_MAX", 4_000)
    monkeypatch.setattr(limits, "LOG_SEGMENT_BYTES", 1_000)
    first = None
    for at in range(200):
        note(logs, f"{at}")
        await logs.flush()
        if first is None:
            _, first = await logs.read("app", after=None, wanted=ALL)
    files = sorted((tmp_path / "app" / "logs").iterdir())
    assert sum(path.stat().st_size for path in files) <= 4_000
    # Whoever asks from a place that is gone goes on with the oldest line that is there.
    seen, place = [], first
    while True:
        lines, after = await logs.read("app", after=place, wanted=ALL)
        seen += [int(line.text) for line in lines]
        if after == place:
            break
        place = after
    assert seen == list(range(seen[0], 200))
    assert 20 < len(seen) < 200


@pytest.mark.rule("FN302")
async def test_a_tail_begins_with_a_whole_line(logs, monkeypatch):
    for at in range(100):
        note(logs, f"line {at}")
    monkeypatch.setattr(limits, "LOG_TAIL_BYTES", 500)
    lines, _ = await logs.read("app", after=None, wanted=ALL)
    assert 0 < len(lines) < 10
    assert [line.text for line in lines][-1] == "line 99"


@pytest.mark.rule("FN303")
async def test_lines_that_come_too_fast_are_dropped_and_counted(logs, monkeypatch):
    monkeypatch.setattr(limits, "LOG_WAITING_BYTES", 1_000)
    for at in range(500):
        note(logs, f"{at}")
    lines, _ = await logs.read("app", after=None, wanted=ALL)
    assert lines[-1].level == "warning"
    kept = len(lines) - 1
    assert lines[-1].text == f"{500 - kept} lines came faster than they could be kept"


@pytest.mark.rule("FN303")
async def test_a_long_line_is_cut(logs):
    note(logs, "x" * 100_000)
    lines, _ = await logs.read("app", after=None, wanted=ALL)
    assert len(lines[0].text) == limits.LOG_TEXT_CHARS_MAX


@pytest.mark.rule("FN304")
async def test_who_follows_gets_lines_as_they_come(logs):
    note(logs, "old")
    following = logs.follow("app", after=None, wanted=Wanted(level="warning"))
    lines, _ = await anext(following)
    assert lines == []
    note(logs, "not wanted")
    waiting = asyncio.ensure_future(anext(following))
    note(logs, "wanted", level="error")
    lines, place = await waiting
    assert [line.text for line in lines] == ["wanted"]
    for at in range(20):
        waiting = asyncio.ensure_future(anext(following))
        await asyncio.sleep(0)
        note(logs, f"{at}", level="error")
        lines, place = await waiting
        if not lines:
            lines, place = await anext(following)
        assert [line.text for line in lines] == [f"{at}"]
    await following.aclose()
    assert place > 0


@pytest.mark.rule("FN304")
async def test_quiet_is_told_and_an_answer_ends(logs, runtime, monkeypatch):
    monkeypatch.setattr(limits, "LOG_QUIET_MS", 1)
    following = logs.follow("app", after=None, wanted=ALL)
    assert [await anext(following) for _ in range(3)] == [([], 0)] * 3
    runtime.advance(limits.LOG_FOLLOW_MS)
    with pytest.raises(StopAsyncIteration):
        await anext(following)


@pytest.mark.rule("FN304")
async def test_followers_are_bounded_and_leave_their_places(logs, monkeypatch):
    monkeypatch.setattr(limits, "LOG_FOLLOWERS_MAX", 2)
    some = [logs.follow("app", after=None, wanted=ALL) for _ in range(3)]
    await anext(some[0])
    await anext(some[1])
    with pytest.raises(Unavailable, match="2 follow the log"):
        await anext(some[2])
    await some[0].aclose()
    another = logs.follow("app", after=None, wanted=ALL)
    await anext(another)
    for each in (some[1], another):
        await each.aclose()


@pytest.mark.rule("FN300")
async def test_a_disk_that_takes_nothing_stops_no_call(logs, tmp_path, caplog):
    (tmp_path / "app").write_text("no folder")
    note(logs, "lost")
    await logs.flush()
    assert "log not written" in caplog.text
