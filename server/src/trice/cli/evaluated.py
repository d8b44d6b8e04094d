"""Files of a project that are code, `schema.py` and `instant.schema.ts`: run in a process, bounded.

    {"value": …} | {"fault": {"file", "line", "message"}}   what the process answers

The process gets a descriptor for its answer. What it prints is shown. It is killed with all that it
started once it has answered, runs too long or answers too much.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any, Final

import click

from trice import schema_limits
from trice.cli.terminal import note, printable
from trice.schema import evaluate

_PIECE_BYTES: Final = 64 * 1024
_JOIN_S: Final = 1.0
"""How long a pipe may stay open after all were killed: one that left their group still has it."""


def evaluate_python(path: Path) -> Any:
    """The schema document that a `schema.py` declares. raises   UsageError"""
    asked_ms = schema_limits.EVALUATION_MS - schema_limits.EVALUATION_GRACE_MS
    command = [sys.executable, "-P", "-m", evaluate.__name__, str(path.resolve())]
    return _evaluate(path, command, str(asked_ms))


def evaluate_typescript(path: Path) -> Any:
    """What an `instant.schema.ts` or `instant.perms.ts` exports. raises   UsageError"""
    node = shutil.which("node")
    if node is None:
        told = f"{path} is run by Node, which is not installed. `trice pull` writes schema.json."
        raise click.UsageError(told)
    script = Path(evaluate.__file__).with_suffix(".mjs")
    flags = ["--no-warnings", "--experimental-vm-modules"]
    return _evaluate(path, [node, *flags, str(script), str(path.resolve())])


def _evaluate(path: Path, command: Sequence[str], *more: str) -> Any:
    code, answer, printed = _run([*command], more, path.resolve().parent)
    for line in printed.decode(errors="replace").splitlines():
        note(printable(line))
    try:
        told = json.loads(answer)
        if "value" in told:
            return told["value"]
        shown = _told(path, told["fault"])
    except (ValueError, RecursionError, LookupError, TypeError):
        shown = f"{path}: {_why(code, answer)}"
    raise click.UsageError(shown)


def _told(path: Path, fault: Any) -> str:
    file = Path(fault["file"])
    shown = path if file == path.resolve() else file
    line = "" if fault["line"] is None else f", line {fault['line']}"
    return f"{shown}{line}: {printable(fault['message'])}."


def _why(code: int | None, answer: bytes) -> str:
    """Why there is no answer."""
    if len(answer) >= schema_limits.EVALUATED_BYTES_MAX:
        return f"it answers more than {schema_limits.EVALUATED_BYTES_MAX >> 20} MiB."
    if code is None:
        return f"it did not end within {schema_limits.EVALUATION_MS / 1000:g} s."
    return f"its process ended with code {code} before it could be read."


def _run(
    command: Sequence[str], more: Sequence[str], folder: Path
) -> tuple[int | None, bytes, bytes]:
    """Run a command; returns its exit code (None: it was killed), its answer, what it printed."""
    ours, theirs = os.pipe()
    try:
        process = subprocess.Popen(
            [*command, str(theirs), *more],
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            pass_fds=[theirs],
            start_new_session=True,
        )
    except OSError as failure:
        os.close(ours)
        raise click.ClickException(f"{command[0]}: {failure.strerror}") from None
    finally:
        os.close(theirs)
    assert process.stdout is not None
    answer, printed = bytearray(), bytearray()
    answers = os.fdopen(ours, "rb", buffering=0)

    def kill() -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)

    readers = [
        _reader(answers, answer, schema_limits.EVALUATED_BYTES_MAX, kill),
        _reader(process.stdout, printed, schema_limits.PRINTED_BYTES_MAX, None),
    ]
    code: int | None = None
    try:
        with contextlib.suppress(subprocess.TimeoutExpired):
            code = process.wait(timeout=schema_limits.EVALUATION_MS / 1000)
    finally:
        kill()
        process.wait()
    for reader in readers:
        reader.join(_JOIN_S)
    return code, bytes(answer), bytes(printed)


def _reader(pipe: IO[bytes], into: bytearray, most: int, full: Any) -> threading.Thread:
    """Read a pipe to its end and keep `most` bytes; `full` is called at more."""

    def read() -> None:
        with pipe, contextlib.suppress(OSError):
            while piece := os.read(pipe.fileno(), _PIECE_BYTES):
                into.extend(piece[: most - len(into)])
                if full is not None and len(into) >= most:
                    full()

    thread = threading.Thread(target=read, daemon=True)
    thread.start()
    return thread
