"""An import is killed (SIGKILL) at moments from its first to its last."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from support import import_worker
from support.archive_stage import Stage, open_stage, small_shop
from support.archives import Archive
from support.patience import WAIT_S
from support.runtime import FakeRuntime
from trice import archive_limits
from trice.archive.container import Container
from trice.errors import Unavailable
from trice.files.sweep import Collector
from trice.protocol.ids import AppId

CHOSEN = 6
"""Moments of the first part of an import; of its end every one is tried."""
END = 8


def run_worker(archive: Path, folder: Path, moment: int) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, import_worker.__file__, archive, folder, str(moment)],
        capture_output=True,
        text=True,
        timeout=WAIT_S,
        check=False,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])},
    )


async def sweep(stage: Stage) -> None:
    """What a server does when it starts."""

    async def is_named(app_id: AppId, hashes: list[str]) -> set[str]:
        return set(hashes)

    await Collector(
        stage.storage.blobs,
        stage.storage.pins,
        is_named=is_named,
        has_app=lambda app_id: stage.registry.find(app_id) is not None,
        is_loading=stage.engines.is_loading,
        runtime=stage.runtime,
    ).sweep()


def moments(archive: Path, folder: Path) -> list[int]:
    """Which moments are tried."""
    done = run_worker(archive, folder, 0)
    assert done.returncode == 0, done.stderr
    count = int(done.stdout)
    assert count > CHOSEN + END
    chosen = random.Random(count).sample(range(1, count - END), CHOSEN)
    return [*sorted(chosen), *range(count - END, count + 1)]


def big_shop() -> Archive:
    """A shop whose lines are read in several steps."""
    shop = small_shop()
    for number in range(60):
        shop.add("goods", {"title": f"Cup {number}"})
    for number in range(6):
        shop.file(f"photos/{number}.png", bytes([number]) * 10_000)
    return shop


@pytest.fixture
def lines_read(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Counts the lines that containers read."""
    counted = [0]
    read = Container.lines

    def lines(self: Container, etype: str, **given: Any) -> Iterator[tuple[int, bytes]]:
        for found in read(self, etype, **given):
            counted[0] += 1
            yield found

    monkeypatch.setattr(Container, "lines", lines)
    return counted


@pytest.mark.rule("AR2", "AR1", "AR100", "AR101")
@pytest.mark.interpreted("it counts what a method reads")
async def test_an_import_killed_at_any_moment_goes_on_or_is_done(
    tmp_path: Path, lines_read: list[int]
) -> None:
    shop = big_shop()
    archive = shop.write(tmp_path / "in.zip")
    app_id = AppId(shop.app_id or "")
    in_all = sum(map(len, shop.lines.values()))
    outcomes, read = set(), []
    for moment in moments(archive, tmp_path / "whole"):
        folder = tmp_path / f"killed-{moment}"
        killed = run_worker(archive, folder, moment)
        assert killed.returncode == -9, (moment, killed.stderr)
        async with open_stage(folder) as stage:
            await sweep(stage)
            is_there = stage.registry.find(app_id) is not None
            outcomes.add(is_there)
            if not is_there:
                left = {Path(name).parts[0] for name in stage.left()}
                assert left <= {"loading", "files"}, moment
                lines_read[0] = 0
                report = await stage.load(archive)
                read.append(lines_read[0])
                assert report.entities["goods"] == 62 and report.files == 7, moment
            assert list((folder / "loading").iterdir()) == [], moment
            compared = await stage.compare(app_id, archive)
            assert compared.is_equal, (moment, compared)
            await sweep(stage)
            assert (await stage.compare(app_id, archive)).is_equal, moment
    assert outcomes == {True, False}
    # The later it was killed, the less is read again; once all was in, nothing is.
    assert read == sorted(read, reverse=True) and read[0] <= in_all and read[-1] == 0
    assert any(0 < count < in_all for count in read), read


