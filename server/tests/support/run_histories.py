"""Random functions that run at once on one database, and a check that they could have run one after
the other: every run is carried out again alone, on dictionaries, where it stands in the history.

Which task goes on, and how long a COMMIT takes, a seed decides: the writer's thread is played on
the loop (`PlayedThread`).
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson

from support.run_model import (
    ALL,
    KINDS,
    SCHEMA,
    TAGS,
    Action,
    World,
    carry_out,
    make_program,
    plain,
    question,
    step_of,
)
from support.runtime import FakeRuntime
from trice.data_run import Committed, DataRun, Stale
from trice.database import Database
from trice.errors import TriceError
from trice.identity import ADMIN
from trice.protocol.ids import EventId
from trice.rules.document import Rules
from trice.store.engine import Turn
from trice.store.sqlite.engine import SqliteEngine

TRIES = 3


class Violation(AssertionError):
    """No order of the committed runs explains what one of them read."""


@dataclass
class Attempt:
    """One try of a program: its snapshot, its answers (None is a refusal)."""

    program: list[Action]
    snapshot: int
    answers: list[Any] = field(default_factory=list)


@dataclass
class Counts:
    """What happened, so that a test can see that something did."""

    committed: int = 0
    stale: int = 0
    turns: int = 0
    refused: int = 0
    replayed: int = 0
    unchanged: int = 0
    schemas: int = 0


@dataclass
class History:
    """Histories one after the other on one database.

    written   by transaction: what it does to the data
    world     the data as of the last transaction that was checked
    """

    database: Database
    draw: random.Random
    story: str
    counts: Counts
    world: World = field(default_factory=World)
    checked: int = 0
    serial: int = 0
    written: dict[int, Attempt | Callable[[World], None]] = field(default_factory=dict)
    attempts: list[Attempt] = field(default_factory=list)
    replayed: list[Committed] = field(default_factory=list)

    async def play(self) -> None:
        """A few tasks at once, then the check."""
        self.serial += 1
        tasks: list[Any] = []
        repeated = make_program(self.draw) if self.draw.random() < 0.2 else None
        for number in range(self.draw.randint(2, 6)):
            if repeated is not None and number < 2:
                tasks.append(self._call(repeated, f"again{self.serial}"))
            elif self.draw.random() < 0.1:
                tasks.append(self._change_schema())
            elif self.draw.random() < 0.15:
                tasks.append(self._client())
            else:
                tasks.append(self._call(make_program(self.draw), f"{self.serial}.{number}"))
        for result in await asyncio.gather(*tasks, return_exceptions=True):
            if isinstance(result, BaseException):
                raise result
        self.check()
        if self.draw.random() < 0.3:  # reads choose where the next COMMITs run
            await self._check_state()

    async def _pause(self, turns: int) -> None:
        for _ in range(self.draw.randint(0, turns)):
            await asyncio.sleep(0)

    # --- tasks ---------------------------------------------------------------------------------

    async def _call(self, program: list[Action], event_id: str) -> None:
        """Run a function until it commits, as a server does."""
        await self._pause(6)
        for _ in range(self.draw.choice((1, TRIES))):
            if await self._try(program, event_id, None):
                return
            self.counts.stale += 1
        turn = await self.database.engine.take_turn(lasts_ms=100)
        self.counts.turns += 1
        try:
            is_done = await self._try(program, event_id, turn)
            assert is_done or not turn.is_held, f"{self.story}: stale with the turn"
        finally:
            turn.end()

    async def _try(self, program: list[Action], event_id: str, turn: Turn | None) -> bool:
        is_late = turn is None and self.draw.random() < 0.5
        run = await DataRun.begin(self.database, turn=turn, is_late=is_late)
        attempt = Attempt(program, run.tx)
        self.attempts.append(attempt)
        try:
            await self._act(run, attempt, attempt.program)
            value = orjson.dumps(repr(attempt.answers))
            done = await run.commit(
                event_id=EventId(event_id), function="f.g", identity_name="admin", value=value
            )
        except Stale:
            return False
        except TriceError as failure:
            assert failure.code != "unknown", failure.__cause__
            self.counts.refused += 1
            return True
        finally:
            attempt.snapshot = run.tx
            run.close()
        self._note(attempt, done, value, is_writing=run.has_writes)
        return True

    async def _act(self, run: DataRun, attempt: Attempt, program: list[Action]) -> None:
        for action in program:
            match action:
                case "read", read:
                    try:
                        answer = orjson.loads(await run.read(question(read)))
                    except TriceError as failure:
                        assert failure.code != "unknown", failure.__cause__
                        attempt.answers.append(None)
                        raise
                    attempt.answers.append(plain(read, answer))
                case "write", write:
                    run.draft([step_of(write, attempt.answers)])
                case ("sub",):
                    run.sub()
                case "end", is_kept:
                    run.sub_end(is_kept)
                case "try", tried:
                    run.sub()
                    try:
                        await self._act(run, attempt, tried)
                    except TriceError:
                        run.sub_end(False)
                    else:
                        run.sub_end(True)
                case "pause", turns:
                    await self._pause(turns)
                case _:
                    raise AssertionError(action)

    def _note(self, attempt: Attempt, done: Committed, value: bytes, *, is_writing: bool) -> None:
        if done.is_replay:
            self.counts.replayed += 1
            self.replayed.append(done)
        elif is_writing:
            self.counts.committed += 1
            assert done.tx not in self.written, f"{self.story}: two runs are transaction {done.tx}"
            self.written[done.tx] = attempt
        else:
            self.counts.unchanged += 1
            assert done.tx == attempt.snapshot and done.value == value

    async def _client(self) -> None:
        """A transaction of a client, which reads nothing."""
        await self._pause(8)
        # A client's transaction would add `extra` where it is missing.
        made = [one for one in make_program(self.draw) if one[0] == "write"]
        program = [one for one in made if "extra" not in one[1]][:2]
        steps = [step_of(write, []) for _, write in program]
        if not steps or len({step[0] for step in steps}) > 1 or steps[0][0] == "delete":
            return
        tx = await self._transact(steps)
        if tx is not None:
            self.written[tx] = Attempt(program, tx - 1)

    async def _change_schema(self) -> None:
        """Take `extra` from accounts with its values, or add it anew."""
        await self._pause(8)
        attr = self.database.catalog.find_forward("accounts", "extra")
        if attr is not None:
            tx = await self._transact([["delete-attr", attr.id]])
            if tx is not None:
                self.written[tx] = _without_extra
        else:
            tx = await self._transact([["update", "accounts", TAGS[0], {"extra": 1}]])
            if tx is not None:
                self.written[tx] = _with_extra
        self.counts.schemas += 1

    async def _transact(self, steps: list[Any]) -> int | None:
        try:
            return await self.database.transact_admin(steps, identity=ADMIN)
        except TriceError:
            return None

    # --- the check -----------------------------------------------------------------------------

    def check(self) -> None:
        """Carry out in order, alone, what was committed; every attempt at its snapshot too."""
        for done in self.replayed:
            first = self.written[done.tx]
            assert isinstance(first, Attempt), f"{self.story}: a replay of nothing"
            if done.value != orjson.dumps(repr(first.answers)):
                raise Violation(f"{self.story}: a replay got another value")
        by_snapshot: dict[int, list[Attempt]] = {}
        for attempt in self.attempts:
            by_snapshot.setdefault(attempt.snapshot, []).append(attempt)
        world = self.world
        for tx in range(self.checked, self.database.tx + 1):
            if tx > self.checked:
                world = self._after(tx, world)
            for attempt in by_snapshot.pop(tx, ()):
                self._compare(attempt, world, f"at its snapshot {tx}")
        assert not by_snapshot, f"{self.story}: snapshots of no transaction: {by_snapshot}"
        self.world, self.checked = world, self.database.tx
        self.written.clear()
        self.attempts.clear()
        self.replayed.clear()

    async def _check_state(self) -> None:
        """What everybody reads now is what the transactions one after the other came to."""
        for read in (*(("kind", kind) for kind in (*KINDS, None)), ("count", 0), ("least", 0)):
            source = question(read) if read[1] is not None else ALL
            told = orjson.loads(
                await self.database.query_nested(source, identity=ADMIN, is_inferring=True)
            )
            if plain(read, told) != self.world.read(read):
                raise Violation(f"{self.story}: {read} {plain(read, told)} {self.world.read(read)}")

    def _after(self, tx: int, world: World) -> World:
        written = self.written[tx]
        if not isinstance(written, Attempt):
            world = world.copy()
            written(world)
            return world
        if written in self.attempts:
            self._compare(written, world, f"as transaction {tx}")
        after, _, is_accepted = carry_out(written.program, world)
        if not is_accepted:
            raise Violation(f"{self.story}: transaction {tx} cannot have been written")
        return after

    def _compare(self, attempt: Attempt, world: World, where: str) -> None:
        _, answers, _ = carry_out(attempt.program, world)
        told = attempt.answers
        # A run that was refused at its commit has read everything.
        if told != answers[: len(told)]:
            raise Violation(
                f"{self.story} {where}:\n  {attempt.program}\n  told  {told}\n  alone {answers}"
            )


def _without_extra(world: World) -> None:
    world.has_extra = False
    for row in world.accounts.values():
        row.pop("extra", None)


def _with_extra(world: World) -> None:
    world.has_extra = True
    world.accounts.setdefault(TAGS[0], {})["extra"] = 1


class PlayedThread:
    """What a writer's thread does, on the loop: each call takes some turns of it."""

    def __init__(self, draw: random.Random) -> None:
        self._draw = draw

    def submit(self, call: Callable[[], None]) -> None:
        loop = asyncio.get_running_loop()

        def later(turns: int) -> None:
            if turns:
                loop.call_soon(later, turns - 1)
            else:
                call()

        later(self._draw.choice((0, 0, 1, 3, 8)))

    def finish(self) -> None:
        """Nothing runs beside the loop."""


async def play_histories(seed: int, path: Path, *, count: int, draw: random.Random) -> Counts:
    """Histories on a database of its own.

    raises   Violation
    """
    runtime = FakeRuntime(seed=seed)
    database = await Database.open(
        lambda attrs: SqliteEngine.open(
            path, runtime=runtime, system_attrs=attrs, apart=PlayedThread(draw)
        ),
        runtime=runtime,
        rules=Rules.parse(None),
        schema=SCHEMA,
    )
    counts = Counts()
    try:
        first = await database.transact_admin(
            [["create", "tags", tag, {}] for tag in TAGS], identity=ADMIN
        )
        history = History(database, draw, f"seed {seed}", counts, checked=first)
        for _ in range(count):
            await history.play()
    finally:
        await database.close()
    return counts
