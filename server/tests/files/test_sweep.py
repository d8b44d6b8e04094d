from __future__ import annotations

import asyncio
import hashlib
import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.blob_places import OTHER_APP, Place, kept
from support.runtime import FakeRuntime, settle
from trice import file_limits as limits
from trice.errors import Unavailable
from trice.files.pins import Pins
from trice.files.sweep import Collector
from trice.files.threads import FileThreads
from trice.protocol.ids import AppId

APP = AppId("11111111-1111-4111-8111-111111111111")


class Rows:
    """Which hashes rows name. A test may hold an answer back after it is decided."""

    def __init__(self) -> None:
        self.named: set[tuple[AppId, str]] = set()
        self.apps = {APP}
        self.asked: list[int] = []
        self.answers = asyncio.Event()
        self.answers.set()
        self.fails_for: AppId | None = None

    async def is_named(self, app_id: AppId, hashes: list[str]) -> set[str]:
        if app_id == self.fails_for:
            raise Unavailable("overloaded", "The app cannot be opened.")
        self.asked.append(len(hashes))
        named = {each for each in hashes if (app_id, each) in self.named}
        await self.answers.wait()
        return named


class Stage:
    def __init__(self, folder: Path, threads: FileThreads) -> None:
        self.runtime = FakeRuntime()
        self.place = Place.local(folder, threads=threads, runtime=self.runtime)
        self.pins = Pins()
        self.rows = Rows()
        self.collector = Collector(
            self.place.blobs,
            self.pins,
            is_named=self.rows.is_named,
            has_app=lambda app_id: app_id in self.rows.apps,
            runtime=self.runtime,
        )

    async def upload(self, data: bytes) -> str:
        """As `Files` does: pin, put, write the row, and no sooner let go."""
        hash = hashlib.sha256(data).hexdigest()
        async with self.pins.pinned(APP, hash):
            await self.place.put(APP, data)
            await asyncio.sleep(0)
            self.rows.named.add((APP, hash))
        return hash

    async def has(self, hash: str, app_id: AppId = APP) -> bool:
        return await self.place.blobs.size(app_id, hash) is not None


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    threads = FileThreads()
    yield Stage(tmp_path, threads)
    threads.close()


@pytest.mark.rule("F20")
async def test_bytes_that_no_row_names_any_more_are_deleted(stage: Stage) -> None:
    gone, named = await stage.upload(b"gone"), await stage.upload(b"named")
    stage.rows.named.discard((APP, gone))
    assert await stage.collector.collect(APP, [gone, named, gone]) == 1
    assert not await stage.has(gone)
    assert await stage.has(named)
    assert stage.pins.holds_nothing()


@pytest.mark.rule("F20")
async def test_pinned_bytes_stay(stage: Stage) -> None:
    hash = await stage.place.put(APP, b"about to be named")
    async with stage.pins.pinned(APP, hash):
        assert await stage.collector.collect(APP, [hash]) == 0
        assert stage.rows.asked == []
    assert await stage.collector.collect(APP, [hash]) == 1


@pytest.mark.rule("F20")
async def test_an_upload_waits_for_the_deletion_of_the_same_bytes(stage: Stage) -> None:
    hash = await stage.upload(b"the same")
    stage.rows.named.clear()
    stage.rows.answers.clear()
    collecting = asyncio.create_task(stage.collector.collect(APP, [hash]))
    await settle()
    uploading = asyncio.create_task(stage.upload(b"the same"))
    other = await stage.upload(b"another")  # waits for nobody
    assert not uploading.done()
    stage.rows.answers.set()
    assert await collecting == 1
    await uploading
    assert await stage.has(hash) and await stage.has(other)
    assert stage.pins.holds_nothing()


@pytest.mark.rule("F20")
@pytest.mark.parametrize("seed", range(5))
async def test_no_row_is_ever_without_its_bytes(stage: Stage, seed: int) -> None:
    """Uploads, deletions of rows and collections of few different bytes, all at once."""
    choices = random.Random(seed)

    async def act() -> None:
        for _ in range(12):
            data = b"%d" % choices.randrange(3)
            hash = hashlib.sha256(data).hexdigest()
            if choices.random() < 0.5:
                await stage.upload(data)
            else:
                stage.rows.named.discard((APP, hash))
                await stage.collector.collect(APP, [hash])

    await asyncio.gather(*(act() for _ in range(6)))
    for _, hash in stage.rows.named:
        assert await stage.has(hash)
    names = {hash for _, hash in stage.rows.named}
    left = [blob.hash for blob in await kept(stage.place.blobs, APP)]
    await stage.collector.collect(APP, left)
    assert {blob.hash for blob in await kept(stage.place.blobs, APP)} == names


@pytest.mark.rule("F21")
async def test_a_sweep_deletes_old_bytes_without_a_row(stage: Stage) -> None:
    named, gone = await stage.upload(b"named"), await stage.place.put(APP, b"left by a crash")
    stage.runtime.advance(limits.FILE_GRACE_MS - 1)
    young = await stage.place.put(APP, b"being copied")
    await stage.collector.sweep()
    assert await stage.has(gone), "it is not old enough"
    stage.runtime.advance(1)
    await stage.collector.sweep()
    assert not await stage.has(gone)
    assert await stage.has(named) and await stage.has(young)


@pytest.mark.rule("F21")
async def test_a_sweep_asks_for_a_page_at_a_time(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "LIST_PAGE_BLOBS", 4)
    for number in range(10):
        await stage.place.put(APP, b"%d" % number)
    stage.runtime.advance(limits.FILE_GRACE_MS)
    await stage.collector.sweep()
    assert stage.rows.asked == [4, 4, 2]
    assert await kept(stage.place.blobs, APP) == []


@pytest.mark.rule("F22")
async def test_a_sweep_deletes_the_bytes_of_apps_that_are_gone(stage: Stage) -> None:
    hash = await stage.place.put(OTHER_APP, b"of a deleted app")
    mine = await stage.upload(b"mine")
    await stage.collector.sweep()
    assert not await stage.has(hash, OTHER_APP)
    assert await stage.has(mine)


@pytest.mark.rule("F21")
async def test_an_app_that_cannot_be_opened_keeps_no_other_from_being_swept(stage: Stage) -> None:
    stage.rows.apps.add(OTHER_APP)
    stage.rows.fails_for = APP
    stays = await stage.place.put(APP, b"nobody knows")
    goes = await stage.place.put(OTHER_APP, b"no row")
    stage.runtime.advance(limits.FILE_GRACE_MS)
    await stage.collector.sweep()
    assert await stage.has(stays)
    assert not await stage.has(goes, OTHER_APP)
    assert stage.pins.holds_nothing()
