"""Routes of imports into a running server.

A little over 500 lines, one file because all of it shares accounts that import, and an archive.
"""

from __future__ import annotations

import re
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from api.conftest import OpenStage, Stage
from support.account_http import account_of, problem_of
from support.archive_stage import small_shop
from support.archives import Archive
from support.http_wire import until
from trice import import_limits
from trice.apps.registry import hash_token
from trice.background import Background
from trice.imports.imports import Imports
from trice.protocol.ids import AppId

DIES = (sys.executable, "-c", "pass")
HANGS = (sys.executable, "-c", "import sys; sys.stdin.read()")
"""What stands in for the process of an import."""

BOUNDED = """
import shutil, sys
from trice import import_limits
from trice.cli.main import main

class Disk:
    def __init__(self, *free): self.free = list(free)
    def __call__(self, _):
        free = self.free.pop(0) if len(self.free) > 1 else self.free[0]
        return type("Usage", (), {"free": free})
"""
"""How that process begins where a bound is another; a disk has less left with each look."""


class Sender:
    """An account that imports."""

    def __init__(self, stage: Stage, caller: str | None, headers: dict[str, str]) -> None:
        self.stage = stage
        self.caller = caller
        self.headers = headers

    async def ask(self, method: str, path: str, body: Any = None) -> Any:
        return await self.stage.ask(method, path, body, self.headers)

    async def create(self, raw: bytes, **body: Any) -> dict[str, Any]:
        given = {"bytes": len(raw), "identity": "one", **body}
        return (await self.ask("POST", "/dash/restores", given)).json()["restore-job"]

    async def send(self, job: dict[str, Any], raw: bytes, at: int = 0) -> Any:
        return await self.ask("PUT", f"/dash/restores/{job['id']}/bytes?offset={at}", raw)

    async def begin(self, job: dict[str, Any], **body: Any) -> dict[str, Any]:
        return (await self.ask("POST", f"/dash/restores/{job['id']}/start", body)).json()

    async def job(self, job: dict[str, Any]) -> dict[str, Any]:
        return (await self.ask("GET", f"/dash/restore-jobs/{job['id']}")).json()["restore-job"]

    async def ended(self, job: dict[str, Any]) -> dict[str, Any]:
        """The job once it has ended."""
        imports: Imports = self.stage.asgi.state.imports
        made = imports.get(job["id"], self.caller)
        await until(lambda: not made.is_unfinished and not imports.is_running(made))
        return await self.job(job)


@pytest.fixture
async def ann(stage: Stage) -> AsyncIterator[Sender]:
    background: Background = stage.asgi.state.background
    # Its periodic work would let days pass: sleep takes no time here.
    stage.asgi.state.imports.run_in(background)
    account, headers = await account_of(stage)
    yield Sender(stage, account.id, headers)
    await background.stop()


@pytest.fixture
async def bob(stage: Stage) -> Sender:
    account, headers = await account_of(stage, "bob@example.com")
    return Sender(stage, account.id, headers)


@pytest.fixture
def shop() -> Archive:
    return small_shop()