@pytest.mark.rule("AR102")
@pytest.mark.interpreted("it counts what a method reads")
async def test_only_the_same_import_goes_on(tmp_path: Path, lines_read: list[int]) -> None:
    shop = big_shop()
    archive = shop.write(tmp_path / "in.zip")
    app_id = AppId(shop.app_id or "")
    late = moments(archive, tmp_path / "whole")[-END]
    shop.add("goods", {"title": "One more"})
    other = shop.write(tmp_path / "other.zip")
    for number, (path, options) in enumerate(
        ((other, {}), (archive, {"is_open": False}), (archive, {"drops_unknown": True}))
    ):
        folder = tmp_path / f"killed-{number}"
        assert run_worker(archive, folder, late).returncode == -9
        async with open_stage(folder) as stage:
            assert stage.engines.is_loading(app_id)
            lines_read[0] = 0
            report = await stage.load(path, **options)
            assert lines_read[0] == sum(report.entities.values()), "it began anew"
            assert (await stage.compare(app_id, path)).is_equal


@pytest.mark.rule("AR104")
async def test_two_imports_of_one_app_never_run(tmp_path: Path) -> None:
    shop = small_shop()
    async with open_stage(tmp_path / "data") as stage:
        other = stage.engines.load(AppId(shop.app_id or ""), keeps=True)
        with pytest.raises(Unavailable, match="is being imported already"):
            await stage.load(shop)
        other.release()
        await stage.load(shop)
        assert list((tmp_path / "data" / "loading").iterdir()) == []


@pytest.mark.rule("AR103")
async def test_what_was_kept_goes_after_some_days(tmp_path: Path) -> None:
    shop = big_shop()
    archive = shop.write(tmp_path / "in.zip")
    app_id = AppId(shop.app_id or "")
    late = moments(archive, tmp_path / "whole")[-END]
    folder = tmp_path / "killed"
    assert run_worker(archive, folder, late).returncode == -9
    runtime = FakeRuntime()
    (kept,) = (folder / "loading").glob(f"{app_id}*.db")
    for name in kept.parent.glob(f"{kept.name}*"):
        os.utime(name, (runtime.now_ms() / 1000, runtime.now_ms() / 1000))
    async with open_stage(folder, runtime) as stage:
        await sweep(stage)
        assert kept.exists() and [name for name in stage.left() if name.startswith("files")]
    runtime.advance(archive_limits.LOADING_KEPT_MS + 1)
    async with open_stage(folder, runtime) as stage:
        await sweep(stage)
        assert stage.left() == []


@pytest.mark.rule("AR7")
async def test_an_app_that_is_replaced_is_the_old_one_or_the_new_one(tmp_path: Path) -> None:
    old, new = small_shop(), small_shop()
    old.rules, old.title = {"goods": {"allow": {"view": "false"}}}, "Old"
    new.rules, new.title = {"tags": {"allow": {"view": "true"}}}, "New"
    new.add("tags", {"name": "in the new one"})
    given = {"Old": old.write(tmp_path / "old.zip"), "New": new.write(tmp_path / "new.zip")}
    app_id = AppId(old.app_id or "")
    async with open_stage(tmp_path / "before") as stage:
        await stage.load(given["Old"])
    shutil.copytree(tmp_path / "before", tmp_path / "whole")
    outcomes = set()
    for moment in moments(given["New"], tmp_path / "whole"):
        folder = tmp_path / f"killed-{moment}"
        shutil.copytree(tmp_path / "before", folder)
        killed = run_worker(given["New"], folder, moment)
        assert killed.returncode == -9, (moment, killed.stderr)
        async with open_stage(folder) as stage:
            row = stage.registry.find(app_id)
            assert row is not None
            outcomes.add(row.title)
            compared = await stage.compare(app_id, given[row.title])
            assert compared.is_equal, (moment, row.title, compared)
            if row.title == "Old":
                await stage.load(given["New"], replaces=True)
                assert (await stage.compare(app_id, given["New"])).is_equal, moment
            assert list((folder / "loading").iterdir()) == []
    assert outcomes == {"Old", "New"}
