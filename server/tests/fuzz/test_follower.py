"""A follower of the log keeps live answers as the process does that writes. Seeds are printed."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence
from pathlib import Path

import orjson
import pytest

from support.follower import Follower, FollowingEngine, encoded_commit
from support.live_world import Asked, LiveWorld, remember, schema_change, shown
from support.queries import Cursors, Query
from support.visibilities import random_eyes
from support.world import make_world, random_transaction
from trice import limits
from trice.identity import ADMIN
from trice.live.live_query import Question
from trice.protocol.ids import TxId
from trice.store.commit import Commit

FOLLOWING = Path(__file__).parent / "following_process.py"
SEEDS = range(12)
ROUNDS = 40


def compare(first: LiveWorld, second: LiveWorld, story: str) -> None:
    """Both tell the same of what both watch."""
    theirs = {asked.question: asked for asked in second.asked}
    for asked in first.asked:
        mine, other = asked.live, theirs[asked.question].live
        assert mine is not None and other is not None, story
        if mine.answer is None:
            assert other.answer is None, f"{story}: {asked.query}"
            continue
        assert other.answer is not None, f"{story}: {asked.query}"
        assert shown(other.answer, asked) == shown(mine.answer, asked), f"{story}: {asked.query}"


async def ask_both(first: LiveWorld, second: LiveWorld, cursors: Cursors) -> None:
    eyes = first.world.random.choice((None, random_eyes(first.world)))
    before = len(first.asked)
    await first.ask(cursors, eyes)
    for asked in first.asked[before:]:
        await second.watch(Asked(asked.query, asked.eyes, asked.question))


async def history(seed: int, path: Path, *, schema_changes: float = 0.1) -> None:
    world = make_world(seed)
    draw = world.random
    written: list[bytes] = []

    def note(commits: Sequence[Commit]) -> None:
        written.extend(map(encoded_commit, commits))

    first = LiveWorld(world, path)
    first.engine.on_commits(note)
    following = FollowingEngine(path)
    second = LiveWorld(world, path, following=following)
    rebuilt: list[bytes] = []
    cursors: Cursors = {}
    first.live.start()
    second.live.start()
    try:
        await first.fill()
        rebuilt += map(encoded_commit, following.catch_up())
        for _ in range(12):
            await ask_both(first, second, cursors)
        for number in range(ROUNDS):
            steps = [
                schema_change(world)
                if draw.random() < schema_changes
                else random_transaction(world)
                for _ in range(draw.choice((1, 1, 2, 5)))
            ]
            await asyncio.gather(*map(first.transact, steps))
            rebuilt += map(encoded_commit, following.catch_up())
            await asyncio.gather(first.live.settled(), second.live.settled())
            assert rebuilt == written, f"seed {seed}, round {number}"
            compare(first, second, f"seed {seed}, round {number}")
            remember(first, cursors)
            if draw.random() < 0.1:
                await ask_both(first, second, cursors)
        # Whoever comes later reads the same, wherever he begins.
        after = TxId(draw.randrange(len(written)))
        late = Follower(path, after=after)
        assert [*map(encoded_commit, late.read())] == written[after:], f"seed {seed}, from {after}"
        late.close()
    finally:
        await second.close()
        await first.close()


@pytest.mark.rule("S200", "S201")
@pytest.mark.parametrize("seed", SEEDS)
def test_a_follower_keeps_answers_as_the_writer_does(seed: int, tmp_path: Path) -> None:
    asyncio.run(history(seed, tmp_path / "app.db"))


@pytest.mark.rule("S202")
@pytest.mark.parametrize("seed", SEEDS)
def test_cells_left_out_are_found(
    seed: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "TX_LOG_SAME_BYTES_MAX", 0)
    monkeypatch.setattr("trice.store.log_format.SHORT_BYTES", 16)
    asyncio.run(history(seed, tmp_path / "app.db", schema_changes=0))


FORMS: list[Query] = [{}, {"$": {"order": {"serverCreatedAt": "desc"}, "limit": 3}}]


@pytest.mark.rule("S201")
async def test_a_second_process_follows(tmp_path: Path) -> None:
    path = tmp_path / "app.db"
    world = make_world(1)
    queries = [{etype: form} for etype in world.etypes for form in FORMS]
    stage = LiveWorld(world, path)
    stage.live.start()
    await stage.fill()
    child = await asyncio.create_subprocess_exec(
        sys.executable,
        str(FOLLOWING),
        str(path),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        limit=2**24,
    )
    assert child.stdin is not None and child.stdout is not None
    for source in queries:
        question = Question.of(source, identity=ADMIN, rights="x", shape="flat")
        await stage.watch(Asked(source, None, question))
    patched = 0
    for number in range(10):
        child.stdin.write(orjson.dumps(queries if number == 0 else []) + b"\n")
        tx, patched, answers = orjson.loads(await child.stdout.readline())
        assert tx == stage.engine.tx
        mine = [
            shown(asked.live.answer, asked)
            for asked in stage.asked
            if asked.live is not None and asked.live.answer is not None
        ]
        assert answers == mine, f"round {number}"
        for _ in range(5):
            await stage.transact(random_transaction(world))
        await stage.live.settled()
    assert patched, "it had no commit to apply"
    child.stdin.close()
    assert await child.wait() == 0
    await stage.close()
