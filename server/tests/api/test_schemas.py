"""Schemas over HTTP: read, planned, pushed, with jobs."""

from __future__ import annotations

import asyncio

import pytest

from trice import account_limits
from trice.errors import Unavailable

NOBODY = "00000000-0000-4000-8000-000000000000"


def field(value_type="string", *, required=False, indexed=False, unique=False):
    config = {"indexed": indexed, "unique": unique}
    return {"valueType": value_type, "required": required, "config": config}


def schema(links=None, **entities):
    shaped = {name: {"attrs": attrs} for name, attrs in entities.items()}
    return {"entities": shaped, "links": links or {}}


def owner(*, has="one", on_delete=None):
    forward = {"on": "todos", "label": "owner", "has": has}
    reverse = {"on": "$users", "label": "todos", "has": "many"}
    return {"todosOwner": {"forward": {**forward, "onDelete": on_delete}, "reverse": reverse}}


class Pushes:
    """One app, its developer, and the routes of schemas."""

    def __init__(self, stage):
        self.stage = stage
        self.path = f"/dash/apps/{stage.app_id}"

    async def ask(self, method, path, body=None):
        answer = await self.stage.ask(method, self.path + path, body, self.stage.admin())
        return answer.json()

    async def plan(self, document, **options):
        whole = {"check_types": True, "supports_background_updates": True, **options}
        return await self.ask("POST", "/schema/push/plan", {"schema": document, **whole})

    async def push(self, document, **options):
        whole = {"check_types": True, "supports_background_updates": True, **options}
        pushed = await self.ask("POST", "/schema/push/apply", {"schema": document, **whole})
        return pushed if "type" in pushed else await self.finished(pushed)

    async def apply(self, *steps):
        pushed = await self.ask("POST", "/schema/steps/apply", {"steps": list(steps)})
        return pushed if "type" in pushed else await self.finished(pushed)

    async def finished(self, pushed):
        """The answer of a push, with its jobs as they ended."""
        group = pushed["indexing-jobs"]
        while group and any(
            job["job_status"] in ("waiting", "processing") for job in group["jobs"]
        ):
            await asyncio.sleep(0)
            path = f"/indexing-jobs/group/{group['group-id']}"
            group = {**group, **await self.ask("GET", path)}
        return {**pushed, "indexing-jobs": group}

    async def attr(self, etype, label):
        pulled = await self.ask("GET", "/schema/pull")
        return next(
            attr for attr in pulled["attrs"] if attr["forward-identity"][1:] == [etype, label]
        )

    async def write(self, *steps):
        body = {"steps": list(steps)}
        answer = await self.stage.ask("POST", "/admin/transact", body, self.stage.admin())
        assert answer.status == 200, answer.json()

    async def query(self, query):
        answer = await self.stage.ask("POST", "/admin/query", {"query": query}, self.stage.admin())
        return answer.json()


@pytest.fixture
def pushes(stage):
    return Pushes(stage)


def kinds(planned):
    return [step[0] for step in planned["steps"]]


def outcomes(pushed):
    jobs = pushed["indexing-jobs"]["jobs"]
    return [(job["job_type"], job["attr_name"], job["error"]) for job in jobs]


def ids(count):
    return [f"00000000-0000-4000-8000-{number:012d}" for number in range(1, count + 1)]


@pytest.mark.rule("AC30", "AC31")
async def test_a_schema_shows_what_developers_may_know(pushes):
    await pushes.push(schema(owner(), todos={"title": field(indexed=True)}))
    pulled = await pushes.ask("GET", "/schema/pull")
    blobs, refs = pulled["schema"]["blobs"], pulled["schema"]["refs"]
    assert sorted(blobs) == ["$files", "$streams", "$users", "todos"]
    assert sorted(blobs["todos"]) == ["id", "title"]
    assert sorted(blobs["$files"]) == ["id", "path", "url"]
    assert blobs["$files"]["url"]["required?"] is True
    assert "machineId" not in blobs["$streams"]
    assert '["todos" "owner" "$users" "todos"]' in refs
    assert not any("Token" in key or "oauth" in key for key in refs)
    assert pulled["app-title"] == "test"
    names = {tuple(attr["forward-identity"][1:]) for attr in pulled["attrs"]}
    assert ("$magicCodes", "codeHash") in names and ("$files", "location-id") in names


