"""Hooks of a server: deployed, followed, listed, resumed, over HTTP."""

from __future__ import annotations

import asyncio
import shutil
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import orjson
import pytest

from support.asgi import Exchange
from support.engines import open_apps
from support.function_stage import PROJECTS
from support.runtime import SteppedRuntime, settle
from trice.api.routes import build_app
from trice.calls.bundles import Bundle, Manifest, pack, project_files
from trice.calls.workers.local import LocalWorkers
from trice.config import Settings
from trice.functions import loading
from trice.identity import ADMIN
from trice.runtime import new_uuid
from trice.schema.document import for_server
from trice.session.hub import Hub

METRICS = "m" * 32


class Served:
    """A server with the project `follows`, in an app."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "project"
        self.data_dir = folder / "data"
        self.runtime = SteppedRuntime()

    async def open(self) -> None:
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(PROJECTS / "follows", self.root, ignore=ignored)
        self.data_dir.mkdir()
        program = loading.load_program(self.root, {})
        assert program.schema is not None
        self.apps = await open_apps(self.data_dir, runtime=self.runtime, is_open_by_default=True)
        self.asgi = build_app(
            settings=Settings(data_dir=self.data_dir, metrics_token=METRICS),
            apps=self.apps,
            hub=Hub(apps=self.apps, runtime=self.runtime),
            runtime=self.runtime,
            make_workers=lambda on_line: LocalWorkers(
                loading, runtime=self.runtime, on_line=on_line, has_deadline=False
            ),
        )
        self.state = self.asgi.state
        schema = for_server(program.schema)
        self.app, self.token = await self.apps.create(title="x", is_open=True, schema=schema)
        for part in (self.state.jobs, self.state.hooks):
            part.start(self.state.background)

    async def close(self) -> None:
        state = self.state
        for part in (state.jobs, state.hooks):
            await part.close()
        await state.background.stop()
        for part in (state.live_functions, state.workers, state.deployments, state.function_logs):
            await part.close()
        self.apps.give_back(self.app)
        await self.apps.close()

    def bundle(self) -> Bundle:
        return pack(project_files(self.root), Manifest())

    async def deploy(self, old: str = "", new: str = "") -> Any:
        """Deploy the project, with a part of its hooks replaced; returns the report."""
        path = self.root / "functions" / "hooks.py"
        assert old in path.read_text()
        path.write_text(path.read_text().replace(old, new) if old else path.read_text())
        bundle = self.bundle()
        report = await self.state.deployments.take(self.app, bundle.raw)
        await self.state.deployments.deploy(self.app, bundle.hash)
        return report.hooks

    async def ask(self, target: str, method: str = "GET", token: str | None = None) -> Any:
        headers = {"app-id": self.app.id, "authorization": f"Bearer {token or self.token}"}
        return await Exchange(self.asgi, method, target, headers, b"").whole()

    async def message(self, text: str) -> None:
        """As a client writes it."""
        made = f"00000000-0000-4000-8000-{abs(hash(text)) % 10**12:012}"
        steps = [["update", "messages", made, {"text": text}]]
        await self.app.database.transact_admin(steps, identity=ADMIN)

    async def rest(self) -> None:
        while True:
            tx = self.app.database.tx
            await settle()
            await self.app.database.change(lambda change: None)
            if not self.state.hooks.is_busy and self.app.database.tx <= tx + 1:
                return

    async def seen(self) -> int:
        found = await self.app.database.look(lambda look: look.find({"seen": {}}))
        return sum(row["what"] == "counted" for row in found["seen"])

    async def hooks(self) -> dict[str, Any]:
        answer = await self.ask(f"/dash/apps/{self.app.id}/hooks")
        return {each["name"]: each for each in answer.json()["hooks"]}


@pytest.fixture
async def served(tmp_path: Path) -> AsyncIterator[Served]:
    served = Served(tmp_path)
    await served.open()
    yield served
    await served.close()


@pytest.mark.rule("FN551", "FN563", "FN565")
async def test_a_deploy_tells_of_hooks_and_they_follow_from_then_on(served: Served) -> None:
    await served.message("before")
    report = await served.deploy()
    await served.message("at once")
    names = ("counted", "echoed", "greeted", "strict", "told")
    assert report.added == [f"hooks.{name}" for name in names]
    await served.rest()
    assert await served.seen() == 1
    places = {name: each["place"] for name, each in (await served.hooks()).items()}

    report = await served.deploy("Message, update=True", 'Message, update=["likes"]')
    assert (report.added, report.changed, report.removed) == ([], ["hooks.echoed"], [])
    await served.rest()
    now = {name: each["place"] for name, each in (await served.hooks()).items()}
    assert now["hooks.strict"] == places["hooks.strict"], "a hook that stays goes on"

    hook = "@on_change(Message, create=True)\nasync def counted"
    report = await served.deploy(hook, "async def _counted")
    assert report.removed == ["hooks.counted"]
    await served.message("nobody counts it")
    await served.rest()
    assert "hooks.counted" not in await served.hooks()
    await served.state.deployments.roll_back(served.app)
    await served.message("after")
    await served.rest()
    assert await served.seen() == 2, "after a rollback it follows from then on"


@pytest.mark.rule("FN566", "FN567", "FN568")
async def test_one_that_stands_still_is_told_of_and_resumed(
    served: Served, caplog: pytest.LogCaptureFixture
) -> None:
    await served.deploy()
    await served.rest()
    lane = next(
        each for each in served.state.hooks.lanes(served.app.id) if each.name == "hooks.counted"
    )
    served.state.hooks.lag_max = -1
    await served.message("lost")
    await served.rest()
    served.state.hooks.lag_max = 1_000
    assert lane.state == "broken"
    assert "hook is broken" in caplog.text and "hooks.counted" in caplog.text
    told = (await served.hooks())["hooks.counted"]
    assert (told["state"], told["error"]["code"], told["namespace"], told["follows"]) == (
        *("broken", "hook-broken"),
        *("messages", "create"),
    )
    listed = (await served.ask("/runtime/functions")).json()["functions"]
    (shown,) = [each["follows"] for each in listed if each["name"] == "hooks.counted"]
    assert shown == {"namespace": "messages", "of": "create", "state": "broken"}
    page = (await served.ask("/metrics", token=METRICS)).body.decode()
    assert 'trice_hooks{state="broken"}' in page
    path = f"/dash/apps/{served.app.id}/hooks"
    answer = await served.ask(f"{path}/hooks.counted/resume", "POST")
    assert answer.json() == {"state": "broken"}
    await served.message("after")
    await served.rest()
    assert await served.seen() == 1
    assert (await served.hooks())["hooks.counted"]["state"] == "active"
    answer = await served.ask(f"{path}/hooks.nothing/resume", "POST")
    assert answer.json()["type"] == "record-not-found"


@pytest.mark.rule("FN569")
async def test_clients_write_no_place_and_see_none(served: Served) -> None:
    await served.deploy()
    rows = orjson.loads(await served.app.database.query_nested({"$hooks": {}}, identity=ADMIN))
    assert len(rows["$hooks"]) == 5, "admins read them"
    steps = [["update", "$hooks", rows["$hooks"][0]["id"], {"place": 0}]]
    with pytest.raises(Exception, match="hooks"):
        await served.app.database.transact_admin(steps, identity=ADMIN)


@pytest.mark.rule("FN562")
async def test_hooks_of_an_app_whose_database_was_replaced_begin_anew(served: Served) -> None:
    assert served.state.imports.on_publish == served.state.hooks.reopen
    await served.deploy()
    await served.rest()
    found = await served.app.database.look(lambda look: look.find({"$hooks": {}}))
    steps = [["delete", "$hooks", row["id"]] for row in found["$hooks"]]
    await served.app.database.change(lambda change: change.write(*steps))
    served.state.hooks.reopen(served.app.id)
    await served.rest()
    assert len(await served.hooks()) == 5
    await served.message("after")
    await served.rest()
    assert await served.seen() == 1


PINGS = """
from schema import Author, Db, Tag
from trice.functions import Action, Change, Mutation, internal, mutation, on_change


