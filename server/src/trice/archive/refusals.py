"""Errors about an archive: each names the place in it, and what is accepted. No I/O."""

from __future__ import annotations

from trice.errors import InvalidInput, invalid
from trice.protocol.quoting import bare


def refused(place: str, problem: str) -> InvalidInput:
    """The error for an archive that cannot be used.

    place     `backup.zip`, `config.json`, or `entities/todos.jsonl line 12`
    problem   a sentence about it
    source    instant-http §6.8
    """
    shown = bare(place, chars=200)
    return invalid(
        "restore", shown, [{"message": problem, "in": [shown]}], message=f"{shown}: {problem}"
    )
