"""All processes that run functions: which app gets one, which call gets a place in one, what
becomes of calls whose process ended.

    call ──> its app has room? ──> a place in a process of its pool ──> run ──> done, fail
               └ waits, in order     └ none: one more, from the spare      └ the process ended:
                                                                             again, elsewhere
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Coroutine
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from trice import function_limits as limits
from trice.calls.side import AppCode, CallRequest, CallSide
from trice.calls.workers.outcomes import broken, expect_args_fit, failure_of
from trice.calls.workers.pool import Pool, Waiter
from trice.calls.workers.process import Process, State
from trice.calls.workers.starter import Starter
from trice.calls.workers.talk import Expired, Guilt, Lost
from trice.errors import FunctionFailed, TriceError, Unavailable
from trice.functions import frames
from trice.metrics import WorkerCounts
from trice.runtime import Runtime

logger: Final = logging.getLogger("trice.functions")

_Key = tuple[str, int, bool]


@dataclass(slots=True)
class _Use:
    """Calls of an app that are of one kind of pool: under way, and waiting to be. Those of queries
    and mutations are apart, as actions wait for them."""

    under_way: int = 0
    waiting: int = 0
    turns: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(limits.CALLS_MAX))


class Workers:
    """Holds the pools of all apps. Does not know what calls read and write.

    Invariant: processes with an app are at most `processes_max`, those that end included.
    """

    def __init__(
        self,
        starter: Starter,
        *,
        runtime: Runtime,
        processes_max: int,
        cores: int,
        refusal: str | None = None,
    ) -> None:
        """
        processes_max   of all apps together
        refusal         why no functions run here; None: they do
        """
        self.counts: WorkerCounts = starter.counts
        self._starter = starter
        self._runtime = runtime
        self._processes_max = processes_max
        self._cores = min(cores, limits.PROCESSES_OF_APP_MAX)
        self._refusal = refusal
        self._pools: dict[_Key, Pool] = {}
        self._uses: dict[tuple[str, bool], _Use] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._watching: asyncio.Task[None] | None = None
        self._checks = asyncio.Semaphore(limits.CHECKS_MAX)
        self._is_closed = False
        self._is_dealing = False
        self._starts = 0

    @property
    def running(self) -> int:
        """Processes with an app."""
        return sum(len(pool.processes) for pool in self._pools.values())

    @property
    def by_state(self) -> dict[str, int]:
        """How many processes with an app are in each state."""
        found = {state.value: 0 for state in (State.LOADING, State.OPEN, State.DRAINING)}
        for pool in self._pools.values():
            found[State.LOADING.value] += pool.loading + pool.loading_alone
            for process in pool.processes:
                if process.state.value in found:
                    found[process.state.value] += 1
        return found

    @property
    def waiting(self) -> int:
        """Calls that wait."""
        in_pools = sum(pool.waiting for pool in self._pools.values())
        return in_pools + sum(use.waiting for use in self._uses.values())

    @property
    def holds_nothing(self) -> bool:
        """Whether no call is under way or waits."""
        return not self._uses

    # --- what others ask --------------------------------------------------------------------------

    async def call(self, app: AppCode, call: CallRequest, side: CallSide) -> frames.Done:
        """Run a function to its end.

        returns  what it returned, with the steps that it did not tell `side` yet
        raises   CallFailed for what it raised; Unavailable("function-timeout", "worker-lost",
                 "functions-broken", "functions-off", "overloaded"), FunctionFailed(
                 "function-crashed", "function-memory"), LimitExceeded("call-too-big"); what
                 `side.draft`, `sub` and `sub_end` raise
        """
        self._expect_on()
        expect_args_fit(call)
        key = (app.app_id, call.is_pure)
        use = await self._admit(key)
        try:
            return await self._run(app, call, side)
        finally:
            self._leave(key, use)

    async def check(
        self, path: str, env: dict[str, str], packages: Path | None = None
    ) -> frames.Ready | frames.Broken:
        """Load a bundle in a process of its own, which then ends. raises   Unavailable"""
        self._expect_on()
        async with self._checks:
            return await self._starter.check(path, env, packages)

    def drop(self, app_id: str) -> None:
        """Let the processes of an app end, when the calls that they have are done."""
        for pool in self._pools.values():
            if pool.code.app_id == app_id:
                self._retire(pool)
        self._deal()

    async def close(self) -> None:
        """End everything. Calls under way end with their processes."""
        self._is_closed = True
        stopping = Unavailable("overloaded", "The server is stopping.")
        for pool in list(self._pools.values()):
            pool.fail_waiting(stopping)
            for process in list(pool.processes):
                process.kill("the server stops")
        if self._watching is not None:
            self._watching.cancel()
        for task in self._tasks:
            task.cancel()
        waited = [*self._tasks, *([] if self._watching is None else [self._watching])]
        if waited:
            await asyncio.wait(waited)
        await self._starter.close()

    # --- a call -----------------------------------------------------------------------------------

    def _expect_on(self) -> None:
        if self._refusal is not None:
            raise Unavailable("functions-off", self._refusal)
        if self._is_closed:
            raise Unavailable("overloaded", "The server is stopping.")

    async def _admit(self, key: tuple[str, bool]) -> _Use:
        """Wait until it is within the calls that an app may have under way; in order. `_leave` must
        follow.

        key   the app, and whether it is a query or mutation
        """
        use = self._uses.setdefault(key, _Use())
        is_full = use.turns.locked()
        if is_full and use.waiting >= limits.CALLS_WAITING_MAX:
            self.counts.refused += 1
            message = f"{limits.CALLS_WAITING_MAX} calls of this app wait already."
            raise Unavailable("overloaded", message)
        use.waiting += 1
        try:
            if is_full:
                async with self._in_time():
                    await use.turns.acquire()
            else:
                await use.turns.acquire()  # at once
            use.under_way += 1
        finally:
            use.waiting -= 1
            self._forget(key, use)
        return use

    def _leave(self, key: tuple[str, bool], use: _Use) -> None:
        use.turns.release()
        use.under_way -= 1
        self._forget(key, use)

    def _forget(self, key: tuple[str, bool], use: _Use) -> None:
        if not (use.waiting or use.under_way):
            self._uses.pop(key, None)

    @contextlib.asynccontextmanager
    async def _in_time(self) -> AsyncIterator[None]:
        """Within the time that a call may wait for a turn."""
        try:
            async with asyncio.timeout(limits.WAIT_MS / 1000):
                yield
        except TimeoutError:
            self.counts.refused += 1
            raise Unavailable("overloaded", "No worker was free in time.") from None

    async def _run(self, app: AppCode, call: CallRequest, side: CallSide) -> frames.Done:
        suspected = 0
        for attempt in range(limits.STARTS_OF_CALL_MAX):
            if attempt:
                self.counts.again += 1
                await side.restart()
            process = await self._place(app, call, is_alone=suspected > 0 or call.is_isolated)
            self.counts.calls += 1
            outcome = await process.run(call, side)
            if isinstance(outcome, Lost):
                if outcome.guilt in (Guilt.DEATH, Guilt.HELD):
                    now_ms = self._runtime.monotonic_ms()
                    self._pool_of(app, call).note_danger(call.function, now_ms)
                self._expect_again(call, outcome)
                suspected += outcome.guilt is not Guilt.NONE
                if suspected >= limits.DEATHS_MAX:
                    message = f"{call.function} ended its process, twice: {outcome.reason}."
                    raise FunctionFailed("function-crashed", message, {"function": call.function})
                continue
            return self._result(call, outcome)
        self.counts.refused += 1
        raise Unavailable("overloaded", "Other calls ended the process of this one, many times.")

    def _expect_again(self, call: CallRequest, lost: Lost) -> None:
        """raises   what a call becomes that does not begin again"""
        hint = {"function": call.function}
        if self._is_closed:
            raise Unavailable("overloaded", "The server is stopping.")
        if lost.guilt is Guilt.HELD:
            self.counts.timeouts += 1
            message = f"{call.function} held its worker for too long: {lost.reason}."
            raise Unavailable("function-timeout", message, hint)
        if not call.is_pure:
            message = f"The worker of {call.function} ended: {lost.reason}."
            raise Unavailable("worker-lost", message, hint)

    def _result(
        self, call: CallRequest, outcome: frames.Done | frames.Fail | Expired
    ) -> frames.Done:
        if isinstance(outcome, frames.Done):
            return outcome
        failure = failure_of(call, outcome)
        self.counts.timeouts += failure.code == "function-timeout"
        raise failure

    async def _place(self, app: AppCode, call: CallRequest, *, is_alone: bool) -> Process:
        """A process that has promised a place. Waits for it."""
        pool = self._pool_of(app, call)
        now_ms = self._runtime.monotonic_ms()
        if pool.is_broken(now_ms):
            raise broken(pool.errors)
        is_alone = is_alone or (pool.is_pure and pool.is_dangerous(call.function, now_ms))
        if not is_alone and not pool.line:
            process = pool.find(is_alone=False)
            if process is not None:
                process.promise()
                if pool.wants() is not None:
                    self._deal()
                return process
        waiter = Waiter(is_alone, asyncio.get_running_loop().create_future())
        (pool.alone_line if is_alone else pool.line).append(waiter)
        try:
            self._deal()
            async with self._in_time():
                return await waiter.place
        except BaseException:
            place = waiter.place
            if place.done() and not place.cancelled() and place.exception() is None:
                place.result().release()
            place.cancel()
            raise

    # --- pools ------------------------------------------------------------------------------------

    def _pool_of(self, app: AppCode, call: CallRequest) -> Pool:
        """The pool for a call. Those of older versions end."""
        is_pure = call.is_pure
        key = (app.app_id, app.version, is_pure)
        pool = self._pools.get(key)
        if pool is None:
            pool = self._pools[key] = Pool(app, is_pure, self._cores)
            for each in self._pools.values():
                if each.code.app_id == app.app_id and each.code.version < app.version:
                    self._retire(each)
        return pool

    def _retire(self, pool: Pool) -> None:
        pool.is_old = True
        for process in list(pool.processes):
            process.drain()

    def _deal(self) -> None:
        """Give places to those who wait, and start what is missing; again when anything changes."""
        if self._is_closed:
            return
        now_ms = self._runtime.monotonic_ms()
        for pool in list(self._pools.values()):
            pool.serve()
        for key, pool in sorted(self._pools.items(), key=lambda pair: pair[1].start_number):
            wanted = pool.wants()
            if wanted is not None and self._make_room(pool):
                # Counted here: before its task begins, more calls may ask what is missing.
                pool.loading_alone += wanted
                pool.loading += not wanted
                self._starts += 1
                pool.start_number = self._starts
                self._spawn(self._start(pool, is_alone=wanted))
            elif pool.is_needless(now_ms):
                self._pools.pop(key, None)

    def _make_room(self, pool: Pool) -> bool:
        """Whether one more process may be started for this pool. Else one ends, if it can.

        Actions get half of the processes: they may take an hour, and wait for queries and
        mutations. Where one process is all there may be, each kind has one.
        """
        everyone = [(each, process) for each in self._pools.values() for process in each.processes]
        if not pool.is_pure and self._has_many_acting():
            everyone = [pair for pair in everyone if not pair[0].is_pure]
        elif self._has_room(pool):
            return True
        idle = [process for _, process in everyone if process.load_of_calls == 0]
        if idle:
            min(idle, key=lambda each: each.idle_since_ms).kill("another app needs its place")
            return self._has_room(pool) and (pool.is_pure or not self._has_many_acting())
        has_none = not any(process.state is State.OPEN for process in pool.processes)
        quick = [pair for pair in everyone if pair[0].is_pure] or everyone
        is_draining = any(process.state is State.DRAINING for _, process in quick)
        if quick and has_none and not is_draining:
            # Every process is busy, and this app has none: the one that served most makes room.
            most = max(quick, key=lambda pair: (len(pair[0].processes), pair[1].begun))
            most[1].drain()
        return False

    def _has_room(self, pool: Pool) -> bool:
        loading = sum(each.loading + each.loading_alone for each in self._pools.values())
        most = max(self._processes_max, 2) if self._has_other_kind(pool) else self._processes_max
        return self.running + loading < most

    def _has_other_kind(self, pool: Pool) -> bool:
        return any(
            each.has_processes for each in self._pools.values() if each.is_pure != pool.is_pure
        )

    def _has_many_acting(self) -> bool:
        acting = [each for each in self._pools.values() if not each.is_pure]
        count = sum(len(each.processes) + each.loading + each.loading_alone for each in acting)
        return count >= max(self._processes_max // 2, 1)

    async def _start(self, pool: Pool, *, is_alone: bool) -> None:
        """One more process for a pool, which is counted as loading."""
        try:
            in_use = {key[0] for key, each in self._pools.items() if each.has_processes}
            process, outcome = await self._starter.start(
                pool.code, is_pure=pool.is_pure, in_use=in_use
            )
        except TriceError as failure:
            pool.fail_waiting(failure)
            return
        except Exception:
            logger.exception("a worker could not be started")
            pool.fail_waiting(Unavailable("overloaded", "No worker can be started."))
            return
        finally:
            pool.loading_alone -= is_alone
            pool.loading -= not is_alone
        if isinstance(outcome, frames.Broken):
            self._note_broken(pool, outcome)
        else:
            pool.failed_loads = 0
            self._add(pool, process, is_alone=is_alone)
        self._deal()

    def _note_broken(self, pool: Pool, outcome: frames.Broken) -> None:
        self.counts.broken += 1
        pool.failed_loads += 1
        pool.failed_ms = self._runtime.monotonic_ms()
        pool.errors = outcome.errors
        if pool.failed_loads >= limits.LOADS_MAX:
            pool.fail_waiting(broken(pool.errors))

    def _add(self, pool: Pool, process: Process, *, is_alone: bool) -> None:
        process.is_alone = is_alone
        pool.processes.append(process)

        def changed() -> None:
            if process.state is State.ENDED and process in pool.processes:
                pool.processes.remove(process)
                self.counts.killed += process.was_killed
                self.counts.died += not process.was_killed
            self._deal_soon()

        process.on_change = changed
        if process.state is State.ENDED:
            changed()
        if pool.is_old or self._is_closed:
            pool.serve()  # it was started for those who waited when newer code came
            process.drain()
        if self._watching is None and not self._is_closed:
            self._watching = asyncio.create_task(self._watch())

    def _deal_soon(self) -> None:
        if not self._is_dealing:
            self._is_dealing = True
            asyncio.get_running_loop().call_soon(self._deal_now)

    def _deal_now(self) -> None:
        self._is_dealing = False
        self._deal()

    def _spawn(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    # --- watching ---------------------------------------------------------------------------------

    async def _watch(self) -> None:
        """Look at all processes, until there were none for function_limits.IDLE_MS."""
        was_late = False
        used_ms = began_ms = self._runtime.monotonic_ms()
        while began_ms - used_ms < limits.IDLE_MS:
            began_ms = self._runtime.monotonic_ms()
            used_ms = began_ms if self.running else used_ms
            await self._runtime.sleep_ms(limits.WATCH_MS)
            now_ms = self._runtime.monotonic_ms()
            if began_ms + limits.SILENT_MS < now_ms and not was_late:
                was_late = True  # this loop stood still: answers that came are read first
                continue
            was_late = False
            for pool in list(self._pools.values()):
                for process in list(pool.processes):
                    process.watch(now_ms)
                    if process.load_of_calls == 0:
                        self._look_idle(pool, process, now_ms)
        self._watching = None
        self._starter.rest()
        self._deal()

    def _look_idle(self, pool: Pool, process: Process, now_ms: float) -> None:
        """End a process that has nothing to do, or did enough."""
        idle_ms = now_ms - process.idle_since_ms
        if idle_ms >= limits.IDLE_MS:
            process.kill("it has nothing to do")
        elif process.is_alone and not pool.alone_line:
            process.is_alone = False  # one like the others from now on
            self._deal_soon()
        elif process.is_worn():
            process.drain()
