"""The list of apps as first versions kept it: taken over whole, whatever ends on the way."""

from __future__ import annotations

import asyncio
import gzip
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import apsw
import orjson
import pytest

from support.engines import open_apps
from support.runtime import FakeRuntime
from trice import limits
from trice.apps.apps import Apps
from trice.apps.registry import hash_token
from trice.apps.settings import EmailTemplate, Origin, Settings
from trice.apps.settings import TestUser as FixedCode
from trice.errors import Unavailable
from trice.store.sqlite import first_platform
from trice.store.sqlite.first_platform import FirstPlatform

OLD = Path(__file__).parent / "old" / "platform-1.db.gz"
"""Made by the last version that kept a table of its own: 34 apps, 31 of which end."""

MADE_MS = 1_700_000_000_000
LIFE_MS = 14 * 86_400_000
RULES = {
    "todos": {
        "bind": ["isOwner", "auth.id == data.owner"],
        "allow": {"view": "isOwner", "create": True, "$default": "false"},
    },
    "attrs": {"allow": {"create": "false"}},
}
SETTINGS = Settings(
    code_expiry_minutes=5,
    origins=(Origin("o1", "generic", ("app.example",), MADE_MS),),
    test_users=(FixedCode("t1", "ann@x.y", "123456", MADE_MS),),
    email_template=EmailTemplate("e1", "Your code {code}", "<p>{code}</p>", "Notes"),
    has_passwords=True,
    has_passkeys=True,
)


def app_id(number: int) -> str:
    return f"a1000000-0000-4000-8000-{number:012d}"


def token(number: int) -> str:
    return f"b1000000-0000-4000-8000-{number:012d}"


def put_old(folder: Path, *, change: str = "") -> bytes:
    """Put the old list into a data directory, changed by SQL; return its bytes."""
    path = folder / "platform.db"
    path.write_bytes(gzip.decompress(OLD.read_bytes()))
    if change:
        connection = apsw.Connection(str(path))
        connection.execute(change)
        connection.close()
    return path.read_bytes()


def run(folder: Path, scene: Callable[[Apps], Any]) -> Any:
    """Open the apps of a data directory as they are, on the day they were made."""

    async def whole() -> Any:
        apps = await open_apps(folder, runtime=FakeRuntime(), is_open_by_default=True)
        try:
            found = scene(apps)
            return await found if asyncio.iscoroutine(found) else found
        finally:
            await apps.close()

    return asyncio.run(whole())


def rows(apps: Apps) -> list[Any]:
    return [apps.get_row(app_id(number)) for number in range(1, 35)]


@pytest.mark.rule("S221")
def test_a_title_of_an_old_list_that_no_app_may_have_now_loses_what_is_refused(tmp_path):
    put_old(tmp_path, change="UPDATE apps SET title = 'a' || char(0) || 'b' WHERE rowid = 5")
    assert "ab" in run(tmp_path, lambda apps: [row.title for row in rows(apps)])


@pytest.mark.rule("S221")
def test_an_old_list_is_taken_over(tmp_path, monkeypatch):
    monkeypatch.setattr(limits, "PLATFORM_IMPORT_APPS", 10)
    put_old(tmp_path)

    def scene(apps: Apps) -> None:
        first, titled, sample, plain, *others = rows(apps)
        assert (first.title, first.is_open, first.expires_ms) == ("Notes of Zoë", False, None)
        assert orjson.dumps(first.rules) == orjson.dumps(RULES), "in the order they were written"
        assert first.settings == SETTINGS
        assert first.created_ms == MADE_MS
        assert first.admin_token_hash == hash_token(token(1))
        assert (titled.title, titled.is_open) == ("sample: todo", True)
        assert titled.expires_ms == MADE_MS + LIFE_MS
        assert (sample.title, sample.expires_ms, sample.rules) == ("sample: todo", None, None)
        assert plain.settings == Settings()
        assert [row.title for row in others] == [f"throw-away {n}" for n in range(5, 35)]
        assert [row.expires_ms for row in others] == [MADE_MS + LIFE_MS + n for n in range(5, 35)]
        assert all(apps.is_admin_token(token(number)) for number in range(1, 35))
        assert not apps.is_admin_token(token(35))
        assert apps._registry.find_sample("todo") == sample.id

    run(tmp_path, scene)
    assert {path.name for path in tmp_path.iterdir()} == {
        *("apps", "platform.db", "platform.db.v1.bak")
    }
    run(tmp_path, scene)


@pytest.mark.rule("S113", "S221")
def test_lists_of_still_earlier_versions_are_taken_over(tmp_path):
    put_old(
        tmp_path,
        change="DROP INDEX apps_by_sample; ALTER TABLE apps DROP COLUMN sample;"
        " ALTER TABLE apps DROP COLUMN settings; PRAGMA user_version = 0",
    )

    def scene(apps: Apps) -> None:
        assert rows(apps)[0].settings == Settings()
        # By its title; that of an app which ends is anybody's choice.
        assert apps._registry.find_sample("todo") == app_id(3)

    run(tmp_path, scene)


