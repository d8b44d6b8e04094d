"""Jobs over HTTP: listed, followed, canceled, kept over a restart. Deleted attrs, until they go."""

from __future__ import annotations

import asyncio

import apsw
import pytest

from support.account_http import account_of
from support.http_wire import until
from trice import account_limits
from trice.apps.removed_attrs import RemovedAttrs
from trice.apps.schemas import make_schemas
from trice.background import Background

NOBODY = "00000000-0000-4000-8000-000000000000"


def entity(number):
    return f"00000000-0000-4000-8000-{number:012d}"


class Todos:
    """An app with todos, whose jobs take many turns, and its developer."""

    def __init__(self, stage):
        self.stage = stage
        self.path = f"/dash/apps/{stage.app_id}"

    async def ask(self, method, path, body=None, *, status=200):
        answer = await self.stage.ask(method, path, body, self.stage.admin())
        assert answer.status == status, answer.json()
        return answer.json()

    async def dash(self, method, path, body=None, *, status=200):
        return await self.ask(method, self.path + path, body, status=status)

    async def write(self, *steps):
        return await self.ask("POST", "/admin/transact", {"steps": list(steps)})

    async def query(self, query):
        return await self.ask("POST", "/admin/query", {"query": query})

    async def attr(self, label):
        pulled = await self.dash("GET", "/schema/pull")
        names = {tuple(attr["forward-identity"][1:]): attr for attr in pulled["attrs"]}
        return names["todos", label]

    async def push(self, *kinds, label="title"):
        attr = await self.attr(label)
        steps = [[kind, {"attr-id": attr["id"]}] for kind in kinds]
        return (await self.apply(*steps))["indexing-jobs"]

    async def apply(self, *steps):
        return await self.dash("POST", "/schema/steps/apply", {"steps": list(steps)})

    async def asked(self, step):
        body, path = {"steps": [step]}, f"{self.path}/schema/steps/apply"
        return await self.stage.ask("POST", path, body, self.stage.admin())

    async def refused(self, label):
        """The code with which an index is refused."""
        step = ["index", {"attr-id": (await self.attr(label))["id"]}]
        answer = await self.dash("POST", "/schema/steps/apply", {"steps": [step]}, status=503)
        return answer["type"]

    async def delete(self, label):
        attr = await self.attr(label)
        await self.apply(["delete-attr", attr["id"]])
        return attr["id"]

    async def group(self, pushed):
        return (await self.dash("GET", f"/indexing-jobs/group/{pushed['group-id']}"))["jobs"]

    async def until(self, pushed, is_so):
        jobs = await self.group(pushed)
        while not is_so(jobs):
            await asyncio.sleep(0)
            jobs = await self.group(pushed)
        return jobs


def are_over(jobs):
    return all(job["job_status"] not in ("waiting", "processing") for job in jobs)


@pytest.fixture
async def todos(stage, monkeypatch):
    monkeypatch.setattr(account_limits, "SCHEMA_ROWS_AT_ONCE", 0)
    monkeypatch.setattr(account_limits, "RESHAPING_ROWS_FIRST", 5)
    monkeypatch.setattr(account_limits, "RESHAPING_ROWS_MAX", 5)
    todos = Todos(stage)
    rows = [{"title": f"t{n}", "note": "n", "done": True} for n in range(100)]
    await todos.write(*(["update", "todos", entity(n), row] for n, row in enumerate(rows)))
    return todos


@pytest.mark.rule("SJ6", "SJ9")
async def test_a_job_tells_how_far_it_is(todos):
    pushed = await todos.push("index", "unique")
    assert [job["work_completed"] for job in pushed["jobs"]] == [None, None]
    seen = set()

    def is_done(jobs):
        first = jobs[0]
        assert sum(job["job_status"] == "processing" for job in jobs) <= 1
        if first["work_estimate"]:
            assert 0 <= first["work_completed"] <= first["work_estimate"]
            seen.add(first["work_completed"])
        return are_over(jobs)

    jobs = await todos.until(pushed, is_done)
    assert [job["job_status"] for job in jobs] == ["completed", "completed"]
    assert len(seen) > 10 and jobs[0]["work_completed"] >= 200
    listed = (await todos.dash("GET", "/indexing-jobs"))["jobs"]
    assert [job["id"] for job in listed] == [job["id"] for job in reversed(jobs)]


