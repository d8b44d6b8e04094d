"""Quotas of apps: which one is in force, and what it refuses."""

from __future__ import annotations

import asyncio
import random
from typing import Any

import pytest

from trice import limits, quota_limits
from trice.apps import quotas
from trice.apps.allowances import ServerQuotas
from trice.errors import InvalidInput, LimitExceeded, Unavailable
from trice.identity import ADMIN

HOUR_MS = 3_600_000
LINKED = {
    "entities": {"todos": {"attrs": {}}, "tags": {"attrs": {}}},
    "links": {
        "todoTags": {
            "forward": {"on": "todos", "label": "tags", "has": "many"},
            "reverse": {"on": "tags", "label": "todos", "has": "many"},
        },
        "todoParent": {
            "forward": {"on": "todos", "label": "parent", "has": "one"},
            "reverse": {"on": "todos", "label": "parts", "has": "many"},
        },
    },
}


def uid(number: int) -> str:
    return f"e2000000-0000-4000-8000-{number:012d}"


def put(number: int, **values: Any) -> list[Any]:
    return [["update", "todos", uid(number), {"title": "a", **values}]]


def write(app: Any, steps: list[Any]) -> Any:
    return app.database.transact_admin(steps, identity=ADMIN)


async def refusal(work: Any) -> LimitExceeded:
    with pytest.raises(LimitExceeded) as refused:
        await work
    return refused.value


# --- which one is in force ----------------------------------------------------------------------


@pytest.mark.rule("QT1")
async def test_the_nearest_quota_is_in_force(stage):
    await stage.reopen(server_quotas=ServerQuotas(quotas.Quotas(rows=100, sockets=5)))
    ann = await stage.account()
    app = await stage.make_app(ann)
    allowed = stage.apps.allowances.of
    row = stage.apps.get_row
    assert allowed(row(app.id)).rows == 100 and allowed(row(app.id)).bytes is None
    await stage.apps.set_holder_quotas("owner", ann.id, {"rows": 50, "sockets": "unlimited"})
    assert allowed(row(app.id)).rows == 50
    assert allowed(row(app.id)).sockets is None
    await stage.apps.set_quotas(app.id, {"rows": "unlimited", "bytes": 0})
    found = allowed(row(app.id))
    assert (found.rows, found.bytes) == (None, 0)
    assert found.set_by == {"bytes": "app"}
    await stage.apps.set_quotas(app.id, {"rows": None})
    found = allowed(row(app.id))
    assert (found.rows, found.bytes) == (50, 0)
    assert found.set_by == {"rows": "account", "bytes": "app"}
    org = await stage.orgs.create(ann, "bakers")
    await stage.apps.set_holder_quotas("org", org.id, {"requests": 9})
    await stage.apps.give(app.id, org=org.id)
    found = allowed(row(app.id))
    assert (found.rows, found.requests) == (100, 9)
    assert found.set_by == {
        "rows": "server",
        "sockets": "server",
        "bytes": "app",
        "requests": "organisation",
    }


@pytest.mark.rule("QT1")
async def test_throw_away_apps_have_quotas_of_their_own(stage):
    made = quotas.Quotas(rows=7, sockets=2)
    await stage.reopen(server_quotas=ServerQuotas(quotas.Quotas(rows=1), made))
    app, _ = await stage.apps.create(title="x", life_ms=HOUR_MS)
    assert (app.allowed.rows, app.allowed.sockets) == (7, 2)
    assert app.allowed.bytes is not None, "the bounds of throw-away apps stay"
    await stage.apps.set_quotas(app.id, {"rows": 8})
    assert app.allowed.rows == 8
    stage.apps.give_back(app)
    ann = await stage.account()
    await stage.apps.give(app.id, ann.id)
    app = await stage.apps.lend(app.id)
    assert (app.allowed.rows, app.allowed.sockets, app.allowed.bytes) == (8, None, None)


@pytest.mark.rule("QT2")
@pytest.mark.parametrize(
    "given",
    [
        *(None, [], "rows", {"row": 1}, {"rows": -1}, {"rows": 1.5}, {"rows": True}),
        *({"rows": "5"}, {"rows": 2**53}, {"rows": 1, "bytes": {}}, {"apps": 3}, {1: 2}),
    ],
)
async def test_a_quota_that_is_none_sets_nothing(stage, given):
    app = await stage.make_app(await stage.account())
    await stage.apps.set_quotas(app.id, {"sockets": 3})
    with pytest.raises(InvalidInput) as wrong:
        await stage.apps.set_quotas(app.id, given)
    assert wrong.value.code == "validation-failed"
    assert stage.apps.get_row(app.id).quotas == quotas.Quotas(sockets=3)


