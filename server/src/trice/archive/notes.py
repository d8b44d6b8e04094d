"""What the report of an import says once all is read. No I/O."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from trice.archive.config import Config
from trice.archive.lines import LineReader
from trice.archive.report import Report, listed


def note_lines(report: Report, reader: LineReader) -> None:
    """What of the lines of one namespace did not come."""
    if reader.nameless:
        report.note(
            f"{reader.nameless:,} lines of {reader.place} have no `id`, so nothing could ever"
            " show them. They did not come."
        )
    for label, count in reader.dropped.items():
        report.note(
            f"{count:,} values of `{reader.namespace.etype}.{label}` did not come: no schema"
            " has that attr."
        )


def note_app(report: Report, config: Config, *, attrs: Sequence[Any], is_open: bool) -> None:
    """What people should know of the app.

    attrs   those whose ids the caller gave
    """
    tokens = report.entities.get("$userRefreshTokens", 0)
    if tokens:
        report.note(
            f"{tokens:,} sign-ins came with their users: clients that keep the app id stay signed"
            " in."
            if report.app_id == config.app_id
            else f"{tokens:,} sign-ins came with their users. The app has a new id, under which"
            " clients keep none: users sign in again."
        )
    if not config.attrs and not attrs:
        report.note(
            "Attrs have new ids, as Instant backups hold none. Writes that clients queued while"
            " they were offline name attrs by the old ids, and are refused.",
            "To keep the ids, import again with --replace --attrs FILE, where FILE is what GET"
            f" https://api.instantdb.com/dash/apps/{config.app_id}/schema/pull answers to the"
            " admin token.",
        )
    ruled = config.rules if isinstance(config.rules, dict) else {}
    bare = [
        etype
        for etype in report.entities
        if not etype.startswith("$") and etype not in ruled and "$default" not in ruled
    ]
    if is_open and bare:
        report.note(
            f"As on Instant, anybody may read and write what no rule speaks about: {listed(bare)}.",
            "Write rules for them, or import with --closed.",
        )
