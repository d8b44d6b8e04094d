"""How often functions are called, and who waits: rates, places, turns."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from support.called_functions import Ctx, FunctionRaised
from support.watched_calls import IDS, Stage, call, refusal, user, watched_calls
from trice import function_limits
from trice.errors import Unavailable
from trice.identity import ADMIN, Identity


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    async with watched_calls(tmp_path) as stage:
        yield stage


async def echo(ctx: Ctx) -> Any:
    return ctx.args


@pytest.mark.rule("FN210")
@pytest.mark.parametrize(
    ("rate", "same", "others"),
    [
        ("2/minute per user", user(0, "10.0.0.1"), [user(1, "10.0.0.1")]),
        ("2/minute per ip", user(0, "10.0.0.1"), [user(0, "10.0.0.2")]),
        ("2/minute per app", user(0, "10.0.0.1"), []),
    ],
)
async def test_a_rate_counts_by_who(
    stage: Stage, rate: str, same: Identity, others: list[Identity]
) -> None:
    stage.project.add(echo, rate=rate)
    stage.project.deploy(stage.app.id)
    for _ in range(2):
        await call(stage, "t.echo", same)
    failure = await refusal(stage, "t.echo", same)
    assert failure.code == "rate-limited"
    assert 0 < failure.hint["retry-after"] <= 30_000
    for other in others:
        await call(stage, "t.echo", other)
    await call(stage, "t.echo", ADMIN)

    stage.runtime.advance(failure.hint["retry-after"])
    await call(stage, "t.echo", same)
    assert (await refusal(stage, "t.echo", same)).code == "rate-limited"


@pytest.mark.rule("FN211")
async def test_a_rate_counts_by_an_argument(stage: Stage) -> None:
    args = {"type": "object", "properties": {"channel": {}}}
    stage.project.add(echo, rate="1/minute per channel", args=args)
    stage.project.deploy(stage.app.id)
    for channel in ("a", "b", {"deep": [1]}):
        await call(stage, "t.echo", channel=channel)
        assert (await refusal(stage, "t.echo", channel=channel)).code == "rate-limited"


@pytest.mark.rule("FN211")
@pytest.mark.parametrize(
    ("first", "again"), [(IDS[0], IDS[0].upper()), ("Ann@x.test", " ann@X.test"), (1, 1.0)]
)
async def test_who_writes_an_argument_otherwise_gets_no_more_calls(
    stage: Stage, first: Any, again: Any
) -> None:
    args = {"type": "object", "properties": {"channel": {}}}
    stage.project.add(echo, rate="1/minute per channel", args=args)
    stage.project.deploy(stage.app.id)
    await call(stage, "t.echo", channel=first)
    assert (await refusal(stage, "t.echo", channel=again)).code == "rate-limited"


@pytest.mark.rule("FN212")
async def test_an_event_id_takes_one_token(stage: Stage) -> None:
    async def fussy(ctx: Ctx) -> Any:
        if stage.project.runs["t.fussy"] < 4:
            raise FunctionRaised("not-yet", "Not yet.")
        return "done"

    stage.project.add(fussy, kind="mutation", rate="1/day per app")
    stage.project.deploy(stage.app.id)
    for _ in range(3):
        assert (await refusal(stage, "t.fussy", event_id="e1")).code == "function-error"
    assert (await call(stage, "t.fussy", event_id="e1")).value == b'"done"'
    assert (await refusal(stage, "t.fussy", event_id="e2")).code == "rate-limited"


@pytest.mark.rule("FN212")
async def test_an_event_id_is_no_way_around_a_rate(stage: Stage) -> None:
    async def costly(ctx: Ctx) -> Any:
        raise FunctionRaised("wrong", "Wrong.")

    stage.project.add(costly, kind="mutation", rate="2/day per app")
    stage.project.deploy(stage.app.id)
    for _ in range(2 * (1 + function_limits.RESENT_MAX)):
        assert (await refusal(stage, "t.costly", event_id="e1")).code == "function-error"
    assert (await refusal(stage, "t.costly", event_id="e1")).code == "rate-limited"


# --- places ---------------------------------------------------------------------------------------


@pytest.mark.rule("FN208")
async def test_more_calls_than_may_wait_are_refused(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trice.function_limits.CALLS_WAITING_MAX", 2)
    gate, is_full = asyncio.Event(), asyncio.Event()

    async def wait(ctx: Ctx) -> Any:
        if stage.project.runs["t.wait"] == 32:
            is_full.set()
        await gate.wait()

    stage.project.add(wait)
    stage.project.deploy(stage.app.id)
    calls = [asyncio.create_task(call(stage, "t.wait")) for _ in range(32 + 2)]
    await is_full.wait()
    with pytest.raises(Unavailable) as refused:
        await call(stage, "t.wait")
    assert refused.value.code == "overloaded"
    gate.set()
    await asyncio.gather(*calls)
    assert stage.project.runs["t.wait"] == 34


@pytest.mark.rule("FN208")
@pytest.mark.parametrize("kind", ["query", "mutation", "action"])
async def test_who_calls_much_waits_behind_others(stage: Stage, kind: str) -> None:
    gate, is_full = asyncio.Event(), asyncio.Event()
    most = 64 if kind == "action" else 32

    async def wait(ctx: Ctx) -> Any:
        if stage.project.runs["t.wait"] == most:
            is_full.set()
        if not ctx.args.get("is_last"):
            await gate.wait()

    stage.project.add(wait, kind=kind)
    stage.project.deploy(stage.app.id)
    calls = [asyncio.create_task(call(stage, "t.wait", ip="10.0.0.1")) for _ in range(most)]
    await is_full.wait()
    last = [
        asyncio.create_task(call(stage, "t.wait", ip="10.0.0.1", is_last=True)) for _ in range(200)
    ]
    other = asyncio.create_task(call(stage, "t.wait", ip="10.0.0.2", is_last=True))
    for task in other, *last:
        task.add_done_callback(lambda done: ended.append(done))
    ended: list[asyncio.Task[Any]] = []
    await asyncio.sleep(0)
    gate.set()
    await asyncio.gather(*calls, *last, other)
    assert ended.index(other) <= most
