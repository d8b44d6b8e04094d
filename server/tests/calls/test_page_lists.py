"""Lists that are watched page by page: stretches without overlap or gap, and what runs again.

A little over 500 lines, one file because the naive list and the examples use one stage.
"""

from __future__ import annotations

import random
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import orjson
import pytest

from support.called_functions import PAGED, Ctx, FunctionRaised
from support.watched_calls import (
    IDS,
    USERS,
    ListWatcher,
    Stage,
    call,
    refusal,
    user,
    watched_calls,
)
from trice import function_limits
from trice.calls.cursors import Cursors, bad_cursor
from trice.errors import InvalidInput, LimitExceeded
from trice.identity import ADMIN, GUEST, Identity


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    async with watched_calls(tmp_path) as stage:
        yield stage


async def by_room(ctx: Ctx) -> Any:
    """Todos by room, highest first."""
    return await ctx.page("todos", order={"room": "desc"}, fields=["room"])


async def put(stage: Stage, *rooms: int | None, first: int = 0) -> None:
    """Todos with these rooms, with ids from `first` on."""
    await stage.write(
        *(
            ["update", "todos", IDS[n], {"title": "t", "room": room}]
            for n, room in enumerate(rooms, first)
        )
    )


def rooms(watcher: ListWatcher) -> list[list[Any]]:
    return [[row["room"] for row in value["items"]] for value in watcher.values]


async def loaded(stage: Stage, pages: int = 1, size: int = 2, **options: Any) -> ListWatcher:
    """Whoever watches the list of a function, with so many pages."""
    if not options.pop("is_deployed", False):
        stage.project.add(by_room, types=PAGED)
        stage.project.deploy(stage.app.id)
    watcher = stage.watch_list("t.by_room", page={"size": size}, **options)
    await stage.quiet()
    for _ in range(pages - 1):
        assert watcher.pages.more()
        await stage.quiet()
    return watcher


# --- stretches ------------------------------------------------------------------------------------


@pytest.mark.rule("FN610")
async def test_pages_follow_each_other_until_the_list_ends(stage: Stage) -> None:
    await put(stage, 1, 2, 3, 4, 5)
    watcher = await loaded(stage)
    assert rooms(watcher) == [[5, 4]]
    for expected in ([[5, 4], [3, 2]], [[5, 4], [3, 2], [1]]):
        assert watcher.pages.more()
        assert not watcher.pages.more()  # it is under way
        await stage.quiet()
        assert rooms(watcher) == expected
    assert watcher.ends[-1] == "" and not watcher.pages.more()
    assert [value["next"] for value in watcher.values] == [*watcher.ends[:-1], None]


@pytest.mark.rule("FN611")
async def test_rows_come_and_go_within_their_page_alone(stage: Stage) -> None:
    await put(stage, 10, 20, 30, 40, 50, 60)
    watcher = await loaded(stage, pages=3)
    assert rooms(watcher) == [[60, 50], [40, 30], [20, 10]]
    ran = stage.project.runs["t.by_room"]

    await put(stage, 70, first=6)
    await stage.quiet()
    assert rooms(watcher) == [[70, 60, 50], [40, 30], [20, 10]]
    assert stage.project.runs["t.by_room"] == ran + 1  # the first page, and no other

    await put(stage, 35, first=7)
    await stage.write(["delete", "todos", IDS[1]])
    await stage.quiet()
    assert rooms(watcher) == [[70, 60, 50], [40, 35, 30], [10]]
    assert stage.project.runs["t.by_room"] == ran + 3

    await put(stage, 5, first=8)  # behind all: the last page is open
    await stage.quiet()
    assert rooms(watcher) == [[70, 60, 50], [40, 35, 30], [10, 5]]


@pytest.mark.rule("FN611")
async def test_a_page_that_was_emptied_stays_and_fills_again(stage: Stage) -> None:
    await put(stage, 10, 20, 30, 40, 50, 60)
    watcher = await loaded(stage, pages=2)
    await stage.write(*(["delete", "todos", IDS[n]] for n in (2, 3)))
    await stage.quiet()
    assert rooms(watcher) == [[60, 50], []]
    ends = list(watcher.ends)

    await put(stage, 45, first=7)
    await stage.quiet()
    assert rooms(watcher) == [[60, 50], [45]]
    assert watcher.ends == ends
    assert watcher.pages.more()
    await stage.quiet()
    assert rooms(watcher) == [[60, 50], [45], [20, 10]]


