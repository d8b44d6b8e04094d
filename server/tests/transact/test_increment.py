"""Increments: sums made where the data is, so that nobody has to read first."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import orjson
import pytest

from support.engines import open_apps
from support.ruled_app import RuledApp
from support.runtime import FakeRuntime
from support.transact_app import App, uid
from trice.catalog.attr import INFERRED_BITS
from trice.errors import Conflict, InvalidInput
from trice.identity import ADMIN


def by(app: App, amount: Any, *options: Any, label: str = "pages", number: int = 1) -> list[Any]:
    return ["increment-triple", uid(number), app.attr("books", label).id, amount, *options]


def refused(app: App, *steps: Any) -> InvalidInput:
    before = app.snapshot()
    with pytest.raises(InvalidInput) as caught:
        app.transact(list(steps))
    assert caught.value.code == "validation-failed"
    assert app.snapshot() == before
    return caught.value


@pytest.mark.rule("T115")
@pytest.mark.parametrize(
    ("stored", "amounts", "total"),
    [
        (5, [2], 7),
        (5, [-7, 0.5], -1.5),
        (None, [3, 4], 7),
        (2**62, [2**61], 2**62 + 2**61),
        (0.1, [0.2], 0.1 + 0.2),
        (1.5, [0], 1.5),
    ],
)
def test_sums(library: App, stored: Any, amounts: list[Any], total: Any) -> None:
    library.put("books", 1, pages=stored)
    library.transact([by(library, amount) for amount in amounts])
    found = library.get("books", 1)
    assert found is not None and found["pages"] == total


@pytest.mark.rule("T115")
def test_a_field_without_value_counts_as_nothing(library: App) -> None:
    # An entity whose id is written counts from 0; without its id the value waits for it (T41).
    library.transact([*library.put_steps("books", 1), by(library, 2, label="meta")])
    assert library.get("books", 1) == {"meta": 2, "pages": None}
    library.transact([by(library, 3, number=2)])
    assert library.get("books", 2) is None
    library.put("books", 2)
    assert library.get("books", 2) == {"pages": 3}
    assert library.transact([by(library, 0)]).entities != []
    assert library.transact([by(library, 0)]).entities == []


@pytest.mark.rule("T115", "T39")
def test_increments_of_one_transaction_run_as_one_group(library: App) -> None:
    library.put("books", 1, pages=10)
    pages = library.attr("books", "pages").id
    library.transact([by(library, 1), ["add-triple", uid(1), pages, 100], by(library, 1)])
    assert library.get("books", 1) == {"pages": 100}
    library.transact([["add-triple", uid(1), pages, 7], by(library, 1), by(library, 1)])
    assert library.get("books", 1) == {"pages": 9}


@pytest.mark.rule("T115")
async def test_nobody_undoes_anybody_else(tmp_path: Path) -> None:
    runtime = FakeRuntime()
    apps = await open_apps(tmp_path, runtime=runtime, is_open_by_default=False)
    try:
        app, _ = await apps.create(title="votes", is_open=True)
        step = ["increment", "polls", uid(1), {"votes": 1}]
        await asyncio.gather(
            *(app.database.transact_admin([step, step], identity=ADMIN) for _ in range(50))
        )
        attr = app.database.catalog.find_forward("polls", "votes")
        assert attr is not None and attr.inferred == INFERRED_BITS["number"]
        answer = await app.database.query_nested({"polls": {}}, identity=ADMIN)
        (found,) = orjson.loads(answer)["polls"]
        assert found["votes"] == 100
        apps.give_back(app)
    finally:
        await apps.close()


@pytest.mark.rule("T116")
@pytest.mark.parametrize("stored", ["secret", True, {"secret": 1}, ["secret"], "5"])
def test_what_is_no_number_is_not_incremented(library: App, stored: Any) -> None:
    library.put("books", 1, meta=stored)
    error = refused(library, by(library, 1, label="meta"))
    assert error.message == "Cannot increment books.meta: what is stored there is no number."
    assert "secret" not in orjson.dumps(error.body()).decode()


@pytest.mark.rule("T116")
@pytest.mark.parametrize(
    ("stored", "amount"), [(1.7e308, 1.7e308), (-1.7e308, -1.7e308), (1.5e308, 2**1023)]
)
def test_a_sum_beyond_a_double_is_refused(library: App, stored: float, amount: float) -> None:
    library.put("books", 1, pages=stored)
    error = refused(library, by(library, amount))
    assert error.message == "Cannot increment books.pages: the sum is out of range."
    assert str(stored) not in orjson.dumps(error.body()).decode()


@pytest.mark.rule("T116", "T67")
def test_a_sum_that_clashes_does_not_repeat_what_was_stored(library: App) -> None:
    library.define("books", "place", unique=True)
    library.put("books", 1, place=41_000)
    library.put("books", 2, place=41_007)
    with pytest.raises(Conflict) as caught:
        library.transact([by(library, 7, label="place")])
    assert "41007" not in orjson.dumps(caught.value.body()).decode()


@pytest.mark.rule("T117")
@pytest.mark.parametrize("amount", ["1", None, True, {}, [1]])
def test_an_amount_is_a_number(library: App, amount: Any) -> None:
    error = refused(library, by(library, 1), by(library, amount))
    assert error.hint["errors"][0]["in"] == [1, 3]
    assert "A field is incremented by a number, not by " in error.message
    step = ["increment", "books", uid(1), {"pages": amount}]
    with pytest.raises(InvalidInput) as admin:
        library.admin(step)
    assert admin.value.hint["errors"][0]["in"] == [0, 3, "pages"]


@pytest.mark.rule("T117")
@pytest.mark.parametrize("amount", [float("inf"), float("nan"), 10**400])
def test_an_amount_is_finite(library: App, amount: Any) -> None:
    library.put("books", 1, pages=1)
    refused(library, by(library, amount))


@pytest.mark.rule("T117", "T63")
def test_only_fields_that_hold_numbers(library: App) -> None:
    library.define("books", "note", checked_data_type="string")
    for label in ("author", "tags"):
        error = refused(library, by(library, 1, label=label))
        assert "increment operation is not supported for links" in error.message
    assert "is its own id" in refused(library, by(library, 1, label="id")).message
    assert "must be a string" in refused(library, by(library, 1, label="note")).message


@pytest.mark.rule("T118")
def test_rules_judge_the_sum(library: App) -> None:
    library.put("books", 1, pages=8)
    ruled = RuledApp(
        library,
        {
            "books": {
                "allow": {
                    "update": "newData.pages <= 10 && newData.pages > data.pages"
                    " && request.modifiedFields == ['pages']"
                }
            }
        },
    )
    assert ruled.is_allowed([by(library, 2)])
    assert not ruled.is_allowed([by(library, 1)])
    assert not ruled.is_allowed([by(library, -1)])
    assert library.get("books", 1) == {"pages": 10}
    # A refusal of the rules comes before what is stored is told of.
    library.put("books", 2, meta="secret")
    ruled.denied([by(library, 1, label="meta", number=2)])


@pytest.mark.rule("T118")
def test_modes_hold_for_increments(library: App) -> None:
    library.put("books", 1, pages=1)
    there = refused(library, by(library, 1, {"mode": "create"}))
    assert "Creating entities that exist" in there.message
    missing = refused(library, by(library, 1, {"mode": "update"}, number=2))
    assert "Updating entities that don't exist" in missing.message
    with pytest.raises(InvalidInput, match="Updating entities that don't exist"):
        library.admin(["increment", "books", uid(2), {"pages": 1}, {"upsert": False}])
    library.admin(["increment", "books", uid(2), {"pages": 1}])
    assert library.get("books", 2) == {"pages": 1}


@pytest.mark.rule("T119")
def test_the_field_that_is_looked_up_by(library: App) -> None:
    library.define("books", "place", unique=True)
    place, pages = (library.attr("books", label).id for label in ("place", "pages"))
    library.transact([["increment-triple", [place, 4], pages, 3]])
    error = refused(library, ["increment-triple", [place, 5], place, 5])
    assert "Updates with lookups can only update the lookup attribute" in error.message
    library.put("books", 1, place=6)
    library.transact([["increment-triple", [place, 6], place, 5]])
    found = library.get("books", 1)
    assert found is not None and found["place"] == 11