@on_change(Tag, create=True)
async def ping(ctx: Mutation[Db], change: Change[Tag]) -> None:
    ctx.db.authors.create(name="a")


@on_change(Author, create=True)
async def pong(ctx: Action[Db], change: Change[Author]) -> None:
    await ctx.run(make)


@internal.mutation
async def make(ctx: Mutation[Db]) -> None:
    ctx.db.tags.create(name="t")
"""


@pytest.mark.rule("FN744")
async def test_hooks_that_lead_to_each_other_end(served: Served) -> None:
    path = served.root / "functions" / "hooks.py"
    path.write_text(PINGS)
    await served.deploy()
    await served.rest()

    async def write(name: str) -> dict[str, Any]:
        steps = [["update", "tags", new_uuid(served.runtime), {"name": name}]]
        await served.app.database.transact_admin(steps, identity=ADMIN)
        await served.rest()
        return await served.app.database.look(
            lambda look: look.find({"tags": {}, "authors": {}, "$jobs": {}})
        )

    found = await write("first")
    # The tag of the client, then an author and a tag in turns.
    assert (len(found["tags"]), len(found["authors"])) == (1 + 8, 8)
    (job,) = found["$jobs"]
    assert (job["state"], job["function"], job["error"]["code"]) == (
        *("failed", "hooks.ping"),
        "hook-chain",
    )
    assert "hooks.ping → hooks.pong → hooks.ping" in job["error"]["message"]
    shown = await served.hooks()
    assert [shown[f"hooks.{name}"]["state"] for name in ("ping", "pong")] == ["active"] * 2

    path.write_text(PINGS.replace("(Tag, create=True", "(Tag, create=True, stop=True"))
    await served.deploy()
    await served.rest()
    found = await write("second")
    assert (len(found["tags"]), len(found["authors"]), len(found["$jobs"])) == (18, 16, 1)
    ping = (await served.hooks())["hooks.ping"]
    assert (ping["state"], ping["error"]["code"]) == ("stopped", "hook-chain")


@pytest.mark.rule("FN745")
async def test_a_hook_is_behind_from_what_concerns_it_on(served: Served) -> None:
    await served.deploy()
    await served.rest()
    place = (await served.app.database.look(lambda look: look.find({"$hooks": {}})))["$hooks"]
    for number in range(30):
        steps = [["update", "tags", new_uuid(served.runtime), {"name": f"t{number}"}]]
        await served.app.database.transact_admin(steps, identity=ADMIN)
    await served.rest()
    told = (await served.hooks())["hooks.counted"]
    assert told["behind"] == 0
    later = (await served.app.database.look(lambda look: look.find({"$hooks": {}})))["$hooks"]
    by_name = {row["name"]: row["place"] for row in place}
    saved = {row["name"]: row["place"] for row in later}
    assert saved["hooks.counted"] == by_name["hooks.counted"], "no transaction moved it"
    gate = sys.modules["functions.hooks"].GATES["held"] = asyncio.Event()
    await served.message("held")
    await settle()
    assert (await served.hooks())["hooks.told"]["behind"] >= 1
    gate.set()
    await served.rest()
    assert (await served.hooks())["hooks.told"]["behind"] == 0
