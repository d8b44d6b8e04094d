"""The list of apps: a database as an app's is; what is in force; what a stop leaves."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from support.engines import open_apps
from trice import limits
from trice.apps.registry import hash_token
from trice.apps.settings import Settings
from trice.apps.settings import TestUser as FixedCode
from trice.catalog import platform
from trice.catalog.catalog import Catalog
from trice.catalog.platform import platform_attrs
from trice.database import Change
from trice.errors import NotFound, Unavailable
from trice.identity import ADMIN
from trice.store.sqlite.engine import SqliteEngine

MADE_MS = 1_700_000_000_000
SETTINGS = Settings(code_expiry_minutes=5, has_passwords=True)


def app_id(number: int) -> str:
    return f"a1000000-0000-4000-8000-{number:012d}"


def token(number: int) -> str:
    return f"b1000000-0000-4000-8000-{number:012d}"


class Stopped(BaseException):
    """The process ends here, as far as a test can play it."""


def stop(*_: object, **__: object) -> Any:
    raise Stopped


# --- a database of our own kind -------------------------------------------------------------------


@pytest.mark.rule("S220")
def test_the_namespaces_of_the_platform_are_no_apps(tmp_path):
    attrs = platform_attrs()
    assert len({attr.id for attr in attrs}) == len(attrs)
    etypes = {attr.etype for attr in attrs}
    accounts = {"$accounts", "$accountTokens", "$orgs", "$orgMembers"}
    oauth = {"$oauthApps", "$oauthClients", "$oauthSecrets", "$oauthTokens"}
    webhooks = {"$webhooks", "$webhookEvents"}
    code = {"$appCode", "$deployments"}
    others = {"$apps", "$appTransfers", "$schemaJobs"}
    assert etypes == {*others, *accounts, *oauth, *webhooks, *code}
    assert all(attr.is_system for attr in attrs)
    catalog = Catalog(attrs)
    assert catalog.find_forward("$users", "id") is None


@pytest.mark.rule("S220")
async def test_attrs_of_a_later_version_are_added(stage, monkeypatch):
    made = await stage.make()
    monkeypatch.setattr(platform, "_FIELDS", platform._FIELDS + "$apps plan plan string i\n")
    await stage.reopen()
    row = stage.apps.get_row(made)
    database = stage.apps._registry._database
    await database.change(lambda change: change.write(["update", "$apps", made, {"plan": "free"}]))
    await stage.reopen()
    assert stage.apps.get_row(made) == row


@pytest.mark.rule("S220")
async def test_changes_are_durable_when_their_call_returns(stage, tmp_path):
    rules = {"todos": {"allow": {"view": "true"}}}
    made = await stage.make()
    await stage.apps.set_rules(made, rules)
    # What a process that is killed now leaves.
    copy = tmp_path / "killed"
    shutil.copytree(stage.folder, copy, ignore=shutil.ignore_patterns("*-shm", "killed"))
    apps = await open_apps(copy, runtime=stage.runtime, is_open_by_default=True)
    assert apps.get_row(made).rules == rules
    await apps.close()


@pytest.mark.rule("S226")
async def test_finding_an_app_reads_one_row_however_many_there_are(stage, monkeypatch):
    def insert(change: Change) -> None:
        for number in range(2_000):
            fields = {
                "title": '"x"',
                "adminTokenHash": hash_token(token(number)).hex(),
                "isOpen": True,
                "createdAt": MADE_MS,
                "sample": f"sample {number}",
            }
            change.write(["create", "$apps", app_id(number), fields])

    registry = stage.apps._registry
    await registry._database.change(insert)
    # The least that is looked at; a table of 2,000 rows takes far more to be read through.
    monkeypatch.setattr(limits, "READ_STEPS_ON_LOOP", 1_000)
    assert stage.apps.get_row(app_id(1_234)).title == "x"
    assert stage.apps.is_admin_token(token(1_999))
    assert not stage.apps.is_admin_token(token(2_000))
    assert registry.find_sample("sample 777") == app_id(777)
    with pytest.raises(NotFound):
        stage.apps.get_row(app_id(2_000))


# --- what is in force, and what is on disk --------------------------------------------------------


@pytest.mark.rule("S223")
async def test_a_change_is_whole_though_whoever_asked_for_it_left(stage):
    rules = {"todos": {"allow": {"view": "false"}}}
    made = await stage.make()
    app = await stage.apps.lend(made)
    for change in (
        stage.apps.set_rules(made, rules),
        stage.apps.change_settings(made, lambda _: SETTINGS),
    ):
        asking = asyncio.ensure_future(change)
        while app.users < 3 and not asking.done():  # noqa: ASYNC110 - until it is on its way
            await asyncio.sleep(0)
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
    while app.users > 1:  # noqa: ASYNC110 - the changes hold it until they are made
        await asyncio.sleep(0)
    assert app.database.rules.source == app.row.rules == rules
    assert app.settings == SETTINGS
    assert stage.apps.get_row(made) == app.row
    stage.apps.give_back(app)


@pytest.mark.rule("S223")
async def test_stopping_waits_for_changes_that_were_begun(stage):
    made = await stage.make()
    app = await stage.apps.lend(made)
    asking = asyncio.ensure_future(stage.apps.change_settings(made, lambda _: SETTINGS))
    while app.users < 3:  # noqa: ASYNC110 - until it is on its way
        await asyncio.sleep(0)
    await stage.reopen()
    assert await asking == SETTINGS
    assert stage.apps.get_row(made).settings == SETTINGS


@pytest.mark.rule("S223")
async def test_settings_changed_at_once_lose_no_change(stage):
    made = await stage.make()

    def add(number: int) -> Callable[[Settings], Settings]:
        user = FixedCode(f"t{number}", f"{number}@x.y", "123456", 0)
        return lambda settings: msgspec.structs.replace(
            settings, test_users=(*settings.test_users, user)
        )

    await asyncio.gather(*(stage.apps.change_settings(made, add(n)) for n in range(8)))
    assert len(stage.apps.get_row(made).settings.test_users) == 8
    app = await stage.apps.lend(made)
    assert app.settings == stage.apps.get_row(made).settings
    stage.apps.give_back(app)


@pytest.mark.rule("S223")
async def test_a_change_that_is_refused_leaves_what_there_was(stage):
    made = await stage.make()

    def refuse(settings: Settings) -> Settings:
        raise NotFound("record-not-found", "no such thing")

    with pytest.raises(NotFound):
        await stage.apps.change_settings(made, refuse)
    assert stage.apps.get_row(made).settings == Settings()
    await stage.apps.change_settings(made, lambda _: SETTINGS)
    with pytest.raises(NotFound):
        await stage.apps._registry.set_rules(app_id(1), None)


# --- an app is a row and a file -------------------------------------------------------------------


@pytest.mark.rule("S224")
@pytest.mark.parametrize("where", ["files", "row"])
async def test_what_a_stop_leaves_of_a_deleted_app_the_next_sweep_deletes(
    stage, monkeypatch, where
):
    made, other = await stage.make(), await stage.make()
    owner = stage.apps._engines if where == "files" else stage.apps._registry
    with monkeypatch.context() as patched:
        patched.setattr(owner, "delete", stop)
        with pytest.raises(Stopped):
            await stage.apps.delete(made)
    await stage.reopen()
    with pytest.raises(NotFound):
        stage.apps.get_row(made)
    with pytest.raises(NotFound):
        await stage.apps.lend(made)
    await stage.apps.delete_expired()
    assert stage.files() == [f"{other}.db"]
    assert stage.apps._registry.find(made) is None
    assert stage.apps.get_row(other).id == other


@pytest.mark.rule("F22")
async def test_an_app_whose_bytes_cannot_be_deleted_is_deleted_by_the_next_sweep(stage):
    made, deleted = await stage.make(), []

    async def unreachable(app_id):
        raise Unavailable("overloaded", "The bucket cannot be reached.")

    async def delete_files(app_id):
        deleted.append(app_id)

    stage.apps.delete_files = unreachable
    with pytest.raises(Unavailable):
        await stage.apps.delete(made)
    with pytest.raises(NotFound):
        stage.apps.get_row(made)
    stage.apps.delete_files = delete_files
    await stage.apps.delete_expired()
    await stage.apps.delete_expired()
    assert deleted == [made]


@pytest.mark.rule("S224")
async def test_many_apps_that_end_are_deleted_some_at_a_time(open_stage, monkeypatch):
    monkeypatch.setattr(limits, "APPS_EXPIRED_PER_SWEEP", 2)
    stage = await open_stage()
    for _ in range(3):
        await stage.make(life_ms=1)
    lasting = await stage.make()
    await stage.reopen()
    stage.runtime.advance(2)
    await stage.apps.delete_expired()
    assert len(stage.files()) == 2
    await stage.apps.delete_expired()
    assert stage.files() == [f"{lasting}.db"]


@pytest.mark.rule("S225")
async def test_a_file_without_a_row_is_no_app_and_stays(stage):
    made = await stage.make()
    await stage.apps.close()
    orphan = stage.path(app_id(1))
    shutil.copy(stage.path(made), orphan)
    before = orphan.read_bytes()
    await stage.open()
    with pytest.raises(NotFound):
        await stage.apps.lend(app_id(1))
    await stage.apps.delete_expired()
    assert orphan.read_bytes() == before


@pytest.mark.rule("S225")
async def test_an_app_that_nobody_waits_for_is_not_made(stage, monkeypatch):
    inserting = asyncio.Event()
    insert = stage.apps._registry.insert

    async def slow_insert(row: Any, **options: Any) -> None:
        inserting.set()
        await insert(row, **options)

    monkeypatch.setattr(stage.apps._registry, "insert", slow_insert)
    asking = asyncio.ensure_future(stage.apps.create(title="x", life_ms=1))
    await inserting.wait()
    await asyncio.sleep(0)
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    await stage.apps.settled()
    assert stage.files() == []
    stage.runtime.advance(2)
    assert await stage.apps._registry.expired(stage.runtime.now_ms()) == [], "no row is left"
    assert stage.apps.files == 0


@pytest.mark.rule("S225")
async def test_a_row_that_cannot_be_written_leaves_no_file(stage, monkeypatch):
    def full(*_: object, **__: object) -> Any:
        raise Unavailable("overloaded", "The disk is full.")

    monkeypatch.setattr(SqliteEngine, "write", full)
    with pytest.raises(Unavailable):
        await stage.apps.create(title="x")
    monkeypatch.undo()
    assert stage.files() == []
    made = await stage.make()
    app = await stage.apps.lend(made)
    assert (await app.database.query_nested({"todos": {}}, identity=ADMIN)) == b'{"todos":[]}'
    stage.apps.give_back(app)
