"""`trice import` into a running server: by URL and token, or by the door of its data directory.

The archive is sent in pieces; after a cut, or a kill of either side, what was sent counts. Through
the door nothing is sent: the server reads the file itself.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import click
import msgspec
import orjson

from trice.accounts.operator import door_of
from trice.archive.config import parse_config
from trice.archive.container import Container
from trice.archive.load import Options
from trice.archive.report import Report
from trice.cli.progress import Bars
from trice.cli.remote import Refused, Remote, wait
from trice.cli.terminal import note, printable
from trice.errors import TriceError
from trice.runtime import SystemRuntime, new_uuid

PIECE_BYTES = 8 * 1024**2
"""Bytes of one request. A cut costs as many at most."""

_BYTES = {"content-type": "application/octet-stream"}

POLL_MS = 500

PATIENCE_MS = 120_000
"""How long a server that does not answer is asked again: it may be starting."""


def remote_of_door(data_dir: Path) -> Remote:
    """The server that runs on a data directory. raises   ClickException"""
    try:
        door = orjson.loads(door_of(data_dir).read_bytes())
        return Remote(door["url"], door["secret"], f"the one in {door_of(data_dir)}")
    except (OSError, ValueError, KeyError, TypeError) as failure:
        raise click.ClickException(
            f"Another process uses {data_dir}, and it is no server that can be asked ({failure})."
            " Stop it first, then run this again. If it has just started, try again in a moment."
        ) from None


def import_remote(
    backup: Path, options: Options, remote: Remote, *, owner: str | None, is_here: bool
) -> Report:
    """Import an archive into a running server.

    owner    e-mail address of the account that gets the app; for the operator only
    is_here  the server reads the file itself
    raises   ClickException
    """
    try:
        with Container(backup) as container:
            identity = container.identity()
            config = parse_config(container.read_config())
    except TriceError as failure:
        raise click.ClickException(printable(failure.message)) from None
    app_id = options.app_id or config.app_id
    wishes = {
        "replaces": options.replaces,
        "is_open": options.is_open,
        "drops_unknown": options.drops_unknown,
        "ignores_counts": options.ignores_counts,
        "attrs": list(options.attrs),
    }
    body: dict[str, Any] = {
        "bytes": backup.stat().st_size,
        "identity": identity,
        "name": backup.name[-200:],
        "app_id": app_id,
        "owner": owner,
        "options": wishes,
    }
    if is_here:
        body["path"] = os.path.abspath(backup)
    try:
        return _import(backup, body, _Asked(remote), options.admin_token)
    except KeyboardInterrupt:
        note("\nStopped. What was sent counts, and an import that has begun goes on: the same")
        note("command comes back to it.")
        raise


def _import(backup: Path, body: dict[str, Any], asked: _Asked, given: str | None) -> Report:
    """given   the admin token that the app shall have"""
    job = asked.post("/dash/restores", body)
    # An app that is replaced keeps its token.
    made_token = None if job["replaces"] or given else new_uuid(SystemRuntime())
    token = given or made_token
    with Bars() as bars:
        job = _send(backup, job, asked, bars)
        is_begun = job["job_status"] != "uploading"
        if not is_begun:
            job = asked.post(f"/dash/restores/{job['id']}/start", {"admin_token": token})
        job = _follow(job, asked, bars)
    report = msgspec.convert(job["report"], Report)
    report.admin_token = None if is_begun else made_token
    return report


class _Asked:
    """A server that is asked again while it does not answer."""

    def __init__(self, remote: Remote) -> None:
        self._remote = remote

    def post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        return self.ask("POST", path, body=body)

    def ask(self, method: str, path: str, **options: Any) -> dict[str, Any]:
        """The job in the answer. raises   Refused"""
        waited_ms = 0
        while True:
            try:
                job: dict[str, Any] = self._remote.ask(method, path, **options)["restore-job"]
                return job
            except Refused as failure:
                # A refusal has a body; without one the server is away, or restarting.
                is_away = not failure.body or failure.body.get("type") == "overloaded"
                if not is_away or waited_ms >= PATIENCE_MS or method == "PUT":
                    raise
                wait(POLL_MS)
                waited_ms += POLL_MS


def _send(backup: Path, job: dict[str, Any], asked: _Asked, bars: Bars) -> dict[str, Any]:
    """Send what the server does not have yet."""
    path = f"/dash/restores/{job['id']}/bytes"
    failures = 0
    with open(backup, "rb") as file:
        while job["job_status"] == "uploading" and job["offset"] < job["bytes"]:
            file.seek(job["offset"])
            piece = file.read(PIECE_BYTES)
            if not piece:
                raise click.ClickException(f"{backup} became shorter while it was sent.")
            before = job["offset"]
            try:
                params = {"offset": str(before)}
                job = asked.ask("PUT", path, content=piece, params=params, headers=_BYTES)
            except Refused as failure:
                # Bytes of a request that was cut may have come, so the next ones belong elsewhere.
                accepted = (None, "overloaded", "record-not-unique")
                failures += 1
                is_over = failures > PATIENCE_MS // POLL_MS
                if is_over or failure.body.get("type") not in accepted:
                    raise
                wait(POLL_MS)
                job = asked.ask("GET", f"/dash/restore-jobs/{job['id']}")
            if job["offset"] > before:
                failures = 0
            bars.sent(job["offset"], job["bytes"])
    return job


def _follow(job: dict[str, Any], asked: _Asked, bars: Bars) -> dict[str, Any]:
    """Wait until the import has ended."""
    while job["job_status"] in ("waiting", "processing"):
        if job["indexing"][1] > 1:
            bars.indexed(*job["indexing"])
        else:
            bars.read(*job["reading"])
        wait(POLL_MS)
        job = asked.ask("GET", f"/dash/restore-jobs/{job['id']}")
    if job["job_status"] != "completed":
        told = printable(job["error"] or "The import was cancelled.")
        raise click.ClickException(told)
    return job