@pytest.mark.rule("SJ6")
async def test_a_job_on_few_rows_tells_no_numbers(todos, monkeypatch):
    monkeypatch.setattr(account_limits, "SCHEMA_ROWS_AT_ONCE", 1_000)
    (job,) = await todos.until(await todos.push("index"), are_over)
    assert (job["job_status"], job["work_estimate"], job["work_completed"]) == (
        "completed",
        None,
        None,
    )


@pytest.mark.rule("SJ8", "SJ9")
async def test_a_job_that_works_is_canceled(todos):
    pushed = await todos.push("index", "unique")
    await todos.until(pushed, lambda jobs: (jobs[0]["work_completed"] or 0) > 20)
    first, second = pushed["jobs"]
    told = (await todos.dash("DELETE", f"/indexing-jobs/{first['id']}"))["job"]
    assert (told["job_status"], told["error"]) == ("canceled", None) and told["done_at"]
    jobs = await todos.until(pushed, are_over)
    assert [job["job_status"] for job in jobs] == ["canceled", "completed"]
    title = await todos.attr("title")
    assert (title["index?"], title["unique?"]) == (False, True) and "indexing?" not in title
    for job in (first, second):
        refused = await todos.dash("DELETE", f"/indexing-jobs/{job['id']}", status=400)
        assert refused["type"] == "record-not-unique"
    await todos.dash("DELETE", f"/indexing-jobs/{NOBODY}", status=400)


@pytest.mark.rule("SJ8")
async def test_a_job_that_waits_is_canceled(todos):
    pushed = await todos.push("index", "unique")
    second = pushed["jobs"][1]
    told = (await todos.dash("DELETE", f"/indexing-jobs/{second['id']}"))["job"]
    assert told["job_status"] == "canceled"
    jobs = await todos.until(pushed, are_over)
    assert [job["job_status"] for job in jobs] == ["completed", "canceled"]
    assert (await todos.attr("title"))["unique?"] is False


@pytest.mark.rule("SJ7")
async def test_jobs_that_a_stop_cuts_off_go_on_with_the_next_start(todos, stage):
    before = await todos.until(await todos.push("index", label="note"), are_over)
    stage.runtime.advance(1_000)
    pushed = await todos.push("index", "unique")
    await todos.until(pushed, lambda jobs: (jobs[0]["work_completed"] or 0) > 20)
    await stage.asgi.state.background.stop()
    background = Background(stage.runtime)
    schemas = make_schemas(stage.apps, runtime=stage.runtime, background=background)
    stage.asgi.state.schemas, stage.asgi.state.background = schemas, background
    jobs = await todos.until(pushed, are_over)
    assert [job["id"] for job in jobs] == [job["id"] for job in pushed["jobs"]]
    assert [job["job_status"] for job in jobs] == ["completed", "completed"]
    title = await todos.attr("title")
    assert title["index?"] and title["unique?"] and "indexing?" not in title
    listed = (await todos.dash("GET", "/indexing-jobs"))["jobs"]
    assert [job["id"] for job in listed][-1] == before[0]["id"]
    assert listed[-1]["job_status"] == "completed"
    await background.stop()


@pytest.mark.rule("SJ7")
async def test_old_jobs_leave_no_row(todos, stage, monkeypatch):
    monkeypatch.setattr(account_limits, "SCHEMA_GROUPS_KEPT", 1)
    for kind in ("index", "remove-index", "index"):
        last = await todos.until(await todos.push(kind), are_over)
    rows = await stage.asgi.state.schemas.jobs._rows.load()
    assert [row.id for row in rows] == [last[0]["id"]]


# --- deleted attrs ------------------------------------------------------------------------------


@pytest.mark.rule("SJ20")
@pytest.mark.parametrize(
    "path", ["/dash/apps/{}/soft_deleted_attrs", "/superadmin/apps/{}/soft_deleted_attrs", "admin"]
)
async def test_deleted_attrs_are_listed(todos, stage, path):
    path = "/admin/soft_deleted_attrs" if path == "admin" else path.format(stage.app_id)
    assert await todos.ask("GET", path) == {"attrs": [], "grace-period-days": 2}
    await todos.until(await todos.push("index"), are_over)
    title = await todos.delete("title")
    stage.runtime.advance(1_000)
    note = await todos.delete("note")
    listed = await todos.ask("GET", path)
    assert [attr["id"] for attr in listed["attrs"]] == [note, title]
    gone = listed["attrs"][1]
    assert gone["forward-identity"][1:] == [f"{title}_deleted$todos", f"{title}_deleted$title"]
    assert gone["metadata"]["soft_delete_snapshot"]["is_indexed"] is True
    assert gone["deletion-marked-at"].startswith("2023-11-14T")


