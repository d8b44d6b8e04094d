"""What the server does for one call while it runs (`side.CallSide`): a query or mutation has one
run on the app's data, an action calls functions.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any, Protocol

import orjson

from trice import job_limits
from trice.calls.answering import Answering
from trice.calls.jobs.schedule import Wanted, too_many
from trice.calls.jobs.steps import JobSteps
from trice.calls.page_reads import PageReads
from trice.calls.reached import Reached
from trice.calls.side import Level
from trice.data_run import DataRun
from trice.database import Database
from trice.errors import InvalidInput, PermissionDenied
from trice.functions.frames import Later, OfReach, Page, Reply
from trice.identity import ADMIN, Identity
from trice.protocol.ids import uuid_text

Note = Callable[[Level, str], None]
"""Notes a line in the log of the app."""

Want = Callable[[Later], Wanted]
"""Checks a job that a function schedules; raises NotFound, InvalidInput."""


def row_query(user_id: str) -> dict[str, Any]:
    """The query for one user's row."""
    return {"$users": {"$": {"where": {"id": user_id}}}}


def row_of(answer: bytes) -> dict[str, Any] | None:
    """The row in the answer to `row_query`."""
    rows: list[dict[str, Any]] = orjson.loads(answer)["$users"]
    return rows[0] if rows else None


async def read_user(run: DataRun, identity: Identity) -> dict[str, Any] | None:
    """The row of `$users` of who calls, as `run` sees it; from then on the run depends on it."""
    if identity.user_id is None:
        return None
    return row_of(await run.read(row_query(uuid_text(identity.user_id)), identity=ADMIN))


async def peek_user(database: Database, identity: Identity) -> dict[str, Any] | None:
    """The newest row of `$users` of who calls; no run depends on it."""
    if identity.user_id is None:
        return None
    query = row_query(uuid_text(identity.user_id))
    return row_of(await database.query_nested(query, identity=ADMIN, is_inferring=True))


def looks_at_row(facts: Iterable[tuple[str, Any]]) -> bool:
    """Whether a run looked at attrs of its caller's row."""
    return any(name.startswith("user.") and name != "user.id" for name, _ in facts)


class Answers(Protocol):
    """Where else answers of reads may come from, and who keeps them (`inner.Reads`)."""

    async def read(self, run: DataRun, query: Any, identity: Identity) -> bytes:
        """What `run.read` answers."""
        ...

    def unread(self, query: Any, identity: Identity) -> None:
        """The run depends on this answer no more."""
        ...

    def forget(self) -> None:
        """The run begins anew, on another snapshot."""
        ...


class DataSide:
    """A query or mutation: all it asks is answered from one run.

    Holds the run; who made it closes it, by `close`. Does not commit.

    is_outdated   what the function was told does not hold on the data that it read, as its process
                  ended and it began again on newer data, or it read for the first time when others
                  had written: what it returns is not to be used
    """

    def __init__(
        self,
        run: DataRun,
        database: Database,
        identity: Identity,
        *,
        now_ms: int,
        may_write: bool,
        note: Note,
        want: Want,
        lasts_ms: int,
        pages: PageReads,
        answers: Answers | None = None,
    ) -> None:
        """
        now_ms    what the function is told of the time
        want      checks a job that a mutation schedules
        lasts_ms  how long a run may hold its snapshot
        pages     which page it reads
        answers   answers its reads in place of the run
        """
        self.run_on = run
        self.now_ms = now_ms
        self.is_outdated = False
        self._database = database
        self._identity = identity
        self._may_write = may_write
        self._note = note
        self._want = want
        self._jobs: list[Wanted] = []
        self._jobs_before_sub: list[int] = []
        self.pages = pages
        self._answers = answers
        self._lasts_ms = lasts_ms

    async def read(self, query: Any, as_caller: bool) -> bytes:
        return await self.read_as(query, self._identity if as_caller else ADMIN)

    async def page(self, asked: Page) -> bytes:
        return await self.pages.read(self, asked, self._identity if asked.as_caller else ADMIN)

    async def read_as(self, query: Any, identity: Identity) -> bytes:
        """Answer a query as somebody sees it; the run depends on the answer."""
        try:
            if self._answers is not None:
                return await self._answers.read(self.run_on, query, identity)
            return await self.run_on.read(query, identity=identity)
        finally:
            # A snapshot that was taken only now may have rows of a later time than was told.
            self.is_outdated = self.is_outdated or self.run_on.now_floor_ms > self.now_ms

    def unread(self, query: Any, identity: Identity) -> None:
        """Have the run depend on an answer no more, while it is watched."""
        if self._answers is not None:
            self._answers.unread(query, identity)

    def draft(self, steps: list[Any]) -> None:
        self._check_write()
        self.run_on.draft(steps)

    def sub(self) -> None:
        self._check_write()
        self.run_on.sub()
        self._jobs_before_sub.append(len(self._jobs))

    def sub_end(self, is_kept: bool) -> None:
        self.run_on.sub_end(is_kept)
        before = self._jobs_before_sub.pop()
        if not is_kept:
            del self._jobs[before:]

    @property
    def jobs(self) -> Sequence[Wanted]:
        """The jobs that it schedules, in order."""
        return self._jobs

    def later(self, job: Later) -> None:
        self._check_write()
        if len(self._jobs) >= job_limits.JOBS_OF_CALL_MAX:
            raise too_many(f"A call schedules at most {job_limits.JOBS_OF_CALL_MAX} jobs.")
        self._jobs.append(self._want(job))

    async def later_now(self, job: Later) -> None:
        raise _not_in_action()

    async def step(self, name: str, is_once: bool) -> bytes:
        raise _not_in_action()

    async def step_done(self, name: str, value: bytes) -> None:
        raise _not_in_action()

    async def sleep(self, name: str, duration_ms: int) -> bytes:
        raise _not_in_action()

    async def reach(self, asked: OfReach) -> bytes:
        raise PermissionDenied(
            "permission-denied",
            "Only actions send mail, and have files and streams: what a query or mutation did there"
            " could not be undone.",
        )

    async def reply(self, reply: Reply) -> None:
        raise _no_endpoint()

    async def piece(self, data: bytes) -> None:
        raise _no_endpoint()

    async def run(self, function: str, args: bytes) -> bytes:
        raise PermissionDenied(
            "permission-denied",
            "Only actions have the server run functions.",
            {"function": function},
        )

    def log(self, level: Level, text: str) -> None:
        self._note(level, text)

    async def restart(self) -> None:
        self.run_on.close()
        self._jobs.clear()
        self._jobs_before_sub.clear()
        self.run_on = await DataRun.begin(self._database, lasts_ms=self._lasts_ms)
        self.pages.restart()
        if self._answers is not None:
            self._answers.forget()
        # What the function was told of time and caller was read on the run before.
        self.is_outdated = self._identity.user_id is not None or (
            self.run_on.now_floor_ms > self.now_ms
        )

    def close(self) -> None:
        """Let go of the snapshot."""
        self.run_on.close()

    def _check_write(self) -> None:
        if not self._may_write:
            raise PermissionDenied("permission-denied", "A query writes nothing.")