@pytest.mark.rule("FN611")
async def test_a_row_that_moves_leaves_one_page_and_enters_another(stage: Stage) -> None:
    await put(stage, 10, 20, 30, 40, 50, 60)
    watcher = await loaded(stage, pages=3)
    ran = stage.project.runs["t.by_room"]
    await put(stage, 55)  # from the last page to the first
    await stage.quiet()
    assert rooms(watcher) == [[60, 55, 50], [40, 30], [20]]
    assert stage.project.runs["t.by_room"] == ran + 2


@pytest.mark.rule("FN613")
async def test_a_page_past_twice_its_size_is_split_and_nothing_is_missing(stage: Stage) -> None:
    await put(stage, 10, 20, 30, 40)
    watcher = await loaded(stage, pages=2)
    await put(stage, 31, 32, first=4)
    await stage.quiet()
    assert rooms(watcher) == [[40, 32, 31, 30], [20, 10]]  # twice the size is not past it
    told = watcher.told

    await put(stage, 33, first=6)
    await stage.quiet()
    assert rooms(watcher) == [[40, 33], [32, 31, 30], [20, 10]]
    assert watcher.told == told + 1  # both halves at once

    await put(stage, *range(11, 20), first=7)  # a lot at once, in the open page
    await stage.quiet()
    assert rooms(watcher)[:2] == [[40, 33], [32, 31, 30]]
    assert [room for page in rooms(watcher)[2:] for room in page] == [20, *range(19, 9, -1)]
    assert all(len(page) <= 4 for page in rooms(watcher))
    assert watcher.told == told + 2


@pytest.mark.rule("FN613")
async def test_a_page_that_is_split_while_the_next_one_loads(stage: Stage) -> None:
    await put(stage, 10, 20, 30, 40)
    watcher = await loaded(stage)
    assert watcher.pages.more()
    await put(stage, 31, 32, 33, first=4)
    await stage.quiet()
    assert [room for page in rooms(watcher) for room in page] == [40, 33, 32, 31, 30, 20, 10]
    assert watcher.ends[-1] == "" and all(watcher.ends[:-1])


