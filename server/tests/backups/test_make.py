"""What a backup consists of, whatever is written meanwhile."""

from __future__ import annotations

import asyncio
import stat
from dataclasses import replace
from pathlib import Path

import apsw
import pytest

from support.archive_stage import Stage
from support.backup_stage import (
    OTHER,
    SHOP,
    add_file,
    check,
    content,
    contents,
    make,
    objects,
    put_back,
    source_of,
    vault_in,
    write,
    writer,
)
from trice import backup_limits
from trice.backups.listing import find_backups, find_names
from trice.backups.make import back_up
from trice.errors import NotFound, Unavailable
from trice.files.local import LocalBlobs
from trice.protocol.ids import AppId
from trice.server import open_copies


@pytest.mark.rule("BK1", "BK30", "BK5")
async def test_a_backup_has_all_apps_and_their_files(stage: Stage, tmp_path: Path) -> None:
    (stage.folder / "secret.key").write_text("11" * 32)
    made = await make(stage, vault_in(tmp_path / "vault"))
    assert [part.id for part in made.manifest.apps] == sorted((SHOP, OTHER))
    assert made.missing == [] and made.manifest.is_good
    before = {app_id: await content(stage, app_id) for app_id in (SHOP, OTHER)}
    restored = await put_back(vault_in(tmp_path / "vault"), tmp_path / "new")
    assert (restored.apps, restored.files, restored.kept) == (2, 3, None)
    assert await contents(tmp_path / "new") == before
    assert (tmp_path / "new" / "secret.key").read_text() == "11" * 32


@pytest.mark.rule("BK1", "BK21")
async def test_a_backup_beside_a_writer_is_of_one_moment(
    stage: Stage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backup_limits, "STEP_PAGES", 1)
    vault = vault_in(tmp_path / "vault")
    async with stage.database(SHOP) as database, writer(database, stage.runtime) as told:
        for number in range(3):
            acknowledged = len(told)
            made = await make(stage, vault)
            verified = await check(vault, made.manifest.name)
            assert verified.problems == []
            folder = tmp_path / f"new-{number}"
            await put_back(vault, folder, name=made.manifest.name)
            goods = (await contents(folder))[SHOP]["entities"]["goods"]
            prices = sorted(each["price"] for each in goods if each["title"][:3] in ("cup", "lid"))
            count = len(prices) // 2
            assert prices == sorted([*range(count), *range(count)])  # whole, and without a gap
            assert acknowledged <= count <= len(told) + 1


@pytest.mark.rule("BK2")
async def test_others_write_between_the_steps_of_a_copy(
    stage: Stage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backup_limits, "STEP_PAGES", 4)
    async with stage.database(SHOP) as database:
        for number in range(20):
            await write(database, stage.runtime, number)
        pages = (await asyncio.to_thread(_pages, stage.folder / "apps" / f"{SHOP}.db")) // 4
        raw = apsw.Connection(str(stage.folder / "apps" / f"{SHOP}.db"))
        raw.execute("CREATE TABLE meanwhile (n)")
        steps = 0

        def step() -> bool:
            nonlocal steps
            raw.execute("INSERT INTO meanwhile VALUES (?)", (steps,))  # busy: it would raise
            steps += 1
            return False

        copies = open_copies(stage.folder)
        await asyncio.to_thread(lambda: copies.copy(SHOP, tmp_path / "copy.db", is_over=step))
        raw.execute("DROP TABLE meanwhile")
        raw.close()
    assert pages <= steps <= pages + 3  # it never began again
    copy = apsw.Connection(str(tmp_path / "copy.db"))
    assert copy.execute("SELECT count(*) FROM meanwhile").fetchall() == [(0,)]
    copy.close()
    assert copies.find_problem(tmp_path / "copy.db", is_whole=True, is_over=lambda: False) is None


def _pages(path: Path) -> int:
    raw = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)
    ((count,),) = raw.execute("PRAGMA page_count").fetchall()
    raw.close()
    return int(count)


@pytest.mark.rule("BK4")
async def test_only_what_is_new_is_written(stage: Stage, tmp_path: Path) -> None:
    vault = vault_in(tmp_path / "vault")
    first = await make(stage, vault)
    assert first.put == len(objects(tmp_path / "vault"))
    second = await make(stage, vault)
    assert (second.put, second.put_bytes) == (0, 0)
    async with stage.database(SHOP) as database:
        await add_file(stage, database, "new.bin", b"new bytes")
        third = await make(stage, vault)
    # The database of one app, its list of files, and the file.
    assert third.put == 3
    parts = {part.id: part for part in third.manifest.apps}
    assert parts[OTHER] in second.manifest.apps
    files = parts[SHOP].files
    assert files is not None and files.count == 2


