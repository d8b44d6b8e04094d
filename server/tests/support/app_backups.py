"""Backups of an app as its developer makes and fetches them over HTTP."""

from __future__ import annotations

import asyncio
import gzip
import json
import zipfile
from pathlib import Path
from typing import Any

from support.patience import WAIT_S

DASH = "/dash/apps/"


def path_of(stage: Any, rest: str = "") -> str:
    """A path below the backups of the app of a stage."""
    return f"{DASH}{stage.app_id}/backups{rest}"


async def finished(stage: Any, job: dict[str, Any], headers: Any = None) -> dict[str, Any]:
    """A job once it is over."""
    async with asyncio.timeout(WAIT_S):
        await stage.backups.wait(stage.backups.jobs.get(job["app_id"], job["id"]))
    path = f"{DASH}{job['app_id']}/backup-jobs/{job['id']}"
    answer = await stage.ask("GET", path, None, headers or stage.admin())
    found: dict[str, Any] = answer.json()["job"]
    assert found["done_at"] is not None
    return found


async def make(stage: Any, description: str | None = None) -> dict[str, Any]:
    """Make a backup; the newest in the list. Five minutes pass."""
    body = {} if description is None else {"description": description}
    answer = await stage.ask("POST", path_of(stage), body, stage.admin())
    assert answer.status == 200, answer.body
    job = await finished(stage, answer.json()["job"])
    assert job["job_status"] == "completed", job
    stage.runtime.advance(5 * 60_000)
    newest: dict[str, Any] = (await listed(stage))[0]
    assert newest["id"] == job["app_backup_id"]
    return newest


async def listed(stage: Any) -> list[dict[str, Any]]:
    answer = await stage.ask("GET", path_of(stage), None, stage.admin())
    assert answer.status == 200, answer.body
    found: list[dict[str, Any]] = answer.json()["backups"]
    return found


async def fetched(stage: Any, url: str) -> Any:
    """What a URL of a backup leads to, asked without a token."""
    assert url.startswith("http://files.test/files/")
    return await stage.ask("GET", url.removeprefix("http://files.test"))


async def files_of(stage: Any, backup_id: str) -> list[dict[str, Any]]:
    """The list of files, which must be whole."""
    path = path_of(stage, f"/{backup_id}/storage-files")
    answer = await stage.ask("GET", path, None, stage.admin())
    assert answer.headers["content-type"].startswith("application/x-ndjson")
    *lines, last = answer.body.splitlines()
    assert json.loads(last) == {"done": True}
    return [json.loads(line) for line in lines]


async def parts_of(stage: Any, backup_id: str) -> dict[str, bytes]:
    """The parts in their order, uncompressed."""
    path = path_of(stage, f"/{backup_id}")
    names = (await stage.ask("GET", f"{path}/files", None, stage.admin())).json()["files"]
    parts = {}
    for each in names:
        name = each["name"].replace("$", "%24")
        url = await stage.ask("GET", f"{path}/file-url?name={name}", None, stage.admin())
        answer = await fetched(stage, url.json()["url"])
        assert (answer.status, answer.headers["content-encoding"]) == (200, "gzip")
        assert len(answer.body) == each["size"]
        parts[each["name"]] = gzip.decompress(answer.body)
    return parts


async def zipped(stage: Any, backup_id: str, path: Path) -> Path:
    """The archive that a client makes of a backup."""
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in (await parts_of(stage, backup_id)).items():
            archive.writestr(name, data)
        for each in await files_of(stage, backup_id):
            answer = await fetched(stage, each["url"])
            assert answer.status == 200
            archive.writestr(f"files/{each['locationId']}", answer.body)
    return path


def objects_of(stage: Any) -> set[str]:
    """The hashes of all bytes that backups of the app take."""
    folder = stage.settings.data_dir / "app-backups" / stage.app_id / "objects"
    return {path.name for path in folder.rglob("*") if path.is_file()}
