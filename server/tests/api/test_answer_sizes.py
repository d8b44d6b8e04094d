"""The same bound on answers, on every route that gives one."""

from __future__ import annotations

from typing import Any

import pytest

from trice import limits
from trice.identity import ADMIN

SCHEMA = {
    "entities": {"todos": {"attrs": {}}, "people": {"attrs": {}}},
    "links": {
        "todoOwner": {
            "forward": {"on": "todos", "label": "owner", "has": "one"},
            "reverse": {"on": "people", "label": "todos", "has": "many"},
        }
    },
}
OWNER = "e2000000-0000-4000-8000-000000000001"
IDS = [f"e1000000-0000-4000-8000-{number:012}" for number in range(60)]
SEED = [["update", "people", OWNER, {}], *(["update", "todos", one, {}] for one in IDS)]
LINKS = [["link", "todos", one, {"owner": OWNER}] for one in IDS]


def deep(levels: int) -> dict[str, Any]:
    form: dict[str, Any] = {}
    for _ in range(levels):
        form = {"owner": {"todos": form}}
    return {"todos": form}


async def prepare(stage: Any) -> None:
    app, stage.token = await stage.apps.create(title="deep", is_open=True, schema=SCHEMA)
    stage.app_id = app.id
    await app.database.transact_admin(SEED + LINKS, identity=ADMIN)
    stage.apps.give_back(app)


@pytest.mark.rule("Q130")
@pytest.mark.parametrize(
    ("path", "who"),
    [
        ("/admin/query", {}),
        ("/admin/query", {"as-guest": "true"}),
        ("/admin/query_perms_check", {"as-guest": "true"}),
    ],
)
@pytest.mark.parametrize("is_inferring", [False, True])
async def test_an_answer_over_http_is_bounded(
    stage: Any, path: str, who: Any, is_inferring: bool
) -> None:
    await prepare(stage)
    for levels, status in ((1, 200), (8, 400)):
        body = {"query": deep(levels), "inference?": is_inferring}
        answer = await stage.ask("POST", path, body, stage.admin(**who))
        assert answer.status == status, answer.json()
    failure = answer.json()
    assert failure["type"] == "parameter-limit-exceeded"
    assert failure["hint"]["bytes-max"] == limits.RESULT_BYTES_MAX


@pytest.mark.rule("Q130")
async def test_a_live_answer_as_a_tree_is_bounded(stage: Any) -> None:
    await prepare(stage)
    target, query = "/admin/subscribe-query", {"query": deep(8)}
    events = stage.start("POST", target, query, stage.admin(**{"as-guest": "true"}))
    refused = await events.event(1)
    assert (refused["op"], refused["type"]) == ("error", "parameter-limit-exceeded")
    await events.hang_up()
    events = stage.start("POST", target, {"query": deep(1)}, stage.admin())
    answer = await events.event(1)
    assert len(answer["result"]["todos"]) == len(IDS)
    await events.hang_up()


@pytest.mark.rule("Q130")
async def test_a_flat_answer_has_each_entity_once_however_deep(stage: Any) -> None:
    await prepare(stage)
    answer = await stage.ask(
        "POST", "/runtime/framework/query", {"query": deep(8)}, {"app-id": stage.app_id}
    )
    assert answer.status == 200
    (row,) = answer.json()["result"][0]["data"]["datalog-result"]["join-rows"]
    assert len(row) == 2 * len(IDS) + 1