@pytest.mark.rule("AC32")
async def test_what_was_pulled_plans_nothing(pushes):
    document = schema(owner(on_delete="cascade"), todos={"title": field(required=True)})
    await pushes.push(document)
    assert kinds(await pushes.plan(document)) == []
    primary = {
        "forward": {"on": "$users", "label": "linkedPrimaryUser", "has": "one"},
        "reverse": {"on": "$users", "label": "linkedGuestUsers", "has": "many"},
    }
    files = {
        "forward": {"on": "$streams", "label": "$files", "has": "many"},
        "reverse": {"on": "$files", "label": "$stream", "has": "one", "onDelete": "cascade"},
    }
    links = {**document["links"], "a": primary, "b": files}
    document["entities"]["$users"] = {"attrs": {"email": field(unique=True, indexed=True)}}
    assert kinds(await pushes.plan({**document, "links": links})) == []


@pytest.mark.rule("AC32")
async def test_a_plan_changes_nothing(pushes):
    before = await pushes.ask("GET", "/schema/pull")
    planned = await pushes.plan(schema(owner(), todos={"title": field()}))
    assert kinds(planned) == ["add-attr"] * 3
    assert [step[1]["forward-identity"][2] for step in planned["steps"]] == ["id", "title", "owner"]
    assert "todos" in planned["new-schema"]["blobs"]
    assert "todos" not in planned["current-schema"]["blobs"]
    assert await pushes.ask("GET", "/schema/pull") == before


@pytest.mark.rule("AC33", "AC37")
async def test_a_push_adds_at_once_and_changes_by_jobs(pushes):
    first = await pushes.push(schema(owner(), todos={"title": field(), "size": field("json")}))
    assert first["indexing-jobs"] is None
    assert first["transaction"]["id"] > 0
    wanted = schema(
        owner(has="many", on_delete=None),
        todos={"title": field(required=True, indexed=True, unique=True), "size": field("number")},
    )
    second = await pushes.push(wanted)
    assert kinds(second) == ["index", "unique", "required", "check-data-type", "update-attr"]
    assert outcomes(second) == [
        ("index", "todos.title", None),
        ("unique", "todos.title", None),
        ("required", "todos.title", None),
        ("check-data-type", "todos.size", None),
    ]
    jobs = {job["id"]: job for job in second["indexing-jobs"]["jobs"]}
    for step in second["steps"][:4]:
        assert jobs[step[1]["job-id"]]["job_type"] == step[0]
    assert {job["job_status"] for job in jobs.values()} == {"completed"}
    title = await pushes.attr("todos", "title")
    assert (title["index?"], title["unique?"], title["required?"]) == (True, True, True)
    assert (await pushes.attr("todos", "owner"))["cardinality"] == "many"
    third = await pushes.push(schema(todos={"title": field(), "size": field("any")}))
    assert kinds(third) == ["remove-index", "remove-unique", "remove-required", "remove-data-type"]
    assert {outcome[2] for outcome in outcomes(third)} == {None}
    assert "checked-data-type" not in await pushes.attr("todos", "size")


@pytest.mark.rule("AC34")
async def test_older_command_lines_neither_check_types_nor_know_jobs(pushes):
    options = {"check_types": False, "supports_background_updates": False}
    await pushes.push(schema(todos={"title": field()}), **options)
    assert "checked-data-type" not in await pushes.attr("todos", "title")
    pushed = await pushes.push(schema(todos={"title": field("number", indexed=True)}), **options)
    assert kinds(pushed) == ["update-attr"] and pushed["indexing-jobs"] is None
    title = await pushes.attr("todos", "title")
    assert title["index?"] is True and "checked-data-type" not in title


