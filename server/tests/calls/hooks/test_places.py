"""Places of hooks: what the log keeps for them, and what moves them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from support.hook_stage import HookStage
from support.job_stage import APP, Ctx
from trice import hook_limits, limits
from trice.calls.hooks import rows
from trice.calls.hooks.reading import Place
from trice.errors import Conflict
from trice.functions.signature import HookPlan, Signature
from trice.runtime import new_key, new_uuid
from trice.server import open_copies

DAY_MS = 86_400_000


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[HookStage]:
    stage = await HookStage.open(tmp_path / "app.db")
    yield stage
    await stage.database.close()


async def note(ctx: Ctx) -> None:
    ctx.note(ctx.job.args["change"]["after"]["a"])


async def write(stage: HookStage, etype: str = "items", *, text: str = "x") -> None:
    made = new_uuid(stage.runtime)
    await stage.database.change(lambda change: change.write(["update", etype, made, {"a": text}]))


def signature(name: str, **options: Any) -> Signature:
    plan = HookPlan(namespace="items", create=True)
    return Signature(name=name, kind="mutation", args={}, result={}, hook=plan, **options)


async def reconcile(stage: HookStage, *signatures: Signature) -> dict[str, int]:
    """The places of hooks once these functions are deployed."""
    found = await rows.reconcile(stage.database, signatures, new_id=lambda: new_key(stage.runtime))
    return {row.name: row.place.tx for row in found}


async def logged(stage: HookStage) -> list[Any]:
    def work(look: Any) -> list[Any]:
        return [tx for (tx,) in look.statements.rows("SELECT id FROM _tx ORDER BY id")]

    return await stage.database.look(work)


@pytest.mark.rule("FN554")
async def test_the_log_waits_for_hooks_that_are_not_broken(
    stage: HookStage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "TX_LOG_TRIM_EVERY", 2)
    await reconcile(stage, signature("a"), signature("b"))
    (row, other) = await rows.listed(stage.database)
    place = row.place.tx
    for _ in range(5):
        await write(stage)
    await rows.save(stage.database, other.id, other.place, Place(place + 5))
    await stage.runtime.pass_time((limits.TX_LOG_DAYS + 1) * DAY_MS)
    for _ in range(12):
        await write(stage)
    kept = await logged(stage)
    assert place < kept[0] <= place + 1, "what the slower one still reads is there"
    error = {"code": "hook-broken", "message": ""}
    await rows.give_up(stage.database, row.id, row.place, error)
    for _ in range(12):
        await write(stage)
    assert (await logged(stage))[0] > place + 5, "nothing waits for a broken one"


@pytest.mark.rule("FN562")
async def test_places_go_with_the_log_of_a_copy_that_is_restored(tmp_path: Path) -> None:
    stage = await HookStage.open(tmp_path / "app.db")
    stage.hook("mutation", "note", note, create=True)
    server = stage.hook_server()
    await server.rest()
    for text in ("a", "b"):
        await write(stage, text=text)
    await server.rest()
    server.kill()
    await server.rest()
    await write(stage, text="c")
    await stage.database.close()
    open_copies(tmp_path).raise_tx(stage.path, 1_000)
    stage = await HookStage.open(tmp_path / "app.db")
    stage.hook("mutation", "note", note, create=True)
    server = stage.hook_server()
    await server.rest()
    await write(stage, text="d")
    await server.rest()
    assert await stage.notes() == ["a", "b", "c", "d"]
    await server.stop()
    await stage.database.close()


@pytest.mark.rule("FN563")
async def test_places_are_kept_dropped_and_renamed_by_a_deploy(stage: HookStage) -> None:
    first = await reconcile(stage, signature("a"), signature("b"))
    await write(stage)
    assert await reconcile(stage, signature("a"), signature("b")) == first
    second = await reconcile(stage, signature("z", also=("a",)), signature("c"))
    assert second["z"] == first["a"], "under another name it goes on"
    assert second["c"] > first["a"] and set(second) == {"z", "c"}
    await write(stage)
    again = await reconcile(stage, signature("b"))
    assert again["b"] > second["c"], "one that comes back follows from then on"


@pytest.mark.rule("FN551", "FN563")
async def test_a_new_hook_has_its_place_before_it_is_in_force(stage: HookStage) -> None:
    async def prepare(new: list[Signature], before: list[Signature]) -> dict[str, int]:
        made = new_key(stage.runtime)
        await rows.prepare(stage.database, new, before, new_id=lambda: made)
        return {row.name: row.place.tx for row in await rows.listed(stage.database)}

    first = await prepare([signature("a")], [])
    await write(stage)
    assert await reconcile(stage, signature("a")) == first, "what came between is not missed"
    assert await prepare([signature("a"), signature("b")], [signature("a")]) != first
    await write(stage)  # that deploy failed; the next one has it again
    second = await prepare([signature("a"), signature("b")], [signature("a")])
    assert second["a"] == first["a"] and second["b"] == stage.database.tx


@pytest.mark.rule("FN550")
async def test_of_two_who_move_a_place_one_is_refused(stage: HookStage) -> None:
    await reconcile(stage, signature("a"))
    (row,) = await rows.listed(stage.database)
    after = Place(row.place.tx + 1)
    await rows.save(stage.database, row.id, row.place, after)
    with pytest.raises(Conflict) as raised:
        await rows.save(stage.database, row.id, row.place, after)
    assert raised.value.code == "job-over"


@pytest.mark.rule("FN554")
async def test_a_place_is_saved_now_and_then_though_nothing_concerns_it(
    stage: HookStage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hook_limits, "HOOK_PLACE_LAG", 10)
    stage.hook("mutation", "note", note, create=True)
    server = stage.hook_server()
    await server.rest()
    before = stage.database.tx
    for _ in range(25):
        await write(stage, "others")
        await server.rest()
    assert stage.database.tx == before + 25 + 2, "a transaction each time"
    (lane,) = server.hooks.lanes(APP)
    assert lane.at.tx == stage.database.tx and lane.at.tx - lane.saved.tx < 10
    await server.stop()


@pytest.mark.rule("FN564")
async def test_a_transaction_of_many_rows_is_read_in_pieces(
    stage: HookStage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hook_limits, "HOOK_CHANGES_AT_ONCE", 3)
    stage.hook("mutation", "note", note, create=True)
    server = stage.hook_server()
    await server.rest()
    texts = [f"{number:02}" for number in range(10)]
    steps = [["update", "items", new_uuid(stage.runtime), {"a": text}] for text in texts]
    await stage.database.change(lambda change: change.write(*steps))
    await server.rest()
    assert await stage.notes() == texts
    await server.stop()


@pytest.mark.rule("FN564")
async def test_a_change_that_no_call_takes_is_parked_at_once(
    stage: HookStage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trice.function_limits.ARGS_BYTES_MAX", 2_000)
    stage.hook("mutation", "note", note, create=True)
    server = stage.hook_server()
    await server.rest()
    await write(stage, text="x" * 3_000)
    await write(stage, text="y")
    await server.rest()
    assert await stage.notes() == ["y"]
    (job,) = await stage.rows()
    assert (job["state"], job["error"]["code"]) == ("failed", "call-too-big")
    assert job["args"]["change"]["after"] is None
    await server.stop()
