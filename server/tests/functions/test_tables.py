"""`ctx.db` against a real database: what is asked, what comes, what is written."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, date, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from support.function_stage import Stage, open_stage
from trice.errors import InvalidInput
from trice.functions import Paged, RefusedError
from trice.identity import ADMIN

Work = Callable[[Any], Awaitable[Any]]


def uid(number: int) -> str:
    return f"e{number:07d}-0000-4000-8000-000000000000"


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    async with open_stage(tmp_path, "desk") as made:
        yield made


def notes() -> Any:
    """The module of the functions under test."""
    return sys.modules["functions.notes"]


async def reading(stage: Stage, work: Work, *, user: dict[str, Any] | None = None) -> Any:
    """Run something in a query; what it returns."""
    kept: list[Any] = []

    async def do(ctx: Any) -> None:
        kept.append(await work(ctx))

    notes().DO["query"] = do
    await stage.call("notes.look", user=user)
    return kept[0]


async def writing(stage: Stage, work: Work, *, user: dict[str, Any] | None = None) -> Any:
    """Run something in a mutation, and commit."""
    notes().DO["mutation"] = work
    return await stage.call("notes.change", user=user)


async def put(stage: Stage, number: int, **values: Any) -> str:
    values = {"text": f"n{number}", "state": "open", "code": "c", **values}
    values.setdefault("madeAt", f"2026-01-{number:02d}T00:00:00.000Z")
    await stage.write(["create", "notes", uid(number), values])
    return uid(number)


@pytest.mark.rule("FN100")
async def test_every_read_has_its_answer(stage: Stage) -> None:
    for number in (1, 2, 3):
        await put(stage, number, slug=f"s{number}", rank=number)

    async def work(ctx: Any) -> None:
        db = ctx.db.notes
        assert (await db.get(uid(1))).text == "n1"
        assert await db.get(uid(9)) is None
        found = await db.get_many([uid(3), uid(9), uid(1)])
        assert [each and each.text for each in found] == ["n3", None, "n1"]
        assert await db.get_many([]) == []
        assert (await db.lookup(slug="s2")).id == uid(2)
        assert await db.lookup(slug="none") is None
        assert (await db.first(order={"rank": "desc"})).text == "n3"
        assert (await db.first(where={"rank": {"$gt": 1}})).text == "n2"
        assert await db.first(where={"text": "none"}) is None
        assert [each.text for each in await db.find(order={"rank": "desc"}, limit=2)] == [
            "n3",
            "n2",
        ]
        assert await db.find(limit=0) == []
        assert await db.exists({"text": "n1"}) and not await db.exists({"text": "none"})
        assert await db.count() == 3 and await db.count({"rank": {"$lte": 2}}) == 2
        assert await db.totals(sum="rank", max=["rank"]) == {
            "count": 3,
            "sum": {"rank": 6},
            "max": {"rank": 3},
        }
        assert await db.totals(group_by="state", where={"rank": 1}) == {
            "groups": [{"key": "open", "count": 1}]
        }
        found = await ctx.db.query({"notes": {"$": {"where": {"rank": 1}, "fields": ["text"]}}})
        assert found == {"notes": [{"id": uid(1), "text": "n1"}]}

    await reading(stage, work)


@pytest.mark.rule("FN101")
async def test_a_view_is_one_question_however_deep(stage: Stage) -> None:
    await stage.user(uid(50), **{"first-name": "Al"})
    for number, word in enumerate("abcd", 60):
        await stage.write(["create", "note-labels", uid(number), {"word": word}])
    await put(stage, 1, owner=uid(50))
    await stage.write(
        ["link", "notes", uid(1), {"tags": [uid(number) for number in range(60, 64)]}]
    )

    async def work(ctx: Any) -> Any:
        return await ctx.db.users.find(notes().OwnerNotes)

    (owner,) = await reading(stage, work)
    (note,) = owner.notes
    assert (note.text, note.made_at) == ("n1", datetime(2026, 1, 1, tzinfo=UTC))
    assert (note.owner.id, note.owner.first_name) == (uid(50), "Al")
    assert [each.word for each in note.tags] == ["d", "c"]
    assert stage.channel.asked == [
        {
            "$users": {
                "$": {"fields": ["id"], "limit": 1_001},
                "notes": {
                    "$": {"fields": ["text", "madeAt"]},
                    "owner": {"$": {"fields": ["first-name"]}},
                    "tags": {
                        "$": {
                            "fields": ["word"],
                            "where": {"word": {"$ne": "b"}},
                            "order": {"word": "desc"},
                            "limit": 2,
                        }
                    },
                },
            }
        }
    ]


@pytest.mark.rule("FN742")
async def test_views_tell_when_rows_were_created_and_rows_do_not(stage: Stage) -> None:
    for number in (2, 1):
        stage.runtime.now += 60_000
        await put(stage, number)
    await stage.write(["update", "notes", uid(2), {"text": "later"}])

    async def work(ctx: Any) -> None:
        born = notes().BornView
        found = await ctx.db.notes.find(born, order={"created_at": "desc"})
        assert [each.text for each in found] == ["n1", "later"]
        times = [each.created_at for each in found]
        assert times[0] - times[1] == timedelta(minutes=1) and times[0].tzinfo is not None
        row = await ctx.db.notes.get(uid(1))
        with pytest.raises(RefusedError) as caught:
            _ = row.created_at
        assert caught.value.code == "not-loaded" and "View" in caught.value.message
        asked = {"$": {"where": {"text": "n1"}, "fields": ["id"], "created": "born"}}
        (raw,) = (await ctx.db.query({"notes": asked}))["notes"]
        assert datetime.fromisoformat(raw["born"]) == times[0]
        with pytest.raises(RefusedError, match="a label that notes does not have"):
            await ctx.db.query({"notes": {"$": {"created": "text"}}})

    await reading(stage, work)
    with pytest.raises(InvalidInput, match="is not an option"):
        await stage.database.query_nested({"notes": {"$": {"created": "born"}}}, identity=ADMIN)


@pytest.mark.rule("FN102")
async def test_a_row_has_its_own_attributes_and_ids_of_links_to_one(stage: Stage) -> None:
    await stage.user(uid(50))
    await put(stage, 1, owner=uid(50), due="2026-02-03", body={"a": [1]})

    async def work(ctx: Any) -> Any:
        return await ctx.db.notes.get(uid(1)), await ctx.db.users.get(uid(50))

    note, user = await reading(stage, work)
    schema = sys.modules["schema"]
    assert isinstance(note, schema.Note) and isinstance(user, schema.User)
    assert (note.state, note.due, note.body) == (schema.State.OPEN, date(2026, 2, 3), {"a": [1]})
    assert note.owner.id == uid(50) and note.above is None and note.rank is None
    assert user.email == "e0000050@example.com" and user.first_name is None
    for row, link in ((note, "tags"), (note, "below"), (user, "notes")):
        with pytest.raises(RefusedError, match="was not asked for") as raised:
            getattr(row, link)
        assert raised.value.code == "not-loaded"


@pytest.mark.rule("FN102")
async def test_a_row_is_shown_and_compared_by_what_it_has(stage: Stage) -> None:
    await put(stage, 1, rank=2)

    async def work(ctx: Any) -> Any:
        db = ctx.db.notes
        return await db.get(uid(1)), (await db.find())[0], await db.get(uid(1), notes().DatesView)

    note, same, card = await reading(stage, work)
    assert repr(note).startswith(f"Note(id='{uid(1)}', text='n1'") and "rank=2" in repr(note)
    assert note == same and note is not same and note != card
    assert repr(card).startswith("DatesView(made_at=") and card == card.__class__(**fields(card))


def fields(row: Any) -> dict[str, Any]:
    return {name: getattr(row, name) for name in row.__struct_fields__}


@pytest.mark.rule("FN102")
async def test_a_row_is_a_result(stage: Stage) -> None:
    await stage.user(uid(50))
    await put(stage, 1, owner=uid(50), madeAt="2026-01-01T00:00:00.000Z", rank=1.5)
    assert await stage.call("notes.rows") == [
        {
            "id": uid(1),
            "text": "n1",
            "slug": None,
            "state": "open",
            "kind": None,
            "rank": 1.5,
            "made_at": "2026-01-01T00:00:00Z",
            "code": "c",
            "due": None,
            "body": None,
            "owner": {"id": uid(50)},
            "above": None,
        }
    ]


@pytest.mark.rule("FN103")
async def test_no_list_is_cut_without_a_word(stage: Stage) -> None:
    many = [
        ["create", "note-labels", uid(number), {"word": str(number)}] for number in range(1_001)
    ]
    await stage.write(*many)

    async def work(ctx: Any) -> Any:
        assert len(await ctx.db.labels.find(limit=1_001)) == 1_001
        assert len(await ctx.db.labels.find(where={"word": {"$ne": "7"}})) == 1_000
        await ctx.db.labels.find()

    notes().DO["query"] = work
    fail = await stage.fail("notes.look")
    assert fail.code == "too-many-rows"
    assert fail.data == {"namespace": "note-labels", "rows-max": 1_000}


UNKNOWN: list[Work] = [
    lambda ctx: ctx.db.notes.find(where={"txt": "a"}),
    lambda ctx: ctx.db.notes.find(where={"or": [{"txt": "a"}]}),
    lambda ctx: ctx.db.notes.find(order={"txt": "asc"}),
    lambda ctx: ctx.db.notes.lookup(txt="a"),
    lambda ctx: ctx.db.notes.totals(sum="txt"),
    lambda ctx: ctx.db.notes.create(txt="a"),
    lambda ctx: ctx.db.notes.update(uid(1), txt="a"),
    lambda ctx: ctx.db.notes.increment(uid(1), txt=1),
]


@pytest.mark.rule("FN104")
@pytest.mark.parametrize("work", UNKNOWN)
async def test_names_that_the_schema_has_not_are_errors(stage: Stage, work: Work) -> None:
    async def do(ctx: Any) -> Any:
        made = work(ctx)
        return await made if hasattr(made, "__await__") else made

    notes().DO["mutation"] = do
    fail = await stage.fail("notes.change")
    assert fail.code == "function-failed"
    assert "TypeError: notes has no txt. It has id, text, slug," in fail.traceback


@pytest.mark.rule("FN104")
async def test_an_order_is_by_what_is_indexed(stage: Stage) -> None:
    notes().DO["query"] = lambda ctx: ctx.db.notes.find(order={"text": "asc"})
    fail = await stage.fail("notes.look")
    assert fail.code == "function-failed"
    assert "notes cannot be ordered by text: it is not Indexed in the schema" in fail.traceback


@pytest.mark.rule("FN104")
async def test_names_in_python_stand_for_labels(stage: Stage) -> None:
    owner = await stage.user(uid(50), **{"first-name": "Al"})
    await put(stage, 1, owner=owner["id"])

    async def work(ctx: Any) -> Any:
        day = datetime(2026, 1, 1, tzinfo=UTC)
        assert await ctx.db.notes.exists({"made_at": day})
        assert await ctx.db.notes.exists({"madeAt": {"$gte": day - timedelta(days=1)}})
        assert not await ctx.db.notes.exists({"made_at": day + timedelta(milliseconds=1)})
        assert await ctx.db.notes.exists({"owner.first-name": "Al"})
        assert await ctx.db.notes.exists({"owner": ctx.me})
        assert await ctx.db.notes.exists({"state": sys.modules["schema"].State.OPEN})

    await reading(stage, work, user=owner)


@pytest.mark.rule("FN105")
async def test_dates_are_read_in_every_form_that_apps_have_them(stage: Stage) -> None:
    forms = ["2026-01-02", 1767312000000, "2026-01-02 00:00:00", "Fri, 02 Jan 2026 00:00:00 GMT"]
    for number, form in enumerate(forms, 1):
        await put(stage, number, madeAt=form, due="2026-02-03T10:00:00.000Z")

    async def work(ctx: Any) -> Any:
        found = await ctx.db.notes.find(notes().DatesView)
        assert {each.made_at for each in found} == {datetime(2026, 1, 2, tzinfo=UTC)}
        assert {each.due for each in found} == {date(2026, 2, 3)}
        users = await ctx.db.users.find(notes().JoinedView)
        assert [each.joined for each in users] == [datetime(2026, 1, 2, tzinfo=UTC)] * 2 + [None]

    for number, joined in enumerate(("2026-01-02", 1767312000000, None), 50):
        await stage.user(uid(number), joined=joined)
    await reading(stage, work)


@pytest.mark.rule("FN105")
async def test_a_row_that_does_not_fit_is_told(stage: Stage) -> None:
    await put(stage, 1, state="lost")

    async def work(ctx: Any) -> Any:
        await ctx.db.notes.get(uid(1))

    notes().DO["query"] = work
    fail = await stage.fail("notes.look")
    assert "A row of notes does not fit Note: Invalid enum value 'lost'" in fail.traceback


@pytest.mark.rule("FN106")
async def test_writes_are_steps_with_defaults_and_links(stage: Stage) -> None:
    await stage.user(uid(50))
    await stage.write(["create", "note-labels", uid(60), {"word": "a"}])

    async def work(ctx: Any) -> Any:
        schema = sys.modules["schema"]
        first = ctx.db.notes.create(
            text="a", owner=uid(50), tags=[uid(60)], kind="list", due=date(2026, 2, 3), rank=2
        )
        second = ctx.db.notes.create(
            id=uid(9), text="b", state=schema.State.DONE, above=await ctx.db.notes.get(first),
            made_at=datetime(2026, 1, 2, 3, 4, 5, 678_900, tzinfo=timezone(timedelta(hours=1))),
        )  # fmt: skip
        ctx.db.notes.increment(first, rank=1.5)
        ctx.db.notes.update(second, body={"a": 1, "b": 2}, owner=uid(50))
        ctx.db.notes.merge(second, body={"a": None})
        ctx.db.notes.unlink(first, tags=uid(60))
        ctx.db.notes.link(second, tags=[uid(60)])
        assert (await ctx.db.notes.get(second)).body == {"b": 2}
        return [first, second]

    first, second = await writing(stage, work)
    assert second == uid(9)
    found = {each["id"]: each for each in (await stage.ask({"notes": {"tags": {}}}))["notes"]}
    code = found[first].pop("code")
    assert len(code) == 36 and code != found[second].pop("code")
    assert found[first] == {
        "id": first,
        "text": "a",
        "state": "open",
        "kind": "list",
        "rank": 3.5,
        "slug": None,
        "due": "2026-02-03",
        "madeAt": "2023-11-14T22:13:20.000Z",
        "tags": [],
    }
    assert found[second] == {
        "id": second,
        "text": "b",
        "state": "done",
        "rank": None,
        "slug": None,
        "madeAt": "2026-01-02T02:04:05.678Z",
        "body": {"b": 2},
        "tags": [{"id": uid(60), "word": "a"}],
    }
    assert await stage.ask({"notes": {"$": {"where": {"above": first}, "fields": ["id"]}}}) == {
        "notes": [{"id": second}]
    }

    async def remove(ctx: Any) -> None:
        ctx.db.notes.delete(await ctx.db.notes.get(first))
        ctx.db.notes.delete(uid(8))

    await writing(stage, remove)
    assert [each["id"] for each in (await stage.ask({"notes": {}}))["notes"]] == [second]


REFUSED: list[tuple[Work, str]] = [
    (lambda ctx: ctx.db.notes.create(text="a", state="lost"), "Invalid enum value 'lost'"),
    (lambda ctx: ctx.db.notes.create(text="a", kind="x"), "Invalid enum value 'x'"),
    (lambda ctx: ctx.db.notes.create(text="a", made_at=datetime(2026, 1, 1)), "has no time zone"),
    (lambda ctx: ctx.db.notes.update(uid(1), tags=[uid(2)]), "use link and unlink, not update"),
    (lambda ctx: ctx.db.notes.update(uid(1), owner=None), "use unlink, with its id"),
    (lambda ctx: ctx.db.notes.link(uid(1), text="a"), "notes has no link text to link"),
    (lambda ctx: ctx.db.notes.increment(uid(1), owner=1), "which has no number to add to"),
    (lambda ctx: ctx.db.notes.delete(None), "None is no id"),
    (lambda ctx: ctx.db.notes.create(text="a", rank=float("inf")), "is no number that JSON has"),
    (lambda ctx: ctx.db.as_caller().notes.delete(uid(1)), "as_caller() is for reads"),
]


@pytest.mark.rule("FN107")
@pytest.mark.parametrize(("work", "told"), REFUSED)
async def test_a_write_that_cannot_be_meant_is_an_error(
    stage: Stage, work: Work, told: str
) -> None:
    async def do(ctx: Any) -> None:
        work(ctx)

    notes().DO["mutation"] = do
    fail = await stage.fail("notes.change")
    assert fail.code == "function-failed" and told in fail.traceback
    assert (await stage.ask({"notes": {}})) == {"notes": []}


@pytest.mark.rule("FN107")
async def test_what_the_engine_refuses_is_refused_at_the_end(stage: Stage) -> None:
    async def absent(ctx: Any) -> None:
        ctx.db.notes.update(uid(9), text="a")

    with pytest.raises(InvalidInput, match="Updating entities that don't exist"):
        await writing(stage, absent)


@pytest.mark.rule("FN107")
async def test_a_query_writes_nothing(stage: Stage) -> None:
    async def do(ctx: Any) -> None:
        ctx.db.notes.create(text="a")

    notes().DO["query"] = do
    fail = await stage.fail("notes.look")
    assert "A query only reads: write in a mutation" in fail.traceback


@pytest.mark.rule("FN108")
async def test_pages_follow_each_other_through_ties_and_null(stage: Stage) -> None:
    ranks: list[Any] = [None, None, 1, 2, 2, 2, 3, None, 3]
    for number, rank in enumerate(ranks, 1):
        await put(stage, number, rank=rank)
    for direction in ("asc", "desc"):
        for size in (1, 2, 4, 9):
            seen: list[Any] = []
            after = None
            while True:

                async def work(
                    ctx: Any, direction: str = direction, size: int = size, after: Any = after
                ) -> Any:
                    return await ctx.db.notes.page(
                        Paged(size, after), where={"text": {"$ne": "n7"}}, order={"rank": direction}
                    )

                page = await reading(stage, work)
                assert len(page.items) == size or page.next is None
                seen += page.items
                after = page.next
                if after is None:
                    break
            assert sorted(each.id for each in seen) == sorted(
                uid(number) for number in range(1, 10) if number != 7
            )
            order = [each.rank if each.rank is not None else -1 for each in seen]
            assert order == sorted(order, reverse=direction == "desc")


@pytest.mark.rule("FN603")
async def test_a_run_reads_one_page(stage: Stage) -> None:
    async def work(ctx: Any) -> Any:
        await ctx.db.notes.page(Paged(1), order={"rank": "asc"})
        await ctx.db.notes.page(Paged(1), order={"rank": "asc"})

    notes().DO["query"] = work
    failed = await stage.fail("notes.look")
    assert failed.code == "function-failed" and "A run reads one page" in failed.traceback


@pytest.mark.rule("FN108")
@pytest.mark.parametrize(
    "page", [(0, None), (1_001, None), (1, "x"), (1, "e30="), (1, "x" * 20_000)]
)
async def test_a_page_that_cannot_be_is_refused(stage: Stage, page: Any) -> None:
    async def work(ctx: Any) -> Any:
        await ctx.db.notes.page(Paged(*page), order={"rank": "asc"})

    notes().DO["query"] = work
    assert (await stage.fail("notes.look")).code == "bad-args"