@pytest.mark.rule("QT2")
def test_quotas_of_an_option():
    made = quotas.parse("rows=10, sockets=unlimited,", flag="app-quota")
    assert made == quotas.Quotas(rows=10, sockets="unlimited")
    assert quotas.parse("", flag="app-quota") == quotas.NONE
    for text in ("rows", "rows=-1", "rows=1e3", "apps=2", "rows=٣", "=3"):
        with pytest.raises(InvalidInput, match=r"--app-quota is .* but must be rows="):
            quotas.parse(text, flag="app-quota")


# --- data ---------------------------------------------------------------------------------------


@pytest.mark.rule("QT3", "QT5")
async def test_rows_are_bounded_from_when_it_is_set(stage):
    app = await stage.make_app(await stage.account())
    app = await stage.apps.lend(app.id)
    for number in range(5):
        await write(app, put(number))
    await stage.apps.set_quotas(app.id, {"rows": 3})
    refused = await refusal(write(app, put(5)))
    assert refused.code == "app-quota-exceeded"
    assert refused.hint == {"quota": "rows", "current": 5, "limit": 3}
    assert f"trice apps quota {app.id}" in refused.message
    await write(app, put(1, title="b"))
    for number in range(3):
        await write(app, [["delete", "todos", uid(number)]])
    await write(app, put(6))
    await refusal(write(app, put(7)))
    stage.apps.give_back(app)
    await stage.reopen()
    app = await stage.apps.lend(app.id)
    await refusal(write(app, put(7)))
    await stage.apps.set_quotas(app.id, {"rows": None})
    await write(app, put(7))
    assert (await app.database.engine.used()).rows == 4


@pytest.mark.rule("QT3")
async def test_what_is_set_for_an_account_holds_in_its_open_apps(stage):
    ann = await stage.account()
    first, second = await stage.make_app(ann), await stage.make_app(ann)
    first = await stage.apps.lend(first.id)
    await stage.apps.set_holder_quotas("owner", ann.id, {"rows": 1})
    second = await stage.apps.lend(second.id)
    for app in (first, second):
        await write(app, put(1))
        await refusal(write(app, put(2)))


@pytest.mark.rule("QT3")
async def test_a_quota_set_while_an_app_opens_is_not_lost(stage):
    ann = await stage.account()
    app = await stage.make_app(ann)
    await stage.reopen()
    lending = asyncio.create_task(stage.apps.lend(app.id))
    await asyncio.sleep(0)
    await stage.apps.set_holder_quotas("owner", ann.id, {"rows": 1})
    app = await lending
    await write(app, put(1))
    await refusal(write(app, put(2)))


@pytest.mark.rule("QT4")
async def test_an_app_that_is_handed_over_has_the_quotas_of_its_new_account(stage):
    ann, bob = await stage.account(), await stage.account("bob@example.com")
    await stage.apps.set_holder_quotas("owner", bob.id, {"rows": 1})
    app = await stage.apps.lend((await stage.make_app(ann)).id)
    await write(app, put(1))
    await write(app, put(2))
    await stage.apps.give(app.id, bob.id)
    await refusal(write(app, put(3)))


@pytest.mark.rule("QT5")
async def test_bytes_are_bounded_and_history_makes_room_first(stage):
    app = await stage.apps.lend((await stage.make_app(await stage.account())).id)
    await stage.apps.set_quotas(app.id, {"bytes": 2_000_000})
    for number in range(60):  # the same row: history, which makes room
        await write(app, put(1, text=f"{number}" + "x" * 100_000))
    numbers = iter(range(100))
    with pytest.raises(LimitExceeded) as refused:
        for number in numbers:
            await write(app, put(number, text="x" * 100_000))
    assert refused.value.hint["quota"] == "bytes"
    used = await app.database.engine.used()
    assert 1_000_000 < used.bytes <= 2_200_000


@pytest.mark.rule("QT8")
async def test_an_account_has_so_many_apps(stage):
    ann, bob = await stage.account(), await stage.account("bob@example.com")
    await stage.apps.set_holder_quotas("owner", ann.id, {"apps": 2})
    await stage.make_app(ann)
    gone = await stage.make_app(ann)
    await stage.apps.hide(gone.id)
    refused = await refusal(stage.make_app(ann))
    assert refused.code == "app-quota-exceeded"
    assert refused.hint == {"quota": "apps", "current": 2, "limit": 2}
    others = await stage.make_app(bob)
    await refusal(stage.apps.give(others.id, ann.id))
    assert stage.apps.get_row(others.id).owner == bob.id
    await stage.apps.delete(gone.id)
    await stage.make_app(ann)


# --- counting -----------------------------------------------------------------------------------


