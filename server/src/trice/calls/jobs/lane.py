"""What a server knows of the jobs of one app: when something is to be done. No I/O.

It holds ids and times, never jobs: those are in the database, and are read when they begin. It is
told of every change of a row of `$jobs`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from heapq import heapify, heappop, heappush
from math import inf

from trice import job_limits as limits
from trice.calls.jobs.rows import Times


@dataclass(frozen=True, slots=True)
class Seen:
    """A row of `$jobs` as a commit shows it.

    due_ms     when it is due
    until_ms   until when somebody has it
    """

    state: str
    lease: str | None
    due_ms: int | None
    until_ms: int | None


@dataclass(slots=True, eq=False)
class Lane:
    """Times of the jobs of an app.

    due          id → when: those that are next, up to `horizon_ms`
    leases       id → until when somebody has it, ours included
    blocked      due, but another of its key runs
    has_waited   ids that were blocked once
    freed        how often a job ended, of any key
    count        how many jobs the app has
    is_loaded    what is here was read from the database
    must_reconcile   other functions were deployed
    """

    app_id: str
    due: dict[str, int] = field(default_factory=dict)
    leases: dict[str, int] = field(default_factory=dict)
    blocked: dict[str, int] = field(default_factory=dict)
    has_waited: set[str] = field(default_factory=set)
    horizon_ms: float = inf
    freed: int = 0
    count: int = 0
    is_loaded: bool = False
    must_reconcile: bool = True
    sweep_ms: float = 0
    _heap: list[tuple[int, str]] = field(default_factory=list)
    _loaded_tx: int = 0
    _meanwhile: list[tuple[int, str, Seen | None, Seen | None]] | None = None

    # --- what it is told ------------------------------------------------------------------------

    def begin_load(self) -> None:
        """The database is read; what changes meanwhile is told again to what is read."""
        self._meanwhile = []

    def end_load(self, times: Times) -> None:
        """This was read."""
        meanwhile, self._meanwhile = self._meanwhile or [], None
        self.due = dict(times.due)
        self.leases = dict(times.leases)
        self.blocked.clear()
        self.horizon_ms = inf if times.is_whole else max(times.due.values(), default=0)
        self.count = times.count
        self._heap = [(due_ms, job_id) for job_id, due_ms in self.due.items()]
        heapify(self._heap)
        self.is_loaded = True
        self._loaded_tx = times.tx
        for tx, job_id, old, new in meanwhile:
            self.hear(tx, job_id, old, new)

    def hear(self, tx: int, job_id: str, old: Seen | None, new: Seen | None) -> None:
        """A row changed. What is read may have seen it before it was told."""
        if self._meanwhile is not None:
            self._meanwhile.append((tx, job_id, old, new))
        if tx > self._loaded_tx:
            self.count += (new is not None) - (old is not None)
        self._note(job_id, new)
        if old is not None and old.lease is not None and (new is None or new.lease is None):
            self.freed += 1
            self.unblock()

    def _note(self, job_id: str, seen: Seen | None) -> None:
        self.blocked.pop(job_id, None)
        if seen is None or seen.until_ms is None:
            self.leases.pop(job_id, None)
        else:
            self.leases[job_id] = seen.until_ms
        if seen is None or seen.due_ms is None:
            self.due.pop(job_id, None)
            self.has_waited.discard(job_id)
        elif seen.due_ms <= self.horizon_ms:
            if self.due.get(job_id) != seen.due_ms:
                self.due[job_id] = seen.due_ms
                heappush(self._heap, (seen.due_ms, job_id))
        else:
            self.due.pop(job_id, None)

    def learn(self, ids: Iterable[str], leases: Mapping[str, int]) -> None:
        """The leases of these jobs, as a transaction found them; it heard of some later ones."""
        for job_id in ids:
            known = self.leases.pop(job_id, 0)
            if job_id in leases:
                self.leases[job_id] = max(known, leases[job_id])

    def block(self, ids: Iterable[tuple[str, int]]) -> None:
        """These are due, and wait for another one of their key."""
        for job_id, due_ms in ids:
            self.blocked[job_id] = due_ms
            self.has_waited.add(job_id)

    def unblock(self) -> None:
        """Something ended: try those that wait again."""
        for job_id, due_ms in self.blocked.items():
            self.due[job_id] = due_ms
            heappush(self._heap, (due_ms, job_id))
        self.blocked.clear()

    # --- what is to be done -----------------------------------------------------------------------

    @property
    def must_load(self) -> bool:
        """Whether the database has to be read: it was not, or what was read is used up."""
        return not self.is_loaded or (not self.due and self.horizon_ms != inf)

    def take_due(self, now_ms: int, count: int) -> list[str]:
        """Ids of jobs that are due, at most `count`; it forgets them until it hears of them."""
        found: list[str] = []
        while len(found) < count and self._first_due() is not None:
            due_ms, job_id = self._heap[0]
            if due_ms > now_ms:
                break
            heappop(self._heap)
            del self.due[job_id]
            found.append(job_id)
        return found

    def put_back(self, ids: Iterable[str], due_ms: int) -> None:
        """These were taken, and nothing was done about them."""
        for job_id in ids:
            self.due[job_id] = due_ms
            heappush(self._heap, (due_ms, job_id))

    def lapsed(self, now_ms: int, own: Iterable[str]) -> list[str]:
        """Jobs of others whose leases lapsed."""
        mine = set(own)
        return [
            job_id
            for job_id, until_ms in self.leases.items()
            if until_ms <= now_ms and job_id not in mine
        ]

    def next_ms(self, *, own: Iterable[str], has_place: bool) -> float:
        """When something is to be done next; 0: now."""
        if self.must_load or self.must_reconcile:
            return 0
        times = [self.sweep_ms if self.count else inf]
        first = self._first_due() if has_place else None
        if first is not None:
            times.append(first)
        mine = set(own)
        times += [until for job_id, until in self.leases.items() if job_id not in mine]
        return min(times)

    def _first_due(self) -> int | None:
        heap = self._heap
        while heap and self.due.get(heap[0][1]) != heap[0][0]:
            heappop(heap)
        return heap[0][0] if heap else None


def crowded(lane: Lane) -> bool:
    """Whether finished jobs must go before their time."""
    return lane.count > limits.JOBS_CROWDED