@pytest.mark.rule("BK4", "BK10")
async def test_a_folder_is_linked_and_closed_to_others(stage: Stage, tmp_path: Path) -> None:
    vault = vault_in(tmp_path / "vault")
    async with stage.database(SHOP) as database:
        hash = await add_file(stage, database, "new.bin", b"new bytes")
        await make(stage, vault)
    path = stage.storage.blobs.path(SHOP, hash)
    assert path is not None
    assert path.samefile(tmp_path / "vault" / "objects" / hash[:2] / hash)
    for each in (tmp_path / "vault").rglob("*"):
        if each.is_dir():
            assert stat.S_IMODE(each.stat().st_mode) & 0o077 == 0, each
    assert stat.S_IMODE((tmp_path / "vault").stat().st_mode) & 0o077 == 0


@pytest.mark.rule("BK5", "BK34")
async def test_a_backup_of_one_app_lists_that_one(stage: Stage, tmp_path: Path) -> None:
    vault = vault_in(tmp_path / "vault")
    made = await make(stage, vault, app_id=SHOP)
    assert [part.id for part in made.manifest.apps] == [SHOP]
    assert made.manifest.secret_key is None
    verified = await check(vault, made.manifest.name)
    assert verified.problems == []
    before = await content(stage, SHOP)
    await put_back(vault, tmp_path / "new", app_id=SHOP)
    assert await contents(tmp_path / "new") == {SHOP: before}
    with pytest.raises(NotFound, match="no app 1111"):
        await make(stage, vault, app_id=AppId("11111111-1111-4111-8111-111111111111"))


@pytest.mark.rule("BK6")
async def test_an_app_that_is_deleted_meanwhile_is_left_out(stage: Stage, tmp_path: Path) -> None:
    source = source_of(stage)
    loop = asyncio.get_running_loop()

    class Deleting:
        """Deletes an app: once the list of apps is copied, or once their databases are listed."""

        def __init__(self, *, is_listed: bool) -> None:
            self.is_listed = is_listed
            self.is_done = False

        def delete(self) -> None:
            if not self.is_done:
                self.is_done = True
                asyncio.run_coroutine_threadsafe(stage.registry.delete(OTHER), loop).result()
                stage.engines.delete(OTHER)

        def copy(self, app_id: AppId, path: Path, **options: object) -> None:
            source.copies.copy(app_id, path, **options)  # type: ignore[arg-type]
            if not self.is_listed:
                self.delete()

        def apps(self) -> list[AppId]:
            found = source.copies.apps()
            self.delete()
            return found

        def __getattr__(self, name: str) -> object:
            return getattr(source.copies, name)

    row, path = stage.registry.find(OTHER), stage.folder / "apps" / f"{OTHER}.db"
    assert row is not None
    data = path.read_bytes()
    for is_listed in (True, False):
        copies = Deleting(is_listed=is_listed)
        vault = vault_in(tmp_path / str(is_listed))
        made = await back_up(vault, replace(source, copies=copies))  # type: ignore[arg-type]
        assert copies.is_done and [part.id for part in made.manifest.apps] == [SHOP]
        assert (await check(vault)).problems == []
        await stage.registry.insert(row)
        path.write_bytes(data)


@pytest.mark.rule("BK7")
async def test_an_app_whose_database_is_lost_is_told(stage: Stage, tmp_path: Path) -> None:
    (stage.folder / "apps" / f"{OTHER}.db").unlink()
    vault = vault_in(tmp_path / "vault")
    parts = {part.id: part for part in (await make(stage, vault)).manifest.apps}
    assert parts[SHOP].problem is None and parts[OTHER].problem == "Its database is missing."


@pytest.mark.rule("BK6", "BK1")
async def test_a_file_that_is_deleted_meanwhile(stage: Stage, tmp_path: Path) -> None:
    async with stage.database(SHOP) as database:
        hash = await add_file(stage, database, "short.bin", b"short lived")
        loop = asyncio.get_running_loop()
        deleted: list[str] = []

        class Deleting(LocalBlobs):
            """The row and the bytes go just before the bytes are read."""

            def path(self, app_id: AppId, found: str) -> Path:
                path = super().path(app_id, found)
                if found == hash and not deleted:
                    deleted.append(found)
                    path.unlink()
                    step = ["delete", "$files", ["path", "short.bin"]]
                    task = loop.create_task(database.change(lambda change: change.write(step)))
                    waiting.append(task)
                return path

        waiting: list[asyncio.Task[None]] = []
        blobs = Deleting(
            stage.folder / "files", threads=stage.storage.threads, runtime=stage.runtime
        )
        vault = vault_in(tmp_path / "vault")
        made = await back_up(vault, replace(source_of(stage), blobs=blobs), app_id=SHOP)
        await asyncio.gather(*waiting)
    assert deleted == [hash] and made.missing == []
    files = made.manifest.apps[0].files
    assert files is not None and (files.count, files.missing) == (1, 0)
    assert (await check(vault, made.manifest.name)).problems == []