@pytest.mark.rule("QT10")
@pytest.mark.parametrize("seed", range(3))
async def test_the_number_of_rows_is_exact_whatever_is_written(stage, seed):
    chance = random.Random(seed)
    app = await stage.make_app(await stage.account(), schema=LINKED)
    app = await stage.apps.lend(app.id)

    def step() -> list[Any]:
        todo, tag = uid(chance.randrange(12)), uid(50 + chance.randrange(6))
        match chance.randrange(7):
            case 0 | 1:
                return ["update", "todos", todo, {"title": str(chance.random())}]
            case 2:
                return ["update", "tags", tag, {"name": "a"}]
            case 3:
                return ["link", "todos", todo, {"tags": tag}]
            case 4:
                return ["unlink", "todos", todo, {"tags": tag}]
            case 5:
                return ["link", "todos", todo, {"parent": uid(chance.randrange(12))}]
            case _:
                etype, entity = chance.choice((("todos", todo), ("tags", tag)))
                return ["delete", etype, entity]

    async def play(rounds: int) -> None:
        for _ in range(rounds):
            sent = [[step() for _ in range(chance.randrange(1, 4))] for _ in range(4)]
            await asyncio.gather(*(write(app, steps) for steps in sent), return_exceptions=True)

    await play(5)
    asked = asyncio.create_task(app.database.engine.used())
    await play(30)
    await asked
    followed = (await app.database.engine.used()).rows
    await stage.apps.set_quotas(app.id, {"rows": followed + 1})
    await play(10)
    followed = (await app.database.engine.used()).rows
    stage.apps.give_back(app)
    await stage.reopen()
    app = await stage.apps.lend(app.id)
    counted = (await app.database.engine.used()).rows
    assert followed == counted > 0


@pytest.mark.rule("QT10")
async def test_a_count_beside_too_many_writes_ends_and_can_be_asked_again(stage, monkeypatch):
    app = await stage.apps.lend((await stage.make_app(await stage.account())).id)
    await write(app, put(0))
    monkeypatch.setattr(quota_limits, "COUNTED_GROUPS_MAX", -1)
    with pytest.raises(Unavailable):
        await app.database.engine.used()
    monkeypatch.setattr(quota_limits, "COUNTED_GROUPS_MAX", 100)
    assert (await app.database.engine.used()).rows == 1


# --- requests and sockets -----------------------------------------------------------------------


@pytest.mark.rule("QT6")
async def test_requests_are_counted_by_the_minute(stage, monkeypatch):
    monkeypatch.setattr(limits, "APP_IDLE_MS", 0)
    app = await stage.apps.lend((await stage.make_app(await stage.account())).id)
    await stage.apps.set_quotas(app.id, {"requests": 3})
    take = app.meter.take
    for _ in range(3):
        take(app.allowed)
    with pytest.raises(LimitExceeded) as refused:
        take(app.allowed)
    hint = refused.value.hint
    assert refused.value.code == "rate-limited"
    assert {**hint, "retry-after": 0} == {
        "quota": "requests",
        "current": 3,
        "limit": 3,
        "retry-after": 0,
    }
    assert stage.apps.meters.counts.requests == 1
    # The count lasts while the database is closed.
    stage.apps.give_back(app)
    stage.apps.close_old()
    await stage.apps.settled()
    app = await stage.apps.lend(app.id)
    with pytest.raises(LimitExceeded):
        app.meter.take(app.allowed)
    stage.runtime.advance(hint["retry-after"])
    app.meter.take(app.allowed)
    assert (app.meter.current, app.meter.last) == (1, 3)
    stage.runtime.advance(3 * quota_limits.METER_MINUTE_MS)
    app.meter.turn()
    assert (app.meter.current, app.meter.last) == (0, 0)


@pytest.mark.rule("QT6")
async def test_meters_of_quiet_apps_are_forgotten(stage, monkeypatch):
    monkeypatch.setattr(quota_limits, "METERS_KEPT_MAX", 2)
    kept = [stage.apps.meters.of(uid(number)) for number in range(4)]
    for meter in kept[:3]:
        meter.take(
            quotas.resolve(*[quotas.NONE] * 3, app_id="", holder_kind=None, is_ephemeral=False)
        )
    stage.apps.close_old()
    found = [stage.apps.meters.of(uid(number)) is kept[number] for number in range(4)]
    assert found == [False, False, True, False], "the oldest two, and a quiet one"


@pytest.mark.rule("QT7")
async def test_sockets_are_bounded_at_a_time(stage):
    app_id = (await stage.make_app(await stage.account())).id
    await stage.apps.set_quotas(app_id, {"sockets": 2})
    first, second = await asyncio.gather(*(stage.apps.lend_socket(app_id) for _ in range(2)))
    refused = await refusal(stage.apps.lend_socket(app_id))
    assert refused.hint == {"quota": "sockets", "current": 2, "limit": 2}
    assert f"trice apps quota {app_id}" in refused.message
    assert stage.apps.meters.counts.sockets == 1
    stage.apps.give_back_socket(first)
    await stage.apps.lend_socket(app_id)
    assert second.users == 2
