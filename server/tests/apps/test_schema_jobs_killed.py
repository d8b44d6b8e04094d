"""Jobs of schema pushes are killed (SIGKILL) at moments from their first to their last."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import sys
from pathlib import Path

import apsw
import pytest

from support import schema_job_worker
from support.engines import open_apps
from support.patience import WAIT_S
from support.runtime import FakeRuntime
from trice.apps.schema_jobs import SchemaJobs
from trice.background import Background
from trice.protocol.ids import AppId
from trice.store.sqlite import functions

CHOSEN = 12
"""Moments that are tried."""


def run_worker(folder: Path, moment: int) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, schema_job_worker.__file__, folder, str(moment)],
        capture_output=True,
        text=True,
        timeout=WAIT_S,
        check=False,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])},
    )


async def check(folder: Path) -> None:
    """All jobs are done, and the file is whole."""
    app_id = AppId((folder / "app").read_text())
    runtime = FakeRuntime()
    apps = await open_apps(folder, runtime=runtime, is_open_by_default=True)
    background = Background(runtime)
    jobs = SchemaJobs(apps, runtime=runtime, background=background)
    await jobs.load()
    found = jobs.of_app(app_id)[::-1]
    assert [(job.work.kind, job.status) for job in found] == [
        ("index", "completed"),
        ("check-data-type", "completed"),
        ("unique", "completed"),
        ("index", "completed"),
        ("remove-index", "completed"),
    ]
    app = await apps.lend(app_id)
    label = app.database.catalog.find_forward("items", "label")
    note = app.database.catalog.find_forward("items", "note")
    assert label.is_indexed and label.is_unique and label.checked_type == "string"
    assert not label.pending and not note.pending and not note.is_indexed
    query = {"items": {"$": {"order": {"label": "asc"}}}}
    rows = (await app.database.look(lambda look: look.find(query)))["items"]
    wanted = sorted(f"v{at}" for at in range(schema_job_worker.ROWS))
    assert [row["label"] for row in rows] == wanted
    assert all(row["note"] is None for row in rows)
    apps.give_back(app)
    await background.stop()
    await apps.close()
    check_file(folder, app_id)


def check_file(folder: Path, app_id: AppId) -> None:
    (path,) = [path for path in folder.rglob("*.db") if app_id in path.name]
    reader = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)
    functions.register(reader)
    assert reader.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    left = "SELECT count(*) FROM sqlite_schema WHERE name LIKE '%building%'"
    assert reader.execute(left).fetchall() == [(0,)]
    reader.close()


@pytest.mark.rule("SJ7")
async def test_jobs_go_on_after_a_kill_at_any_moment(tmp_path):
    whole = tmp_path / "whole"
    whole.mkdir()
    done = run_worker(whole, 0)
    assert done.returncode == 0, done.stderr
    count = int(done.stdout)
    assert count > 60, "each turn counts"
    await check(whole)
    for moment in random.Random(count).sample(range(1, count + 1), CHOSEN):
        folder = tmp_path / str(moment)
        folder.mkdir()
        killed = run_worker(folder, moment)
        assert killed.returncode in (-9, 0), killed.stderr
        again = run_worker(folder, 0)
        assert again.returncode == 0, again.stderr
        await check(folder)
        shutil.rmtree(folder)