@pytest.mark.rule("AC35")
async def test_steps_of_clients_rename_and_end_cascades(pushes):
    await pushes.push(schema(owner(on_delete="cascade"), todos={"title": field()}))
    title, link = await pushes.attr("todos", "title"), await pushes.attr("todos", "owner")
    pushed = await pushes.apply(
        ["update-attr", {"id": title["id"], "forward-identity": [title["id"], "todos", "text"]}],
        ["update-attr", {"id": link["id"], "cardinality": "many"}],
    )
    assert pushed["transaction"]["id"] > 0
    renamed, changed = await pushes.attr("todos", "text"), await pushes.attr("todos", "owner")
    assert renamed["forward-identity"][0] == title["forward-identity"][0]
    assert renamed["checked-data-type"] == "string"
    assert changed["cardinality"] == "many" and "on-delete" not in changed
    assert changed["reverse-identity"] == link["reverse-identity"]


@pytest.mark.rule("AC35")
async def test_deleted_attrs_are_kept_for_restoring(pushes):
    await pushes.push(schema(todos={"title": field()}))
    [todo] = ids(1)
    await pushes.write(["update", "todos", todo, {"title": "kept"}])
    title = await pushes.attr("todos", "title")
    await pushes.apply(["delete-attr", title["id"]])
    assert await pushes.query({"todos": {}}) == {"todos": [{"id": todo}]}
    app = await pushes.stage.apps.lend(pushes.stage.app_id)
    assert app.database.catalog.by_id[title["id"]].deleted_ms is not None
    pushes.stage.apps.give_back(app)


@pytest.mark.rule("AC36")
async def test_a_refused_step_undoes_all_and_begins_no_job(pushes):
    await pushes.push(schema(todos={"title": field()}))
    title = await pushes.attr("todos", "title")
    answer = await pushes.apply(
        ["delete-attr", title["id"]],
        ["delete-attr", NOBODY],
        ["index", {"attr-id": title["id"]}],
    )
    assert answer["type"] == "sql-raise"
    assert (await pushes.attr("todos", "title"))["index?"] is False


@pytest.mark.rule("AC37", "AC38")
async def test_failed_jobs_name_what_does_not_fit_and_the_rest_goes_on(pushes):
    await pushes.push(schema(todos={"title": field("json"), "note": field("json")}))
    one, two, three = ids(3)
    await pushes.write(
        ["update", "todos", one, {"title": "same", "note": "x" * 2_000}],
        ["update", "todos", two, {"title": "same", "note": "y"}],
        ["update", "todos", three, {"note": None}],
    )
    wanted = {"title": field("number", required=True, unique=True), "note": field(indexed=True)}
    pushed = await pushes.push(schema(todos=wanted))
    jobs = {(job["attr_name"], job["job_type"]): job for job in pushed["indexing-jobs"]["jobs"]}
    unique = jobs["todos.title", "unique"]
    assert (unique["error"], unique["invalid_unique_value"]) == ("triple-not-unique-error", "same")
    required = jobs["todos.title", "required"]
    assert required["error"] == "missing-required-error"
    expected = {"count": 1, "entity-ids": [three], "etype": "todos", "label": "title"}
    assert required["error_data"] == expected
    typed = jobs["todos.title", "check-data-type"]
    assert typed["error"] == "invalid-triple-error"
    [sample] = typed["invalid_triples_sample"]
    assert sample == {"entity_id": one, "value": "same", "json_type": "string"}
    large = jobs["todos.note", "index"]
    assert large["error"] == "triple-too-large-error"
    assert large["invalid_triples_sample"][0]["entity_id"] == one
    assert jobs["todos.note", "check-data-type"]["job_status"] == "completed"
    assert all(job["done_at"] for job in jobs.values())
    title = await pushes.attr("todos", "title")
    assert (title["unique?"], title["required?"]) == (False, False)