@pytest.mark.rule("FN614")
async def test_more_pages_than_may_be_are_left_out_at_the_end(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trice.calls.page_list.PAGES_MAX", 3)
    await put(stage, 10, 20, 30, 40, 50, 60, 70, 80)
    watcher = await loaded(stage, pages=3)
    with pytest.raises(LimitExceeded) as refused:
        watcher.pages.more()
    assert refused.value.code == "parameter-limit-exceeded"

    await put(stage, *range(71, 80), first=10)
    await stage.quiet()
    assert [room for page in rooms(watcher) for room in page] == [80, *range(79, 74, -1)]
    assert watcher.ends[-1]  # and there is more


@pytest.mark.rule("FN615")
async def test_five_hundred_who_watch_one_list_cost_one_run(stage: Stage) -> None:
    await put(stage, 10, 20, 30, 40)
    first = await loaded(stage)
    await put(stage, 50, first=4)  # who comes later takes the end of those who were there
    await stage.quiet()
    others = [stage.watch_list("t.by_room", page={"size": 2}) for _ in range(499)]
    await stage.quiet()
    assert {tuple(each.ends) for each in others} == {tuple(first.ends)}
    ran = stage.project.runs["t.by_room"]
    await put(stage, 60, first=5)
    await stage.quiet()
    assert stage.project.runs["t.by_room"] == ran + 1
    assert all(rooms(each) == [[60, 50, 40, 30]] for each in (first, *others))
    # It is split once for all of them.
    await put(stage, 70, first=6)
    await stage.quiet()
    assert stage.project.runs["t.by_room"] == ran + 3
    assert all(rooms(each) == [[70, 60], [50, 40, 30]] for each in (first, *others))


@pytest.mark.rule("FN615")
async def test_who_comes_does_not_begin_with_a_page_that_others_emptied(stage: Stage) -> None:
    await put(stage, 10, 20, 30, 40)
    await loaded(stage)
    await stage.write(*(["delete", "todos", IDS[n]] for n in (2, 3)))
    await stage.quiet()
    other = await loaded(stage, is_deployed=True)
    assert rooms(other) == [[20, 10]]


@pytest.mark.rule("FN616")
async def test_pages_are_loaded_again_by_where_they_ended(stage: Stage) -> None:
    await put(stage, 10, 20, 30, 40, 50, 60, 70)
    watcher = await loaded(stage, pages=3)
    ends = list(watcher.ends)
    watcher.stop()
    await put(stage, 25, 75, first=8)
    await stage.write(["delete", "todos", IDS[3]], ["delete", "todos", IDS[4]])

    again = stage.watch_list("t.by_room", page={"size": 2}, ends=ends)
    await stage.quiet()
    assert rooms(again) == [[75, 70, 60], [], [30, 25, 20]]
    assert again.ends == ends and again.told == 1


@pytest.mark.rule("FN616")
async def test_pages_that_grew_meanwhile_are_split_when_they_are_loaded_again(
    stage: Stage,
) -> None:
    await put(stage, 10, 20, 30, 40, 50, 60)
    watcher = await loaded(stage, pages=2)
    ends = list(watcher.ends)
    watcher.stop()
    await put(stage, *range(51, 60), first=8)
    again = stage.watch_list("t.by_room", page={"size": 2}, ends=ends)
    await stage.quiet()
    flat = [room for page in rooms(again) for room in page]
    assert flat == [60, *range(59, 49, -1), 40, 30]
    assert again.told == 1 and again.ends[-1] == ends[-1]


# --- who sees what --------------------------------------------------------------------------------


@pytest.mark.rule("FN617")
async def test_callers_who_see_other_rows_have_pages_of_their_own(stage: Stage) -> None:
    async def mine(ctx: Ctx) -> Any:
        seen = {} if ctx.user("role") == "admin" else {"where": {"done": False}}
        return await ctx.page("todos", order={"room": "desc"}, fields=["room"], **seen)

    stage.project.add(mine, name="t.by_room", types=PAGED)
    stage.project.deploy(stage.app.id)
    await stage.write(
        *(["update", "$users", USERS[n], {"role": role}] for n, role in enumerate("au")),
        ["update", "$users", USERS[0], {"role": "admin"}],
        *(["update", "todos", IDS[n], {"room": n, "done": n % 2 == 0}] for n in range(8)),
    )
    admin = await loaded(stage, pages=2, is_deployed=True, identity=user(0))
    other = await loaded(stage, pages=2, is_deployed=True, identity=user(1))
    assert rooms(admin) == [[7, 6], [5, 4]]
    assert rooms(other) == [[7, 5], [3, 1]]

    # Who becomes another sees other rows of the stretches that are loaded.
    await stage.write(["update", "$users", USERS[0], {"role": "user"}])
    await stage.quiet()
    assert rooms(admin) == [[7], [5]]


@pytest.mark.rule("FN618")
async def test_rows_that_the_function_leaves_out_leave_no_gap(stage: Stage) -> None:
    async def even(ctx: Ctx) -> Any:
        page = await ctx.page("todos", order={"room": "desc"}, fields=["room"])
        return {"items": [row for row in page["items"] if row["room"] % 20 == 0], "next": None}

    stage.project.add(even, name="t.by_room", types=PAGED)
    stage.project.deploy(stage.app.id)
    await put(stage, 10, 20, 30, 50, 70, 40)
    watcher = await loaded(stage, is_deployed=True, pages=3)
    assert rooms(watcher) == [[], [40], [20]]
    await put(stage, 60, first=8)
    await stage.quiet()
    assert rooms(watcher) == [[60], [40], [20]]


@pytest.mark.rule("FN619")
async def test_a_page_that_fails_says_so_and_its_neighbours_go_on(stage: Stage) -> None:
    async def picky(ctx: Ctx) -> Any:
        page = await ctx.page("todos", order={"room": "desc"}, fields=["room"])
        if any(row["room"] == 13 for row in page["items"]):
            raise FunctionRaised("unlucky", "No.")
        return page

    stage.project.add(picky, name="t.by_room", types=PAGED)
    stage.project.deploy(stage.app.id)
    await put(stage, 10, 20, 30, 40)
    watcher = await loaded(stage, is_deployed=True, pages=2)
    ends = list(watcher.ends)
    await put(stage, 13, 50, first=4)
    await stage.quiet()
    assert watcher.values[1] == "function-error" and watcher.ends == ends
    assert [row["room"] for row in watcher.values[0]["items"]] == [50, 40, 30]
    await stage.write(["delete", "todos", IDS[4]])
    await stage.quiet()
    assert rooms(watcher) == [[50, 40, 30], [20, 10]]


@pytest.mark.rule("FN619")
async def test_a_function_that_reads_no_page_at_first(stage: Stage) -> None:
    async def members(ctx: Ctx) -> Any:
        if not ctx.user("role"):
            return {"items": [], "next": None}
        return await ctx.page("todos", order={"room": "desc"}, fields=["room"])

    stage.project.add(members, name="t.by_room", types=PAGED)
    stage.project.deploy(stage.app.id)
    await put(stage, 10, 20, 30)
    watcher = await loaded(stage, is_deployed=True, identity=user(1))
    assert (rooms(watcher), watcher.ends) == ([[]], [None])
    assert not watcher.pages.more()
    await stage.write(["update", "$users", USERS[1], {"role": "user"}])
    await stage.quiet()
    assert rooms(watcher) == [[30, 20]] and watcher.pages.more()


@pytest.mark.rule("FN620")
async def test_what_is_no_list_cannot_be_watched_as_one(stage: Stage) -> None:
    stage.project.add(by_room, name="t.plain")
    stage.project.add(by_room, types=PAGED)
    stage.project.deploy(stage.app.id)
    for name, args in (("t.plain", {}), ("t.by_room", {"page": {"after": "x"}})):
        with pytest.raises(InvalidInput) as refused:
            stage.watch_list(name, **args)
        assert refused.value.code == "bad-args"
    missing = stage.watch_list("t.missing")
    await stage.quiet()
    assert missing.values == ["function-not-found"]


@pytest.mark.rule("FN619")
async def test_a_list_whose_first_page_has_no_place_says_so_once(stage: Stage) -> None:
    """A function that runs another with a cursor of nothing: the list began anew for ever."""

    async def lost(ctx: Ctx) -> Any:
        raise bad_cursor("x")

    stage.project.add(lost, name="t.by_room", types=PAGED)
    stage.project.deploy(stage.app.id)
    watcher = stage.watch_list("t.by_room", page={"size": 2})
    await stage.quiet()
    assert (watcher.values, watcher.told) == (["bad-args"], 1)
    again = stage.watch_list("t.by_room", page={"size": 2}, ends=["x", None])
    await stage.quiet()
    assert (again.values, again.ends) == (["bad-args"], [None])


@pytest.mark.rule("FN621")
async def test_a_page_of_a_list_takes_a_token_and_a_split_none(stage: Stage) -> None:
    stage.project.add(by_room, types=PAGED, rate="2/minute per ip")
    stage.project.deploy(stage.app.id)
    await put(stage, *range(10, 80, 10))
    guest = Identity("guest", None, ip="192.0.2.1")
    watcher = await loaded(stage, is_deployed=True, pages=2, identity=guest)
    with pytest.raises(LimitExceeded) as refused:
        watcher.pages.more()
    assert refused.value.code == "rate-limited"
    await put(stage, 71, 72, 73, first=7)
    await stage.quiet()
    assert rooms(watcher) == [[73, 72], [71, 70, 60], [50, 40]]


@pytest.mark.rule("FN746")
async def test_pages_that_come_back_and_run_are_counted_later(stage: Stage) -> None:
    stage.project.add(by_room, types=PAGED, rate="4/minute per ip")
    stage.project.deploy(stage.app.id)
    await put(stage, *range(10, 80))
    guest = Identity("guest", None, ip="192.0.2.1")
    admin = await loaded(stage, is_deployed=True, pages=25, identity=ADMIN)
    ends = list(admin.ends)

    async def come_back() -> Any:
        watcher = stage.watch_list("t.by_room", guest, ends=ends, page={"size": 2})
        await stage.quiet()
        assert len(rooms(watcher)) == 25
        return watcher

    (await come_back()).pages.close()
    (await come_back()).pages.close()  # all of it is shared: a token each time
    admin.pages.close()
    ran = stage.project.runs["t.by_room"]
    (await come_back()).pages.close()
    assert stage.project.runs["t.by_room"] - ran == 25
    with pytest.raises(LimitExceeded) as refused:  # of one token that was left it took three
        await come_back()
    assert refused.value.hint["retry-after"] == 30_000


# --- cursors --------------------------------------------------------------------------------------


@pytest.mark.rule("FN601")
async def test_a_cursor_is_of_its_function_and_arguments(stage: Stage) -> None:
    stage.project.add(by_room, types=PAGED)
    stage.project.add(by_room, name="t.other", types=PAGED)
    stage.project.deploy(stage.app.id)
    await put(stage, 1, 2, 3)
    page = orjson.loads((await call(stage, "t.by_room", only=1)).value)
    after = {"size": 5, "after": page["next"]}
    again = orjson.loads((await call(stage, "t.by_room", only=1, page=after)).value)
    assert [row["room"] for row in again["items"]] == [1] and again["next"] is None

    flipped = ("A" if page["next"][5] != "A" else "B").join((page["next"][:5], page["next"][6:]))
    for name, args in (
        ("t.other", {"only": 1, "page": after}),
        ("t.by_room", {"only": 2, "page": after}),
        ("t.by_room", {"only": 1, "page": {"after": flipped}}),
        ("t.by_room", {"only": 1, "page": {"after": "x" * 20_000}}),
        ("t.by_room", {"only": 1, "page": {"after": "ä"}}),
        ("t.by_room", {"only": 1, "page": {"after": page["next"] + "AAAA"}}),
    ):
        refused = await refusal(stage, name, **args)
        assert (refused.code, refused.hint["path"]) == ("bad-args", "page.after")
    assert b"room" not in page["next"].encode()


@pytest.mark.rule("FN602")
async def test_a_cursor_of_another_order_is_none(stage: Stage) -> None:
    await put(stage, *range(6))
    watcher = await loaded(stage, pages=2)
    old = watcher.ends[0]

    async def upwards(ctx: Ctx) -> Any:
        return await ctx.page("todos", order={"room": "asc"}, fields=["room"])

    stage.project.add(upwards, name="t.by_room", types=PAGED)
    stage.project.deploy(stage.app.id)
    await stage.quiet()
    refused = await refusal(stage, "t.by_room", page={"size": 2, "after": old})
    assert (refused.code, refused.hint["path"]) == ("bad-args", "page.after")
    # Who watches the list begins with its first page.
    assert rooms(watcher) == [[0, 1]]
    assert watcher.pages.more()
    await stage.quiet()
    assert rooms(watcher) == [[0, 1], [2, 3]]


@pytest.mark.rule("FN616")
async def test_places_that_mean_nothing_here_begin_with_the_first_page(stage: Stage) -> None:
    await put(stage, *range(6))
    await loaded(stage)
    again = stage.watch_list("t.by_room", page={"size": 2}, ends=["forged", "also", ""])
    await stage.quiet()
    assert rooms(again) == [[5, 4]]


# --- a naive model --------------------------------------------------------------------------------

TITLES = ["", "a", "A", "ä", "B", "z", "Z"]
"""In the order of ICU."""
DUES = ["1969-12-31T23:00:00Z", 0, "2026-01-01", "2026-01-01T00:00:00.001Z", 1767225600002]
VALUES: dict[str, list[Any]] = {
    "title": TITLES,
    "room": [-1.5, -1, 0, 0.5, 3, 1e9],
    "due": DUES,
    "done": [False, True],
}


def rank(label: str, row: dict[str, Any]) -> tuple[int, str]:
    """Where a row is in the order of a label, upwards: null first, ties by id."""
    value = row.get(label)
    return (-1 if value is None else VALUES[label].index(value), row["id"])


class World:
    """Rows as a dictionary, written to the database too."""

    def __init__(self, stage: Stage, draw: random.Random) -> None:
        self.stage = stage
        self.draw = draw
        self.rows: dict[str, dict[str, Any]] = {}

    async def change(self) -> None:
        """A random commit of one to four steps."""
        steps: list[list[Any]] = []
        for eid in self.draw.sample(IDS[:24], self.draw.choice((1, 1, 2, 4))):
            if eid in self.rows and self.draw.random() < 0.35:
                del self.rows[eid]
                steps.append(["delete", "todos", eid])
                continue
            row = self.rows.setdefault(eid, {"id": eid, **dict.fromkeys(VALUES)})
            labels = self.draw.sample(list(VALUES), self.draw.randint(1, 4))
            values = {label: self.draw.choice([*VALUES[label], None]) for label in labels}
            row.update(values)
            steps.append(["update", "todos", eid, values])
        await self.stage.write(*steps)

    def listed(self, label: str, direction: str, *, is_admin: bool) -> list[dict[str, Any]]:
        """What the list is, all of it, before the function leaves rows out."""
        found = [row for row in self.rows.values() if is_admin or row["done"] is not True]
        return sorted(found, key=lambda row: rank(label, row), reverse=direction == "desc")


def check_list(world: World, watcher: ListWatcher, args: dict[str, Any], *, is_admin: bool) -> None:
    """The pages are what the naive list has up to where the last one ends, each within its ends."""
    stage, label, direction = world.stage, args["label"], args["direction"]
    signature = stage.project.signatures(stage.app.id)["t.mixed"]
    cursors = Cursors(lambda: b"secret", stage.app.id, signature, orjson.dumps(args))
    whole = world.listed(label, direction, is_admin=is_admin)
    rest = whole
    for end, value in zip(watcher.ends, watcher.values, strict=True):
        assert end is not None
        upto = len(rest)
        if end:
            eid, _, cursor_value, *_ = cursors.open(end).row
            place = rank(label, {"id": eid, label: cursor_value})
            is_in = (lambda a, b: a >= b) if direction == "desc" else (lambda a, b: a <= b)
            upto = sum(is_in(rank(label, row), place) for row in rest)
        expected = [row["id"] for row in rest[:upto] if row["room"] != 3]
        assert [row["id"] for row in value["items"]] == expected
        assert upto <= 2 * args["page"]["size"]
        rest = rest[upto:]
    assert bool(watcher.ends[-1]) or not rest


@pytest.mark.rule("FN622")
@pytest.mark.parametrize("seed", range(12))
async def test_pages_are_what_a_naive_list_has(stage: Stage, seed: int) -> None:
    draw = random.Random(f"pages {seed}")

    async def mixed(ctx: Ctx) -> Any:
        args = ctx.args
        seen = {} if ctx.user("role") == "admin" else {"where": {"done": {"$ne": True}}}
        order = {args["label"]: args["direction"]}
        page = await ctx.page("todos", order=order, fields=list(VALUES), **seen)
        page["items"] = [row for row in page["items"] if row.get("room") != 3]
        return page

    stage.project.add(mixed, types=PAGED)
    stage.project.deploy(stage.app.id)
    await stage.write(
        ["update", "$users", USERS[0], {"role": "admin"}],
        ["update", "$users", USERS[1], {"role": "user"}],
    )
    world = World(stage, draw)
    for _ in range(draw.choice((0, 4, 12))):
        await world.change()
    lists: list[tuple[ListWatcher, dict[str, Any], int]] = []
    for _ in range(25):
        if not lists or (len(lists) < 4 and draw.random() < 0.4):
            number = draw.randrange(2)
            args = {
                "label": draw.choice(list(VALUES)),
                "direction": draw.choice(("asc", "desc")),
                "page": {"size": draw.randint(1, 3)},
            }
            lists.append((stage.watch_list("t.mixed", user(number), **args), args, number))
        at = draw.randrange(len(lists))
        watcher, args, number = lists[at]
        match draw.randrange(8):
            case 0 | 1 | 2:
                watcher.pages.more()
            case 3 if watcher.ends:  # it reconnects
                watcher.stop()
                again = stage.watch_list("t.mixed", user(number), ends=list(watcher.ends), **args)
                lists[at] = (again, args, number)
        await world.change()
        await stage.quiet()
        for watcher, args, number in lists:
            check_list(world, watcher, args, is_admin=number == 0)
    for watcher, _, _ in lists:
        watcher.stop()
    await stage.quiet()
    assert len(stage.live) == 0


@pytest.mark.rule("FN623")
async def test_a_list_without_watchers_runs_nothing(stage: Stage) -> None:
    await put(stage, *range(6))
    watcher = await loaded(stage, pages=3)
    assert len(stage.live) == 3
    watcher.stop()
    ran = stage.project.runs["t.by_room"]
    await put(stage, 9, first=9)
    await stage.quiet()
    assert len(stage.live) == 0 and stage.project.runs["t.by_room"] == ran


@pytest.mark.rule("FN604")
async def test_pages_by_the_time_of_creation(stage: Stage) -> None:
    async def by_age(ctx: Ctx) -> Any:
        return await ctx.page("todos", order={"serverCreatedAt": "asc"}, fields=["room"])

    stage.project.add(by_age, name="t.by_room", types=PAGED)
    stage.project.deploy(stage.app.id)
    for n in range(5):
        await put(stage, n, first=n)
    watcher = await loaded(stage, is_deployed=True, pages=3)
    assert rooms(watcher) == [[0, 1], [2, 3], [4]]
    await put(stage, 5, first=5)
    await stage.quiet()
    assert rooms(watcher) == [[0, 1], [2, 3], [4, 5]]


@pytest.mark.rule("FN614")
def test_bounds_fit_each_other() -> None:
    assert function_limits.PAGES_MAX < function_limits.SESSION_LIVE_CALLS_MAX
    rows = 4 * function_limits.FIND_ROWS_MAX + 1  # a page that is being split
    assert rows <= function_limits.RUN_ROWS_MAX
    assert GUEST.user_id is None