@pytest.mark.rule("S221")
def test_an_old_list_with_its_last_writes_in_the_log(tmp_path):
    put_old(tmp_path)
    path = tmp_path / "platform.db"
    connection = apsw.Connection(str(path))
    connection.execute("PRAGMA wal_autocheckpoint = 0")
    connection.execute("UPDATE apps SET title = ? WHERE id = ?", ("la\0ter", app_id(4)))
    killed = path.read_bytes(), (tmp_path / "platform.db-wal").read_bytes()
    connection.close()
    path.write_bytes(killed[0])
    (tmp_path / "platform.db-wal").write_bytes(killed[1])
    assert run(tmp_path, rows)[3].title == "later"
    backup = apsw.Connection(str(tmp_path / "platform.db.v1.bak"))
    found = backup.execute("SELECT title FROM apps WHERE id = ?", (app_id(4),)).fetchall()
    backup.close()
    assert found == [("la\0ter",)], "the backup has them too"


async def make_app(apps: Apps) -> str:
    app, _ = await apps.create(title="x")
    apps.give_back(app)
    return app.id


@pytest.mark.rule("S221")
def test_an_old_list_of_no_apps(tmp_path):
    put_old(tmp_path, change="DELETE FROM apps")
    made = run(tmp_path, make_app)
    assert run(tmp_path, lambda apps: apps.get_row(made)).title == "x"


@pytest.mark.rule("S221")
def test_the_backup_is_its_owners(tmp_path):
    previous = os.umask(0o077)
    try:
        put_old(tmp_path)
        run(tmp_path, rows)
    finally:
        os.umask(previous)
    backup = tmp_path / "platform.db.v1.bak"
    assert oct(backup.stat().st_mode & 0o777) == "0o600"


class Stopped(BaseException):
    """The process ends here, as far as a test can play it."""


def stop(*_: object, **__: object) -> Any:
    raise Stopped


def nth(count: int, real: Callable[..., Any]) -> Callable[..., Any]:
    """`real`, until it is called for the `count`th time."""
    calls = iter(range(count - 1))

    def called(*arguments: Any, **named: Any) -> Any:
        if next(calls, None) is None:
            raise Stopped
        return real(*arguments, **named)

    return called


STOPS: dict[str, tuple[Any, str, Callable[..., Any]]] = {
    "before the first app": (FirstPlatform, "apps", stop),
    "after some apps": (FirstPlatform, "apps", nth(3, FirstPlatform.apps)),
    "after all apps": (FirstPlatform, "replace", stop),
    "before the copy": (shutil, "copyfile", stop),
    "before the copy is on disk": (first_platform, "_sync", stop),
    "before the copy has its name": (os, "replace", stop),
    "before the new one is in its place": (os, "replace", nth(2, os.replace)),
}


@pytest.mark.rule("S222")
@pytest.mark.parametrize("where", STOPS)
def test_whatever_ends_the_process_the_old_list_is_in_its_place(tmp_path, monkeypatch, where):
    monkeypatch.setattr(limits, "PLATFORM_IMPORT_APPS", 10)
    old = put_old(tmp_path)
    owner, name, replaced = STOPS[where]
    with monkeypatch.context() as patched:
        patched.setattr(owner, name, replaced)
        with pytest.raises(Stopped):
            run(tmp_path, rows)
    assert (tmp_path / "platform.db").read_bytes() == old
    assert len(run(tmp_path, rows)) == 34
    assert (tmp_path / "platform.db.v1.bak").read_bytes() == old
    assert len(run(tmp_path, rows)) == 34


@pytest.mark.rule("S222")
def test_an_old_list_that_is_damaged_ends_the_start(tmp_path):
    old = put_old(tmp_path)
    damaged = old[:4096] + b"\xff" * 4096 + old[8192:]
    path = tmp_path / "platform.db"
    path.write_bytes(damaged)
    with pytest.raises(Unavailable) as caught:
        run(tmp_path, rows)
    assert caught.value.code == "data-unusable"
    assert str(path) in caught.value.message
    assert path.read_bytes() == damaged


@pytest.mark.rule("S243")
def test_while_somebody_looks_into_the_old_list_it_is_not_taken_over(tmp_path):
    old = put_old(tmp_path, change="PRAGMA journal_mode = wal")
    path = tmp_path / "platform.db"
    somebody = apsw.Connection(str(path))
    assert somebody.execute("SELECT count(*) FROM apps").fetchall() == [(34,)]
    with pytest.raises(Unavailable) as caught:
        run(tmp_path, rows)
    assert caught.value.code == "overloaded"
    assert str(path) in caught.value.message and "Another process" in caught.value.message
    assert "put back" not in caught.value.message, "no backup helps"
    assert path.read_bytes() == old
    somebody.close()
    assert len(run(tmp_path, rows)) == 34