@pytest.mark.rule("AC40")
async def test_pushes_are_bounded(pushes, monkeypatch):
    await pushes.push(schema(todos={"title": field()}))
    title = await pushes.attr("todos", "title")
    step = ["index", {"attr-id": title["id"]}]
    most = account_limits.SCHEMA_STEPS_MAX
    answer = await pushes.apply(*([step] * (most + 1)))
    assert answer["type"] == "parameter-limit-exceeded"
    queue = pushes.stage.asgi.state.schemas.jobs.queue
    blocked = asyncio.Event()
    waiting = []
    while not queue.is_full():
        waiting.append(queue.submit(blocked.wait))
    answer = await pushes.apply(["delete-attr", title["id"]], step)
    assert answer["type"] == "overloaded"
    assert (await pushes.attr("todos", "title"))["id"] == title["id"]
    # Attrs alone need no place among the jobs.
    assert (await pushes.push(schema(todos={"done": field("boolean")})))["transaction"]
    blocked.set()
    await asyncio.gather(*waiting)


@pytest.mark.rule("AC40")
async def test_throw_away_apps_leave_room_for_others(pushes, stage, monkeypatch):
    most = account_limits.EPHEMERAL_GROUPS_OF_NETWORK
    answer = await stage.ask("POST", "/dash/apps/ephemeral", {"title": "thrown"})
    app = answer.json()["app"]
    headers = {"authorization": f"Bearer {app['admin-token']}"}
    path = f"/dash/apps/{app['id']}/schema/steps/apply"
    jobs = stage.asgi.state.schemas.jobs
    blocked = asyncio.Event()
    minor = [jobs.queue.submit(blocked.wait, is_minor=True) for _ in range(2)]
    body = {"steps": [["index", {"attr-id": NOBODY}]]}
    pushed = [(await stage.ask("POST", path, body, headers)).json() for _ in range(most + 1)]
    assert [each.get("type") for each in pushed] == [None] * most + ["overloaded"]
    # The app that lasts is served meanwhile.
    await pushes.push(schema(todos={"title": field()}))
    done = await pushes.push(schema(todos={"title": field(indexed=True)}))
    assert outcomes(done) == [("index", "todos.title", None)]
    blocked.set()
    await asyncio.gather(*minor)
    thrown = Pushes(stage)
    thrown.path = f"/dash/apps/{app['id']}"
    monkeypatch.setattr(stage, "admin", lambda: headers)
    for each in pushed[:most]:
        assert outcomes(await thrown.finished(each)) == [
            ("index", "unknown.attr", "invalid-attr-state-error")
        ]
    assert (await stage.ask("POST", path, body, headers)).status == 200


@pytest.mark.rule("AC40")
async def test_requests_for_schemas_are_bounded_for_each_network(pushes, monkeypatch):
    monkeypatch.setattr(account_limits, "SCHEMA_READS_OF_NETWORK", 2)
    answers = await asyncio.gather(*(pushes.ask("GET", "/schema/pull") for _ in range(4)))
    assert [answer.get("type") for answer in answers] == [None, None, "overloaded", "overloaded"]
    assert "schema" in await pushes.ask("GET", "/schema/pull")


@pytest.mark.rule("AC40")
async def test_jobs_that_find_no_place_say_so(pushes, monkeypatch):
    await pushes.push(schema(todos={"title": field()}))
    jobs = pushes.stage.asgi.state.schemas.jobs

    def submit(work, *, is_minor=False, keys=()):
        raise Unavailable("overloaded", "Too much waits.")

    monkeypatch.setattr(jobs.queue, "submit", submit)
    pushed = await pushes.push(schema(todos={"title": field(indexed=True)}))
    assert outcomes(pushed) == [("index", "todos.title", "unexpected-error")]