@pytest.fixture
def raw(shop: Archive, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return shop.write(tmp_path_factory.mktemp("given") / "shop.zip").read_bytes()


def left(stage: Stage) -> list[str]:
    """What imports have on disk, besides their records."""
    folder = stage.settings.data_dir
    paths = [*folder.glob("loading/*"), *folder.glob("imports/*"), *folder.glob("files/*-*/**/*")]
    return [str(path.relative_to(folder)) for path in paths if path.suffix != ".json"]


def stand_in(stage: Stage, command: tuple[str, ...]) -> None:
    """Let another process import."""
    stage.asgi.state.imports.command = command


@pytest.mark.rule("AR120", "AR121", "AR132")
async def test_an_archive_comes_in_pieces(ann: Sender, shop: Archive, raw: bytes) -> None:
    stage = ann.stage
    job = await ann.create(raw, app_id=shop.app_id, name="shop.zip")
    assert (job["job_status"], job["offset"], job["bytes"]) == ("uploading", 0, len(raw))
    half = len(raw) // 2
    early = await ann.ask("POST", f"/dash/restores/{job['id']}/start", {})
    assert early.status == 400 and f"{len(raw):,} are missing" in early.json()["message"]
    assert (await ann.send(job, raw[:half])).json()["restore-job"]["offset"] == half
    for wrong in (0, half - 1, half + 1, len(raw)):
        refused = await ann.send(job, raw[half:], wrong)
        assert refused.status == 400 and refused.json()["hint"]["offset"] == half
    more = await ann.send(job, raw[half:] + b"!", half)
    assert more.status == 413
    assert (await ann.job(job))["offset"] == half
    assert (await ann.send(job, raw[half:], half)).status == 200
    started = await ann.begin(job)
    token = started["admin_token"]
    # It was begun: it begins once, and its token is told once.
    assert "admin_token" not in await ann.begin(job)
    record = (stage.settings.data_dir / "imports" / f"{job['id']}.json").read_text()
    assert token not in record
    done = await ann.ended(job)
    assert (done["job_status"], done["progress"], done["error"]) == ("completed", 100, None)
    assert done["report"]["entities"]["goods"] == 2 and done["report"]["files"] == 1
    row = stage.apps.get_row(shop.app_id or "")
    account, _ = await account_of(stage)
    assert row.owner == account.id and row.admin_token_hash == hash_token(token)
    listed = (await ann.ask("GET", "/dash")).json()["apps"]
    assert [(app["id"], app["admin_token"]) for app in listed] == [(shop.app_id, token)]
    found = await stage.ask(
        "POST",
        "/admin/query",
        {"query": {"goods": {}}},
        {"app-id": row.id, "authorization": f"Bearer {token}"},
    )
    assert len(found.json()["goods"]) == 2
    assert [path for path in left(stage) if not path.startswith("files")] == []


@pytest.mark.rule("AR131")
async def test_an_archive_comes_in_one_request(ann: Sender, shop: Archive, raw: bytes) -> None:
    headers = {**ann.headers, "content-length": str(len(raw)), "content-type": "application/zip"}
    target = f"/dash/restores/zip?app_id={shop.app_id}"
    answer = (await ann.stage.ask("POST", target, raw, headers)).json()
    assert (await ann.ended(answer["restore-job"]))["job_status"] == "completed"
    row = ann.stage.apps.get_row(shop.app_id or "")
    assert row.admin_token_hash == hash_token(answer["admin_token"])


@pytest.mark.rule("AR122")
async def test_the_same_import_goes_on(ann: Sender, bob: Sender, shop: Archive, raw: bytes) -> None:
    job = await ann.create(raw, app_id=shop.app_id)
    await ann.send(job, raw[:100])
    again = await ann.create(raw, app_id=shop.app_id)
    assert (again["id"], again["offset"]) == (job["id"], 100)
    assert not again["replaces"]
    for other in ({"identity": "other"}, {"options": {"is_open": False}}):
        body = {"bytes": len(raw), "identity": "one", "app_id": shop.app_id, **other}
        refused = await ann.ask("POST", "/dash/restores", body)
        assert refused.status == 400 and "is being imported already" in refused.json()["message"]
    theirs = await bob.ask(
        "POST", "/dash/restores", {"bytes": 5, "identity": "one", "app_id": shop.app_id}
    )
    assert theirs.status == 400


@pytest.mark.rule("AR125")
async def test_an_archive_that_is_refused_leaves_nothing(
    ann: Sender, shop: Archive, raw: bytes
) -> None:
    shop.lines["goods"][1][0]["price"] = "much"
    folder = ann.stage.settings.data_dir
    broken = shop.write(folder.parent / f"{folder.name}-broken.zip").read_bytes()
    for given, problem in (
        (b"no zip at all", "shop.zip: it is no zip file"),
        (raw[: len(raw) // 2], "shop.zip: it is no zip file"),
        (broken, "entities/goods.jsonl line"),
    ):
        job = await ann.create(given, app_id=shop.app_id, name="shop.zip", identity=problem)
        await ann.send(job, given)
        await ann.begin(job)
        done = await ann.ended(job)
        assert done["job_status"] == "errored" and problem in done["error"], done
        assert done["report"] is None
        assert left(ann.stage) == [], problem
        assert ann.stage.apps.find_row(AppId(shop.app_id or "")) is None


@pytest.mark.rule("AR126")
async def test_only_who_has_an_app_replaces_it(
    ann: Sender, bob: Sender, shop: Archive, raw: bytes
) -> None:
    job = await ann.create(raw, app_id=shop.app_id)
    await ann.send(job, raw)
    token = (await ann.begin(job))["admin_token"]
    await ann.ended(job)
    body = {"bytes": len(raw), "identity": "two", "app_id": shop.app_id}
    there = await ann.ask("POST", "/dash/restores", body)
    assert there.status == 400 and "on this server already" in there.json()["message"]
    replacing = {**body, "options": {"replaces": True}}
    assert problem_of(await bob.ask("POST", "/dash/restores", replacing))[0] == 400
    assert (await bob.ask("POST", "/dash/restores", body)).status == 400

    stage = ann.stage
    app = await stage.apps.lend(shop.app_id or "")
    before = app.database.tx
    stage.apps.give_back(app)
    job = await ann.create(raw, app_id=shop.app_id, options={"replaces": True})
    await ann.send(job, raw)
    assert "admin_token" not in await ann.begin(job)
    assert (await ann.ended(job))["job_status"] == "completed"
    app = await stage.apps.lend(shop.app_id or "")
    try:
        assert app.database.tx > before and app.row.admin_token_hash == hash_token(token)
        account, _ = await account_of(stage)
        assert app.row.owner == account.id and app.row.sealed_token is not None
    finally:
        stage.apps.give_back(app)


@pytest.mark.rule("AR127")
async def test_an_app_that_is_to_be_replaced_need_not_be_there(
    ann: Sender, shop: Archive, raw: bytes
) -> None:
    for _ in range(2):
        job = await ann.create(raw, app_id=shop.app_id, options={"replaces": True})
    assert not job["replaces"]
    assert (await ann.ask("POST", "/dash/apps", {"id": shop.app_id, "title": "x"})).status == 400
    await ann.send(job, raw)
    token = (await ann.begin(job))["admin_token"]
    assert (await ann.ended(job))["job_status"] == "completed"
    row = ann.stage.apps.get_row(shop.app_id or "")
    assert row.admin_token_hash == hash_token(token) and row.owner == ann.caller


@pytest.mark.rule("AR127")
async def test_the_id_is_taken_meanwhile(ann: Sender, shop: Archive, raw: bytes) -> None:
    job = await ann.create(raw, app_id=shop.app_id)
    body = {"id": shop.app_id, "title": "mine"}
    assert (await ann.ask("POST", "/dash/apps", body)).status == 400
    gone = await ann.ask("DELETE", f"/dash/restore-jobs/{job['id']}")
    assert gone.json()["restore-job"]["job_status"] == "cancelled"
    assert (await ann.ask("POST", "/dash/apps", body)).status == 200


@pytest.mark.rule("AR129")
async def test_callers_see_their_own(ann: Sender, bob: Sender, shop: Archive, raw: bytes) -> None:
    job = await ann.create(raw, app_id=shop.app_id)
    for method, path, body in (
        ("GET", f"/dash/restore-jobs/{job['id']}", None),
        ("DELETE", f"/dash/restore-jobs/{job['id']}", None),
        ("PUT", f"/dash/restores/{job['id']}/bytes?offset=0", raw),
        ("POST", f"/dash/restores/{job['id']}/start", {}),
    ):
        assert problem_of(await bob.ask(method, path, body)) == (
            *(400, "record-not-found", "restore-job"),
        )
        nobody = await ann.stage.ask(method, path, body)
        assert nobody.status == 400
    assert (await bob.ask("GET", "/dash/restore-jobs")).json() == {"restore-jobs": []}
    mine = (await ann.ask("GET", "/dash/restore-jobs")).json()["restore-jobs"]
    assert [each["id"] for each in mine] == [job["id"]]


@pytest.mark.rule("AR123")
async def test_the_operator_names_a_file(
    ann: Sender, shop: Archive, raw: bytes, tmp_path: Path
) -> None:
    path = tmp_path / "here.zip"
    path.write_bytes(raw)
    body = {"bytes": len(raw), "path": str(path), "app_id": shop.app_id, "name": "here.zip"}
    assert (await ann.ask("POST", "/dash/restores", body)).status == 400
    secret = ann.stage.asgi.state.operator.secret
    operator = Sender(ann.stage, None, {"authorization": f"Bearer {secret}"})
    unknown = await operator.ask("POST", "/dash/restores", {**body, "owner": "nobody@example.com"})
    assert unknown.status == 400
    job = await operator.create(raw, **body, owner="ann@example.com")
    assert job["offset"] == len(raw)
    await operator.begin(job)
    assert (await operator.ended(job))["job_status"] == "completed"
    account, _ = await account_of(ann.stage)
    assert ann.stage.apps.get_row(shop.app_id or "").owner == account.id
    assert path.read_bytes() == raw


@pytest.mark.rule("AR128")
async def test_imports_are_bounded(
    ann: Sender, bob: Sender, raw: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(import_limits, "UNFINISHED_OF_CALLER_MAX", 2)
    monkeypatch.setattr(import_limits, "UNFINISHED_MAX", 3)
    for number in range(2):
        await ann.create(raw, identity=str(number))
    body = {"bytes": 5, "identity": "more"}
    refused = await ann.ask("POST", "/dash/restores", body)
    assert refused.status == 400 and "2 unfinished imports" in refused.json()["message"]
    await bob.create(raw)
    assert (await bob.ask("POST", "/dash/restores", body)).status == 503
    monkeypatch.setattr(import_limits, "UNFINISHED_MAX", 30)
    imports: Imports = ann.stage.asgi.state.imports
    promised = 3 * len(raw)
    imports.free_bytes = lambda: import_limits.DISK_RESERVE_BYTES + promised + 4
    full = await bob.ask("POST", "/dash/restores", body)
    assert full.status == 503 and "has 4 left" in full.json()["message"]
    imports.free_bytes = lambda: import_limits.DISK_RESERVE_BYTES + promised + 5
    assert (await bob.ask("POST", "/dash/restores", body)).status == 200
    long = {**body, "bytes": import_limits.ARCHIVE_BYTES_MAX + 1}
    monkeypatch.setattr(import_limits, "UNFINISHED_OF_CALLER_MAX", 9)
    assert (await bob.ask("POST", "/dash/restores", long)).status == 413
    for wrong in ({"bytes": -1}, {"bytes": "5"}, {"bytes": 5, "identity": ""}, {}):
        assert (await bob.ask("POST", "/dash/restores", wrong)).status == 400


@pytest.mark.rule("AR124")
async def test_a_process_that_dies_is_started_again(ann: Sender, shop: Archive, raw: bytes) -> None:
    imports: Imports = ann.stage.asgi.state.imports
    real, starts = imports.command, []

    class Commands(tuple):  # type: ignore[type-arg]
        """The first process dies, the next one imports."""

        def __iter__(self) -> Any:
            starts.append(1)
            return iter(DIES if len(starts) == 1 else real)

    imports.command = Commands()
    job = await ann.create(raw, app_id=shop.app_id)
    await ann.send(job, raw)
    await ann.begin(job)
    assert (await ann.ended(job))["job_status"] == "completed"
    assert len(starts) == 2


@pytest.mark.rule("AR124")
async def test_a_process_that_always_dies_is_told(ann: Sender, shop: Archive, raw: bytes) -> None:
    stand_in(ann.stage, DIES)
    job = await ann.create(raw, app_id=shop.app_id)
    await ann.send(job, raw)
    await ann.begin(job)
    done = await ann.ended(job)
    assert done["job_status"] == "errored" and "process ended" in done["error"]
    assert left(ann.stage) == []


@pytest.mark.rule("AR125", "AR128")
@pytest.mark.parametrize(
    "bound, problem",
    [
        ("shutil.disk_usage = Disk(import_limits.DISK_RESERVE_BYTES + 9)", "9 left"),
        ("shutil.disk_usage = Disk(10**12, 0)", "disk is too full"),
        ("import_limits.MEMORY_BYTES_MAX = 350 * 1024**2", "memory|process ended"),
    ],
)
async def test_an_archive_may_not_cost_the_machine(
    ann: Sender, shop: Archive, tmp_path: Path, bound: str, problem: str
) -> None:
    if "MEMORY" in bound:
        shop.add("goods", {"title": "trap", "extra": [[]] * 8_000_000})
    raw = shop.write(tmp_path / "trap.zip").read_bytes()
    code = f"{BOUNDED}\n{bound}\nmain(sys.argv[1:])"
    folder = str(ann.stage.settings.data_dir)
    stand_in(ann.stage, (sys.executable, "-c", code, "import-worker", folder, "local"))
    job = await ann.create(raw, app_id=shop.app_id)
    await ann.send(job, raw)
    await ann.begin(job)
    done = await ann.ended(job)
    assert done["job_status"] == "errored" and re.search(problem, done["error"]), done["error"]
    assert left(ann.stage) == [] and ann.stage.apps.find_row(AppId(shop.app_id or "")) is None


@pytest.mark.rule("AR129")
async def test_an_import_is_cancelled_while_it_runs(ann: Sender, shop: Archive, raw: bytes) -> None:
    stand_in(ann.stage, HANGS)
    jobs = []
    for number in range(2):
        app_id = shop.app_id if number else None
        jobs.append(await ann.create(raw, app_id=app_id, identity=str(number)))
        await ann.send(jobs[-1], raw)
        await ann.begin(jobs[-1])
    assert [(await ann.job(job))["job_status"] for job in jobs] == ["processing", "waiting"]
    for job in jobs:
        gone = await ann.ask("DELETE", f"/dash/restore-jobs/{job['id']}")
        assert gone.json()["restore-job"]["job_status"] == "cancelled"
    assert left(ann.stage) == []
    # Deleted once more it is forgotten.
    assert (await ann.ask("DELETE", f"/dash/restore-jobs/{jobs[0]['id']}")).status == 200
    listed = (await ann.ask("GET", "/dash/restore-jobs")).json()["restore-jobs"]
    assert [each["id"] for each in listed] == [jobs[1]["id"]]


@pytest.mark.rule("AR130")
async def test_what_rests_is_deleted(ann: Sender, raw: bytes) -> None:
    job = await ann.create(raw)
    await ann.send(job, raw[:50])
    imports: Imports = ann.stage.asgi.state.imports
    ann.stage.runtime.advance(import_limits.UPLOAD_MS)
    await imports.sweep()
    assert (await ann.job(job))["job_status"] == "uploading"
    ann.stage.runtime.advance(1)
    await imports.sweep()
    assert (await ann.job(job))["job_status"] == "cancelled" and left(ann.stage) == []
    ann.stage.runtime.advance(import_limits.TOLD_MS + 1)
    await imports.sweep()
    assert (await ann.ask("GET", f"/dash/restore-jobs/{job['id']}")).status == 400
    assert list((ann.stage.settings.data_dir / "imports").iterdir()) == []


@pytest.mark.rule("AR130")
async def test_few_ended_ones_are_told_of(
    ann: Sender, raw: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(import_limits, "TOLD_MAX", 2)
    for number in range(4):
        job = await ann.create(raw, identity=str(number))
        await ann.ask("DELETE", f"/dash/restore-jobs/{job['id']}")
    assert len((await ann.ask("GET", "/dash/restore-jobs")).json()["restore-jobs"]) == 2


@pytest.mark.rule("AR121", "AR127")
async def test_a_restart_goes_on_with_an_upload(
    open_stage: OpenStage, ann: Sender, shop: Archive, raw: bytes
) -> None:
    stage = ann.stage
    job = await ann.create(raw, app_id=shop.app_id)
    await ann.send(job, raw[:100])
    data_dir = stage.settings.data_dir
    # Bytes that no record counts, as after a power cut.
    bytes_so_far = data_dir / "imports" / f"{job['id']}.zip"
    bytes_so_far.write_bytes(bytes_so_far.read_bytes() + b"\0" * 500)
    stage.apps.give_id_back(AppId(shop.app_id or ""))
    state = stage.asgi.state
    again = Imports(
        data_dir,
        stage.apps,
        state.webhooks,
        accounts=state.accounts,
        orgs=state.orgs,
        command=state.imports.command,
        runtime=stage.runtime,
    )
    state.imports = again
    assert (await ann.job(job))["offset"] == 100
    assert (await ann.ask("POST", "/dash/apps", {"id": shop.app_id, "title": "x"})).status == 400
    assert (await ann.send(job, raw[100:], 100)).status == 200
    again.run_in(state.background)
    await ann.begin(job)
    assert (await ann.ended(job))["job_status"] == "completed"


@pytest.mark.rule("AR121")
async def test_a_request_that_is_cut_counts(ann: Sender, raw: bytes) -> None:
    job = await ann.create(raw)
    target = f"/dash/restores/{job['id']}/bytes?offset=0"
    exchange = ann.stage.start("PUT", target, raw, ann.headers)
    exchange.leave_unsent()
    exchange.send_piece(raw[:300])
    await exchange.hang_up()
    assert (await ann.job(job))["offset"] == 300
    assert (await ann.send(job, raw[300:], 300)).status == 200


@pytest.mark.rule("AR133")
@pytest.mark.parametrize("name", ["rows", "bytes", "file-bytes"])
async def test_an_archive_beyond_a_quota_is_refused(
    ann: Sender, shop: Archive, raw: bytes, name: str
) -> None:
    apps = ann.stage.apps
    assert ann.caller is not None
    await apps.set_holder_quotas("owner", ann.caller, {name: 1})
    job = await ann.create(raw, app_id=shop.app_id)
    await ann.send(job, raw)
    await ann.begin(job)
    ended = await ann.ended(job)
    assert ended["job_status"] == "errored" and f"{name}, and 1 are the most" in ended["error"]
    assert left(ann.stage) == [] and apps.find_row(AppId(shop.app_id or "")) is None
    await apps.set_holder_quotas("owner", ann.caller, {name: 10**6})
    job = await ann.create(raw, app_id=shop.app_id)
    await ann.send(job, raw)
    await ann.begin(job)
    assert (await ann.ended(job))["job_status"] == "completed"


@pytest.mark.rule("AR133")
async def test_imports_count_as_the_apps_of_their_account(ann: Sender, raw: bytes) -> None:
    assert ann.caller is not None
    await ann.stage.apps.set_holder_quotas("owner", ann.caller, {"apps": 2})
    jobs = [await ann.create(raw, identity=str(number)) for number in range(2)]
    body = {"bytes": len(raw), "identity": "more"}
    refused = await ann.ask("POST", "/dash/restores", body)
    assert problem_of(refused)[1] == "app-quota-exceeded"
    assert refused.json()["hint"] == {"quota": "apps", "current": 2, "limit": 2}
    await ann.stage.apps.set_holder_quotas("owner", ann.caller, {"apps": 0})
    await ann.send(jobs[0], raw)
    await ann.begin(jobs[0])
    ended = await ann.ended(jobs[0])
    assert ended["job_status"] == "errored" and "0 are the most" in ended["error"]
    assert left(ann.stage) == []


@pytest.mark.rule("AR134")
@pytest.mark.parametrize("when", ["before it starts", "while it works"])
async def test_who_lost_an_app_replaces_it_no_more(
    ann: Sender, bob: Sender, shop: Archive, raw: bytes, when: str
) -> None:
    job = await ann.create(raw, app_id=shop.app_id)
    await ann.send(job, raw)
    await ann.begin(job)
    await ann.ended(job)
    app_id = AppId(shop.app_id or "")
    token = ann.stage.apps.get_row(app_id).admin_token_hash
    job = await ann.create(raw, app_id=app_id, options={"replaces": True})
    await ann.send(job, raw)
    mine = "11111111-1111-4111-8111-111111111111"
    if when == "while it works":
        await ann.begin(job, admin_token=mine)
        await ann.stage.apps.give(app_id, bob.caller)
        ended = await ann.ended(job)
        assert ended["job_status"] == "errored" and "role" in ended["error"]
    else:
        await ann.stage.apps.give(app_id, bob.caller)
        path = f"/dash/restores/{job['id']}/start"
        refused = await ann.ask("POST", path, {"admin_token": mine})
        assert problem_of(refused)[:2] == (400, "validation-failed")
    row = ann.stage.apps.get_row(app_id)
    assert (row.owner, row.admin_token_hash) == (bob.caller, token)