@pytest.mark.rule("SJ21")
async def test_a_deleted_attr_is_restored(todos):
    title = await todos.delete("title")
    note = await todos.delete("note")
    await todos.apply(["restore-attr", title])
    await todos.stage.asgi.state.schemas.jobs.load()
    app = await todos.stage.apps.lend(todos.stage.app_id)
    app_query = {"todos": {"$": {"where": {"title": "t7"}}}}
    (found,) = (await todos.query(app_query))["todos"]
    assert found == {"id": entity(7), "title": "t7", "done": True}
    todos.stage.apps.give_back(app)
    listed = await todos.dash("GET", "/soft_deleted_attrs")
    assert [attr["id"] for attr in listed["attrs"]] == [note]


def columns(stage):
    (path,) = [
        path for path in stage.settings.data_dir.rglob("*.db") if str(stage.app_id) in path.name
    ]
    reader = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)
    try:
        assert reader.execute("PRAGMA quick_check").fetchall() == [("ok",)]
        tables = [name for (name,) in reader.execute("SELECT name FROM pragma_table_list")]
        found = {
            table: [
                name
                for (name,) in reader.execute("SELECT name FROM pragma_table_info(?)", (table,))
            ]
            for table in tables
        }
        for name in found.get("todos", ()):
            if name in ("title", "title~order"):
                left = reader.execute(f'SELECT count("{name}") FROM todos').fetchall()
                assert left == [(0,)], "no value is left"
        return found
    finally:
        reader.close()


@pytest.mark.rule("SJ21", "SJ22")
@pytest.mark.parametrize("at_once", [0, 1_000], ids=["large", "small"])
async def test_a_deleted_attr_is_removed_when_its_time_is_over(todos, stage, monkeypatch, at_once):
    monkeypatch.setattr(account_limits, "SCHEMA_ROWS_AT_ONCE", at_once)
    await todos.until(await todos.push("index", "unique"), are_over)
    title = await todos.delete("title")
    stage.runtime.advance(60_000)
    note = await todos.delete("note")
    removed = RemovedAttrs(stage.apps, runtime=stage.runtime)
    stage.runtime.advance(account_limits.DELETED_ATTR_MS - 80_000)
    await removed.sweep()
    assert len((await todos.dash("GET", "/soft_deleted_attrs"))["attrs"]) == 2
    stage.runtime.advance(40_000)
    refused = await todos.dash(
        "POST", "/schema/steps/apply", {"steps": [["restore-attr", title]]}, status=400
    )
    assert refused["type"] == "sql-raise"
    await removed.sweep()
    listed = await todos.dash("GET", "/soft_deleted_attrs")
    assert [attr["id"] for attr in listed["attrs"]] == [note]
    assert ("title" in columns(stage)["todos"]) is (at_once == 0)
    await todos.apply(["restore-attr", note])
    await todos.write(["update", "todos", entity(1), {"title": "new", "note": "m"}])
    (one,) = (await todos.query({"todos": {"$": {"where": {"title": "new"}}}}))["todos"]
    assert one == {"id": entity(1), "title": "new", "note": "m", "done": True}
    rows = (await todos.query({"todos": {}}))["todos"]
    assert len(rows) == 100 and sum("title" in row for row in rows) == 1


@pytest.mark.rule("SJ22")
async def test_numbers_of_removed_attrs_are_given_to_no_other(todos, stage):
    await todos.write(["update", "todos", entity(1), {"last": 1}])
    app = await stage.apps.lend(stage.app_id)
    number = max(attr.number for attr in app.database.catalog.by_id.values())
    await todos.delete("last")
    stage.runtime.advance(account_limits.DELETED_ATTR_MS + 1)
    await RemovedAttrs(stage.apps, runtime=stage.runtime).sweep()
    assert max(attr.number for attr in app.database.catalog.by_id.values()) < number
    await todos.write(["update", "todos", entity(1), {"later": 1}])
    assert app.database.catalog.find_forward("todos", "later").number > number
    stage.apps.give_back(app)