@pytest.mark.rule("AC41")
async def test_jobs_are_found_in_their_own_app_while_they_are_new(pushes, stage, monkeypatch):
    await pushes.push(schema(todos={"title": field()}))
    pushed = await pushes.push(schema(todos={"title": field(indexed=True)}))
    [job] = pushed["indexing-jobs"]["jobs"]
    group_path = f"/indexing-jobs/group/{job['group_id']}"
    assert (await pushes.ask("GET", f"/indexing-jobs/{job['id']}"))["job"] == job
    other, token = await stage.apps.create(title="other")
    stage.apps.give_back(other)
    headers = {"authorization": f"Bearer {token}"}
    path = f"/dash/apps/{other.id}"
    assert (await stage.ask("GET", path + group_path, None, headers)).json() == {"jobs": []}
    answer = await stage.ask("GET", f"{path}/indexing-jobs/{job['id']}", None, headers)
    assert answer.json()["hint"]["record-type"] == "indexing-job"
    unknown = f"/indexing-jobs/group/{NOBODY}"
    assert await pushes.ask("GET", unknown) == {"jobs": []}
    monkeypatch.setattr(account_limits, "SCHEMA_GROUPS_KEPT", 1)
    await pushes.push(schema(todos={"title": field()}))
    assert await pushes.ask("GET", group_path) == {"jobs": []}


@pytest.mark.rule("AC42")
@pytest.mark.parametrize(
    ("step", "place"),
    [
        ("x", [0]),
        ([], [0]),
        (["index"], [0]),
        ([3, {}], [0]),
        (["burn", {}], [0, 0]),
        (["index", 3], [0, 1]),
        (["index", {}], [0, 1, "attr-id"]),
        (["check-data-type", {"attr-id": NOBODY}], [0, 1, "checked-data-type"]),
        (["check-data-type", {"attr-id": NOBODY, "checked-data-type": []}], None),
        (["delete-attr", {}], [0, 1]),
        (["add-attr", []], None),
        (["update-attr", {"id": NOBODY, "cardinality": 3}], None),
    ],
)
async def test_malformed_steps_are_refused_with_their_place(pushes, step, place):
    answer = await pushes.apply(step)
    assert (answer["type"], answer["hint"]["data-type"]) == ("validation-failed", "steps")
    if place is not None:
        assert answer["hint"]["errors"][0]["in"] == place


@pytest.mark.rule("AC42")
@pytest.mark.parametrize("steps", [None, 3, "x", {}])
async def test_steps_are_a_list(pushes, steps):
    answer = await pushes.ask("POST", "/schema/steps/apply", {"steps": steps})
    assert answer["type"] == "validation-failed"
    assert (await pushes.ask("POST", "/schema/steps/apply", {}))["type"] == "param-missing"
    assert (await pushes.ask("POST", "/schema/push/plan", {}))["type"] == "param-missing"


@pytest.mark.rule("AC37", "AC42")
async def test_jobs_on_attrs_that_cannot_change_fail(pushes):
    email = await pushes.attr("$users", "email")
    pushed = await pushes.apply(
        ["required", {"attr-id": email["id"]}], ["index", {"attr-id": NOBODY}]
    )
    assert [outcome[2] for outcome in outcomes(pushed)] == ["invalid-attr-state-error"] * 2


@pytest.mark.rule("AC43")
async def test_a_single_job_begins_by_itself(pushes):
    await pushes.push(schema(todos={"title": field()}))
    title = await pushes.attr("todos", "title")
    body = {"attr-id": title["id"], "job-type": "index"}
    job = (await pushes.ask("POST", "/indexing-jobs", body))["job"]
    while job["job_status"] not in ("completed", "errored"):
        await asyncio.sleep(0)
        job = (await pushes.ask("GET", f"/indexing-jobs/{job['id']}"))["job"]
    assert (await pushes.attr("todos", "title"))["index?"] is True
    answer = await pushes.ask("POST", "/indexing-jobs", {**body, "attr-id": NOBODY})
    assert answer["hint"]["record-type"] == "attrs"
    answer = await pushes.ask("POST", "/indexing-jobs", {**body, "job-type": "burn"})
    assert answer["hint"]["data-type"] == "job-type"
