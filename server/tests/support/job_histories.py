"""What jobs do that are played on servers that end, and what must be true in the end."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

from support.job_stage import Ctx, RetryPlan, Stage

NAMES = ("note", "note", "send_once", "send_sure", "shop")
"""Functions to schedule, by how often."""

SURE = RetryPlan(times=100, first_ms=100, most_ms=1_000)


async def note(ctx: Ctx) -> None:
    """A mutation, which may schedule another."""
    ctx.note(ctx.job.id)
    left = ctx.job.args.get("left", 0)
    if left:
        wait_ms = ctx.job.args["in"]
        ctx.later("note", {"left": left - 1, "in": wait_ms}, in_ms=wait_ms)


async def send(ctx: Ctx) -> None:
    """An action; with or without retry."""
    await ctx.effect(f"sent {ctx.job.id}")


async def shop(ctx: Ctx) -> list[Any]:
    """An action in steps, one of which runs once only."""
    job_id = ctx.job.id

    async def charge() -> str:
        await ctx.effect(f"charged {job_id}")
        return "charged"

    async def pack() -> int:
        await ctx.effect(f"packed {job_id}")
        return sum(each == f"packed {job_id}" for each in ctx.server.stage.effects)

    charged = await ctx.step("charge", charge, is_once=True)
    await ctx.sleep("rest", ctx.job.args.get("rest", 2_000))
    return [charged, await ctx.step("pack", pack)]


def add_functions(stage: Stage) -> None:
    stage.add("mutation", "note", note)
    stage.add("action", "send_once", send)
    stage.add("action", "send_sure", send, retry=SURE)
    stage.add("action", "shop", shop, retry=SURE)


def check(rows: Sequence[Any], noted: Iterable[str], done_outside: Iterable[str]) -> Counter[str]:
    """Look whether every job ran as often as it should; all are finished.

    noted          the notes that are there
    done_outside   what actions did
    returns        how many jobs had which function and state
    """
    notes, effects = Counter(noted), Counter(done_outside)
    found = Counter[str]()
    for row in rows:
        job_id, state = row["id"], row["state"]
        found[f"{row['function']} {state}"] += 1
        assert row.get("lease") is None and row.get("activeKey") is None, row
        match row["function"]:
            case "note" | "tick":
                assert (state, notes.pop(job_id, 0)) == ("done", 1), row
            case "send_once":
                sent = effects[f"sent {job_id}"]
                assert sent <= 1, row
                assert state == "done" or row["error"]["code"] == "worker-lost", row
                assert sent == 1 or state == "failed", row
            case "send_sure":
                assert state == "done" and effects[f"sent {job_id}"] >= 1, row
            case "shop":
                _check_steps(row, effects)
    assert not notes, f"notes of no job: {notes}"
    return found


def _check_steps(row: dict[str, Any], effects: Counter[str]) -> None:
    charged = effects[f"charged {row['id']}"]
    assert charged <= 1, row
    if row["state"] == "failed":
        assert row["error"]["code"] == "step-unknown", row
        return
    assert row["state"] == "done" and charged == 1, row
    packed = effects[f"packed {row['id']}"]
    assert row["result"] == {"value": ["charged", packed]}, "a recorded step ran again"