@pytest.mark.rule("SJ22")
async def test_a_namespace_goes_with_its_last_attr(todos, stage):
    await todos.write(
        ["update", "todos", entity(1), {}], ["link", "todos", entity(1), {"next": entity(2)}]
    )
    pulled = await todos.dash("GET", "/schema/pull")
    owned = [attr["id"] for attr in pulled["attrs"] if attr["forward-identity"][1] == "todos"]
    await todos.apply(*(["delete-attr", attr_id] for attr_id in owned))
    stage.runtime.advance(account_limits.DELETED_ATTR_MS + 1)
    await RemovedAttrs(stage.apps, runtime=stage.runtime).sweep()
    assert await todos.dash("GET", "/soft_deleted_attrs") == {"attrs": [], "grace-period-days": 2}
    assert not [table for table in columns(stage) if table.startswith("todos")]
    await todos.write(["update", "todos", entity(1), {"title": "again"}])
    assert (await todos.query({"todos": {}}))["todos"] == [{"id": entity(1), "title": "again"}]


@pytest.mark.rule("SJ9")
async def test_a_third_push_waits_for_the_second(todos):
    for label in ("title", "note", "done"):
        pushed = await todos.push("index", label=label)
    working = set()

    def is_done(_):
        listed = todos.stage.asgi.state.schemas.jobs.of_app(todos.stage.app_id)
        working.add(sum(job.status == "processing" for job in listed))
        return all(job.is_over for job in listed)

    await todos.until(pushed, is_done)
    assert max(working) == 1


@pytest.mark.rule("SJ12")
async def test_jobs_that_wait_are_not_forgotten(todos, monkeypatch):
    monkeypatch.setattr(account_limits, "SCHEMA_JOBS_KEPT_MAX", 3)
    monkeypatch.setattr(account_limits, "SCHEMA_GROUPS_KEPT", 1)
    first = await todos.push("index")
    second = await todos.push("index", "unique", label="note")
    assert len(await todos.group(first)) == 1 and len(await todos.group(second)) == 2
    assert await todos.refused("done") == "overloaded"
    await todos.until(second, are_over)
    assert [job["job_status"] for job in await todos.group(second)] == ["completed", "errored"]
    await todos.until(await todos.push("index", label="done"), are_over)
    assert await todos.group(first) == []


@pytest.mark.rule("SJ12")
@pytest.mark.parametrize("bound", ["SCHEMA_GROUPS_OF_HOLDER", "SCHEMA_JOBS_OF_HOLDER"])
async def test_the_jobs_of_one_holder_leave_room_for_others(todos, monkeypatch, bound):
    monkeypatch.setattr(account_limits, bound, 1)
    other, token = await todos.stage.apps.create(title="other", is_open=True)
    todos.stage.apps.give_back(other)
    pushed = await todos.push("index")
    assert await todos.refused("note") == "overloaded"
    step = ["index", {"attr-id": NOBODY}]
    path = f"/dash/apps/{other.id}/schema/steps/apply"
    headers = {"authorization": f"Bearer {token}"}
    assert (await todos.stage.ask("POST", path, {"steps": [step]}, headers)).status == 200
    await todos.until(pushed, are_over)
    step = ["index", {"attr-id": (await todos.attr("note"))["id"]}]
    # Its place is free a turn of the loop after its jobs are over.
    while (answer := await todos.asked(step)).status == 503:
        pass  # each request takes turns
    assert answer.status == 200


@pytest.mark.rule("SJ12")
async def test_the_jobs_of_one_holder_take_one_place(todos):
    apps, jobs = todos.stage.apps, todos.stage.asgi.state.schemas.jobs
    account, _ = await account_of(todos.stage)
    mine = []
    for number in range(2):
        app, token = await apps.create(title=f"mine {number}", is_open=True, owner=account.id)
        headers = {"authorization": f"Bearer {token}", "app-id": app.id}
        rows = [["update", "todos", entity(n), {"title": f"t{n}"}] for n in range(50)]
        await todos.stage.ask("POST", "/admin/transact", {"steps": rows}, headers)
        title = app.database.catalog.find_forward("todos", "title")
        apps.give_back(app)
        body = {"steps": [["index", {"attr-id": title.id}]]}
        path = f"/dash/apps/{app.id}/schema/steps/apply"
        assert (await todos.stage.ask("POST", path, body, headers)).status == 200
        mine.append(app.id)
    pushed = await todos.push("index")
    seen = set()

    def is_done(found):
        working = [app_id for app_id in mine if jobs.of_app(app_id)[0].status == "processing"]
        assert len(working) <= 1
        if working and found[0]["job_status"] == "processing":
            seen.add(working[0])
        return are_over(found)

    await todos.until(pushed, is_done)
    assert seen, "the other app works beside the first one"
    await until(lambda: all(jobs.of_app(app_id)[0].is_over for app_id in mine))
    assert [jobs.of_app(app_id)[0].status for app_id in mine] == ["completed", "completed"]
