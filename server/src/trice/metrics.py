"""Counters of what the engine did, for tests and for operators. No I/O."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import ClassVar


@dataclass(slots=True)
class LiveCounts:
    """What commits cost the live queries of an app, since it was opened.

    looked_at        queries that commits were held against, because they share a value, or a place
                     in an order, with a changed row
    touched          queries found by the index, over all commits
    patched          refreshes of a query that needed no whole run
    counted          how many of `patched` carried totals forward
    rerun_node       levels whose statement was run again in `patched` refreshes
    rerun_query      whole queries run on the loop, first runs included
    rerun_on_thread  runs moved to a reader thread because they were long
    changed, silent  runs and patches whose answer differed from the last one, or did not
    """

    looked_at: int = 0
    touched: int = 0
    patched: int = 0
    counted: int = 0
    rerun_node: int = 0
    rerun_query: int = 0
    rerun_on_thread: int = 0
    changed: int = 0
    silent: int = 0


@dataclass(slots=True)
class AppCounts:
    """What an app did, since it was opened.

    commits, groups  transactions made durable, and the waits for the disk that they shared
    """

    live: LiveCounts
    commits: int = 0
    groups: int = 0

    def add(self, other: AppCounts) -> None:
        """Add the counts of `other`."""
        self.commits += other.commits
        self.groups += other.groups
        for each in fields(LiveCounts):
            total = getattr(self.live, each.name) + getattr(other.live, each.name)
            setattr(self.live, each.name, total)


@dataclass(slots=True)
class RequestCounts:
    """HTTP requests answered, since the server was started, by the first digit of the status."""

    by_class: list[int] = field(default_factory=lambda: [0] * 6)


@dataclass(slots=True)
class QuotaCounts:
    """What quotas refused, since the server was started: requests with messages, connections."""

    requests: int = 0
    sockets: int = 0


@dataclass(slots=True)
class DeflateCounts:
    """What compression did for the sockets of a server, since it was started.

    deflated      frames of one socket, frames for many and parts for many that were deflated
    bytes_before, bytes_after   size of all that was deflated, with the bytes around shared parts
    sent          frames that left deflated, over all sockets
    """

    deflated: int = 0
    bytes_before: int = 0
    bytes_after: int = 0
    sent: int = 0


@dataclass(slots=True)
class WorkCounts:
    """What became of background work of one kind, since the server was started.

    runs, failures      runs that ended, and how many of them failed
    failures_in_a_row   failed runs since the last success
    last_ms             how long the latest run took
    running, waiting    how many run and wait now
    """

    runs: int = 0
    failures: int = 0
    failures_in_a_row: int = 0
    last_ms: float = 0.0
    running: int = 0
    waiting: int = 0


@dataclass(slots=True)
class HttpCounts:
    """What became of HTTP connections, since the server was started.

    refused      came when the bounds were reached and no idle connection could make room
    closed_idle  were closed while idle, to make room for another
    too_slow     took too long to send a request, or to read an answer
    malformed    sent something that is not HTTP
    """

    refused: int = 0
    closed_idle: int = 0
    too_slow: int = 0
    malformed: int = 0


@dataclass(slots=True)
class BackupCounts:
    """What became of the backups that a server makes by itself.

    newest_ms       when the newest good backup began, by the wall clock; None: there is none
    last_ms         how long the latest one took
    bytes           the size of all that the latest one consists of
    put_bytes       bytes that were new in the vault, since the server was started
    shipped_ms      up to when all that was written is in the vault, by the wall clock; None: never
    shipped_rows, bases   transactions that were shipped, and copies of apps that this needed
    damaged_apps, missing_files   what was wrong with the data when the latest one was made
    """

    newest_ms: int | None = None
    last_ms: int = 0
    bytes: int = 0
    put_bytes: int = 0
    shipped_ms: int | None = None
    shipped_rows: int = 0
    bases: int = 0
    damaged_apps: int = 0
    missing_files: int = 0


@dataclass(slots=True)
class FileCounts:
    """What became of the bytes of files, since the server was started.

    stored, stored_bytes   uploads whose row was committed, and their bytes
    not_stored             uploads that failed, were cut off or refused after they had begun
    received_bytes         bytes of uploads that came, also of those that were not stored
    sent_bytes             bytes of downloads and variants that were read to be sent
    swept                  blobs deleted because no row named them
    kept, kept_bytes       blobs of all apps, as the latest sweep found them; None before the first
    """

    stored: int = 0
    stored_bytes: int = 0
    not_stored: int = 0
    received_bytes: int = 0
    sent_bytes: int = 0
    swept: int = 0
    kept: int | None = None
    kept_bytes: int | None = None


@dataclass(slots=True)
class VariantCounts:
    """What became of image variants that were asked for, since the server was started.

    found, made, failed   were on disk; were made; could not be made
    """

    found: int = 0
    made: int = 0
    failed: int = 0


@dataclass(slots=True)
class StreamCounts:
    """What became of streams, since the server was started.

    appends, appended_bytes   what writers sent
    parts                     pieces made durable
    flushes, flush_ms         times that something was made durable, and how long all of them took
    flushes_failed            times that it could not be: the writer starts again
    """

    appends: int = 0
    appended_bytes: int = 0
    parts: int = 0
    flushes: int = 0
    flush_ms: float = 0.0
    flushes_failed: int = 0


@dataclass(slots=True)
class WorkerCounts:
    """What became of the processes that run functions, and of calls in them, since the server was
    started.

    calls         calls that were begun in a process, those that began again included
    again         calls that began again because their process ended
    timeouts      calls that took too long
    refused       calls that were `overloaded`
    started       processes with an app
    from_spare    how many of them were there already
    died, killed  processes that ended by themselves, or were ended because of a call
    broken        bundles that could not be loaded
    """

    calls: int = 0
    again: int = 0
    timeouts: int = 0
    refused: int = 0
    started: int = 0
    from_spare: int = 0
    died: int = 0
    killed: int = 0
    broken: int = 0


@dataclass(slots=True)
class CallCounts:
    """What became of calls of functions since the server was started: those of clients, jobs and
    actions.

    runs        by kind; tries of a mutation once each
    failures    by code, of calls that failed
    spent_ms    by kind, from when a run had its place
    kept        calls that were answered by what was kept of them
    conflicts   runs in vain, by the function that ran and the one that overtook it ("" for a
                transaction): PAIRS_MAX different ones, the rest as OTHERS
    """

    runs: dict[str, int] = field(default_factory=dict)
    failures: dict[str, int] = field(default_factory=dict)
    spent_ms: dict[str, float] = field(default_factory=dict)
    kept: int = 0
    conflicts: dict[tuple[str, str], int] = field(default_factory=dict)

    PAIRS_MAX: ClassVar[int] = 50
    OTHERS: ClassVar[tuple[str, str]] = ("others", "others")

    def note_run(self, kind: str, ms: float) -> None:
        self.runs[kind] = self.runs.get(kind, 0) + 1
        self.spent_ms[kind] = self.spent_ms.get(kind, 0.0) + ms

    def note_failure(self, code: str) -> None:
        self.failures[code] = self.failures.get(code, 0) + 1

    def note_conflict(self, function: str, by: str) -> None:
        pair = (function, by)
        if pair not in self.conflicts and len(self.conflicts) >= self.PAIRS_MAX:
            pair = self.OTHERS
        self.conflicts[pair] = self.conflicts.get(pair, 0) + 1