class HeldSide:
    """A DataSide while a context lasts (`Functions.side`). A class, as each call has one: a
    generator costs more."""

    __slots__ = ("_begin", "_begun")

    def __init__(self, begin: Callable[[], Awaitable[DataSide]]) -> None:
        self._begin = begin

    async def __aenter__(self) -> DataSide:
        self._begun = await self._begin()
        return self._begun

    async def __aexit__(self, *raised: object) -> None:
        self._begun.close()


class ActionSide:
    """An action: it has no data of its own, and runs functions, each by itself."""

    def __init__(
        self,
        run: Callable[[str, bytes], Awaitable[bytes]],
        *,
        note: Note,
        schedule: Callable[[Wanted], Awaitable[None]],
        want: Want,
        steps: JobSteps | None,
        reached: Reached,
        answer: Answering | None = None,
    ) -> None:
        """
        run       runs a function by name and arguments, and returns its value
        schedule  makes a job durable
        steps     of the job that it is; None: it is none
        reached   what it reaches; who made it ends it
        answer    of the endpoint that it is, to its request; None: it is none
        """
        self._run = run
        self._note = note
        self._schedule = schedule
        self._want = want
        self._steps = steps
        self._reached = reached
        self._answer = answer
        self._scheduled = 0

    async def read(self, query: Any, as_caller: bool) -> bytes:
        raise _no_data()

    async def page(self, asked: Page) -> bytes:
        raise _no_data()

    def draft(self, steps: list[Any]) -> None:
        raise _no_data()

    def sub(self) -> None:
        raise _no_data()

    def sub_end(self, is_kept: bool) -> None:
        raise _no_data()

    async def run(self, function: str, args: bytes) -> bytes:
        return await self._run(function, args)

    async def reach(self, asked: OfReach) -> bytes:
        return await self._reached.ask(asked)

    def later(self, job: Later) -> None:
        raise _no_data()

    async def later_now(self, job: Later) -> None:
        if self._scheduled >= job_limits.JOBS_OF_CALL_MAX:
            raise too_many(f"A call schedules at most {job_limits.JOBS_OF_CALL_MAX} jobs.")
        self._scheduled += 1
        wanted = self._want(job)
        await (self._schedule(wanted) if self._steps is None else self._steps.later(wanted))

    async def step(self, name: str, is_once: bool) -> bytes:
        return await self._of_job().step(name, is_once=is_once)

    async def step_done(self, name: str, value: bytes) -> None:
        await self._of_job().step_done(name, value)

    async def sleep(self, name: str, duration_ms: int) -> bytes:
        return await self._of_job().sleep(name, duration_ms)

    async def reply(self, reply: Reply) -> None:
        if self._answer is None:
            raise _no_endpoint()
        self._answer.begin(reply)

    async def piece(self, data: bytes) -> None:
        if self._answer is None:
            raise _no_endpoint()
        await self._answer.piece(data)

    def _of_job(self) -> JobSteps:
        if self._steps is None:
            told = "`ctx.step` and `ctx.sleep` are for jobs: schedule the action with `ctx.later`."
            raise InvalidInput("bad-args", told)
        return self._steps

    def log(self, level: Level, text: str) -> None:
        self._note(level, text)

    async def restart(self) -> None:
        raise AssertionError("an action never begins again by itself")


def _no_endpoint() -> PermissionDenied:
    return PermissionDenied("permission-denied", "Only an endpoint answers a request.")


def _not_in_action() -> PermissionDenied:
    return PermissionDenied(
        "permission-denied", "Only an action waits for what it schedules, and has steps and sleep."
    )


def _no_data() -> PermissionDenied:
    return PermissionDenied(
        "permission-denied", "An action has no data: it runs queries and mutations for that."
    )
