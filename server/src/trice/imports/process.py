"""The process of an import: what the server and it tell each other, how it is started and ended.

    server ──stdin──> Task, one line; then the pipe stays open: its end is the end of the process
    process ──stdout──> {"read": [n, of]} … {"indexed": [n, of]} … {"done": Done}
                                                             or … {"refused": text}

The process reads the archive and fills storage out of sight. It never touches what a server has
open, so the server may kill it, and it may be killed for its memory, at any moment.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Callable, Sequence
from typing import Any, Final

import msgspec

from trice import import_limits
from trice.apps.registry import AppRow
from trice.archive.report import Report
from trice.imports.records import Wishes


class Task(msgspec.Struct):
    """What a process is to do.

    name         of the archive, for messages
    token_hash   of the app's admin token
    replaced_tx  the last transaction of the app that will be replaced
    """

    archive: str
    name: str
    app_id: str
    wishes: Wishes
    token_hash: bytes
    replaced_tx: int | None


class Done(msgspec.Struct):
    """An app is whole, out of sight.

    webhooks   id and definition of each (`Webhook.load`)
    """

    row: AppRow
    report: Report
    webhooks: list[tuple[str, str]]
    tx_before: int


class Told(msgspec.Struct, omit_defaults=True):
    """One line of a process."""

    read: tuple[int, int] | None = None
    indexed: tuple[int, int] | None = None
    done: Done | None = None
    refused: str | None = None


_READ: Final = msgspec.json.Decoder(Told)


class Refused(Exception):
    """The archive cannot be imported; the text says why."""


class Died(Exception):
    """The process ended without a word."""


async def run_process(
    command: Sequence[str], task: Task, *, data_dir: str, on_told: Callable[[Told], None]
) -> Done:
    """Run the process of an import to its end. Cancelled, it is killed first.

    raises   Refused, Died
    """
    process = await asyncio.create_subprocess_exec(
        *command,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        limit=import_limits.MESSAGE_BYTES_MAX,
        start_new_session=True,  # a Ctrl-C is for the server, which ends it
        # SQLite sorts in files of its own, which may grow as large as the data.
        env={**os.environ, "SQLITE_TMPDIR": data_dir},
    )
    assert process.stdin is not None and process.stdout is not None, "both are pipes"
    try:
        with contextlib.suppress(ConnectionError):
            process.stdin.write(msgspec.json.encode(task) + b"\n")
            await process.stdin.drain()
        while line := await _line(process.stdout):
            told = _READ.decode(line)
            if told.refused is not None:
                raise Refused(told.refused)
            if told.done is not None:
                return told.done
            on_told(told)
        code = await process.wait()
        raise Died(f"Its process ended with {code}.")
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await asyncio.shield(process.wait())
        process.stdin.close()


async def _line(stream: asyncio.StreamReader) -> bytes:
    try:
        return await stream.readline()
    except ValueError as cause:
        raise Died("It said more than it may.") from cause


def dump_told(**told: Any) -> bytes:
    """A line of a process."""
    return msgspec.json.encode(Told(**told)) + b"\n"
