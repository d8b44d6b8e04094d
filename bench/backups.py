"""Backups: what they cost a writer, and how fast they are made and restored."""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path

from connection import Connection
from lasting import LastingApp, add_times, time_rows, timed_writes, trice
from process import ServerProcess
from scale import Scale
from workloads import Row, rest

MB = 1_000_000
_POLL_S = 0.05


async def backup(server: ServerProcess, scale: Scale) -> list[Row]:
    """One client writes, one write at a time: alone, then while `trice backup` copies the server to
    an empty folder. Then such a copy is restored into another data directory."""
    app = LastingApp.make(server)
    await app.fill(scale.backup_bytes)
    connection = await Connection.open(server.url, app.id)
    megabytes = _database(server, app).stat().st_size / MB
    label = f"a write beside a backup of {scale.backup_bytes / MB:,.0f} MB"
    alone = time_rows("backup_alone", "the same write without a backup")
    beside = time_rows("backup_beside", label)
    making = Row("backup_rate", "a server is backed up to a folder", "MB/s")
    restoring = Row("backup_restore", "a server is restored from it", "MB/s")
    for _ in range(scale.rounds):
        await rest(server, scale)
        add_times(alone, (await timed_writes(connection, scale.backup_writes))[0])
        with tempfile.TemporaryDirectory(prefix="backup-bench-") as name:
            vault, data = str(Path(name) / "vault"), str(Path(name) / "data")
            work = asyncio.to_thread(trice, "backup", vault, "--data-dir", server.directory)
            took_ms, took_s = await timed_writes(connection, scale.backup_writes, work)
            add_times(beside, took_ms)
            making.samples.append(megabytes / took_s)
            began = asyncio.get_running_loop().time()
            await asyncio.to_thread(trice, "restore", vault, "--data-dir", data)
            restoring.samples.append(megabytes / (asyncio.get_running_loop().time() - began))
    connection.close()
    return [*alone, *beside, making, restoring]


async def backup_of_app(server: ServerProcess, scale: Scale) -> list[Row]:
    """The same beside a backup that the developer of the app asks for, and the server makes in its
    own process. It is made once: an app is backed up once in five minutes."""
    app = LastingApp.make(server)
    await app.fill(scale.backup_bytes)
    connection = await Connection.open(server.url, app.id)
    megabytes = _database(server, app).stat().st_size / MB
    label = f"a write beside the backup of an app of {scale.backup_bytes / MB:,.0f} MB"
    beside = time_rows("app_backup_beside", label)
    making = Row("app_backup_rate", "an app is backed up for its developer", "MB/s")
    reading = Row("app_backup_download", "its archive is downloaded", "MB/s")
    await rest(server, scale)
    work = _made(app)
    took_ms, took_s = await timed_writes(connection, scale.backup_writes, work)
    add_times(beside, took_ms)
    making.samples.append(megabytes / took_s)
    with tempfile.TemporaryDirectory(prefix="backup-bench-") as name:
        where = ("--url", server.url, "--token", app.token, "--out", str(Path(name) / "a.zip"))
        began = asyncio.get_running_loop().time()
        await asyncio.to_thread(trice, "backup", "download", app.id, *where)
        reading.samples.append(megabytes / (asyncio.get_running_loop().time() - began))
    connection.close()
    return [*beside, making, reading]


async def _made(app: LastingApp) -> None:
    path = f"/dash/apps/{app.id}"
    job = (await asyncio.to_thread(app.ask, "POST", f"{path}/backups", {}))["job"]
    while job["done_at"] is None:
        await asyncio.sleep(_POLL_S)
        job = (await asyncio.to_thread(app.ask, "GET", f"{path}/backup-jobs/{job['id']}"))["job"]
    if job["job_status"] != "completed":
        raise RuntimeError(f"the backup is not made: {job['error']}")


def _database(server: ServerProcess, app: LastingApp) -> Path:
    return Path(server.directory) / "apps" / f"{app.id}.db"


ALL = (backup, backup_of_app)