@pytest.mark.rule("BK1")
@pytest.mark.parametrize("is_cut", [False, True])
async def test_bytes_that_an_app_has_lost_are_noted(
    stage: Stage, tmp_path: Path, is_cut: bool
) -> None:
    async with stage.database(SHOP) as database:
        hash = await add_file(stage, database, "lost.bin", b"lost bytes")
        path = stage.storage.blobs.path(SHOP, hash)
        assert path is not None
        if is_cut:
            path.write_bytes(b"lost b")
        else:
            path.unlink()
        vault = vault_in(tmp_path / "vault")
        made = await make(stage, vault)
    assert made.missing == [f"{SHOP}/{hash}"]
    verified = await check(vault, made.manifest.name)
    assert verified.problems == []  # it has all that the app had
    assert (await put_back(vault, tmp_path / "new")).files == 3


@pytest.mark.rule("BK7", "BK37")
async def test_a_damaged_app_does_not_keep_others_out(stage: Stage, tmp_path: Path) -> None:
    path = stage.folder / "apps" / f"{OTHER}.db"
    data = bytearray(path.read_bytes())
    for page in range(3, len(data) // 4096):
        data[page * 4096 : page * 4096 + 64] = b"\xff" * 64
    path.write_bytes(data)
    vault = vault_in(tmp_path / "vault")
    made = await make(stage, vault)
    assert not made.manifest.is_good
    assert [part.id for part in made.manifest.apps if part.problem is not None] == [OTHER]
    name = made.manifest.name
    verified = await check(vault, name)
    assert any(f"App {OTHER} was damaged" in problem for problem in verified.problems)
    with pytest.raises(Exception, match="--without-damaged"):
        await put_back(vault, tmp_path / "new", name=name)
    await put_back(vault, tmp_path / "new", name=name, skips_damaged=True)
    assert set(await contents(tmp_path / "new")) == {SHOP}


@pytest.mark.rule("BK8")
async def test_a_vault_has_one_writer(stage: Stage, tmp_path: Path) -> None:
    vault = vault_in(tmp_path / "vault")
    async with vault_in(tmp_path / "vault").claimed():
        with pytest.raises(Unavailable, match="Another process is writing"):
            await make(stage, vault)
    await make(stage, vault)


@pytest.mark.rule("BK9", "BK20")
async def test_what_was_taken_out_is_put_back(stage: Stage, tmp_path: Path) -> None:
    vault = vault_in(tmp_path / "vault")
    async with stage.database(SHOP) as database:
        hash = await add_file(stage, database, "new.bin", b"new bytes")
        name = (await make(stage, vault)).manifest.name
        (tmp_path / "vault" / "objects" / hash[:2] / hash).unlink()
        verified = await check(vault, name)
        assert verified.problems == [
            f"The backup lacks a file of app {SHOP}: there is no objects/{hash[:2]}/{hash}."
        ]
        assert (await make(stage, vault, rechecks=True)).put == 1
    assert (await check(vault, name)).problems == []


@pytest.mark.rule("BK52", "BK3")
async def test_a_backup_ends_when_it_is_cancelled(
    stage: Stage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backup_limits, "STEP_PAGES", 1)
    source = source_of(stage)
    loop = asyncio.get_running_loop()
    seen = 0

    class Slow:
        """Cancels the backup in the middle of a copy."""

        def copy(self, app_id: AppId, path: Path, *, is_over: object) -> None:
            def step() -> bool:
                nonlocal seen
                seen += 1
                if seen == 5:
                    loop.call_soon_threadsafe(task.cancel)
                    while not is_over():  # type: ignore[operator]
                        pass
                return is_over()  # type: ignore[operator,no-any-return]

            source.copies.copy(app_id, path, is_over=step)

        def __getattr__(self, name: str) -> object:
            return getattr(source.copies, name)

    vault = vault_in(tmp_path / "vault")
    slow = replace(source, copies=Slow())  # type: ignore[arg-type]
    task = loop.create_task(back_up(vault, slow))
    with pytest.raises(asyncio.CancelledError):
        await task
    assert seen == 5
    assert await find_names(vault) == []
    assert list((tmp_path / "vault" / "coming").iterdir()) == []
    assert (await make(stage, vault)).manifest.is_good


@pytest.mark.rule("BK22")
async def test_a_damaged_manifest_is_refused(stage: Stage, tmp_path: Path) -> None:
    vault = vault_in(tmp_path / "vault")
    first = (await make(stage, vault)).manifest.name
    second = (await make(stage, vault)).manifest.name
    path = tmp_path / "vault" / "backups" / first
    whole = path.read_bytes()
    flipped = bytearray(whole)
    flipped[len(flipped) // 2] ^= 1
    for data in (whole[:-1], whole[:70], b"", bytes(flipped), b"\xff" * 100):
        path.write_bytes(data)
        found = await find_backups(vault)
        assert [each.name for each in found.manifests] == [second]
        assert f"Backup {first} is damaged" in found.damaged[first]
        with pytest.raises(Exception, match=f"Backup {first} is damaged"):
            await put_back(vault, tmp_path / "new", name=first)
        assert not (tmp_path / "new").exists()
