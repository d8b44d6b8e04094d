"""Follows an app that another process writes: `following_process.py FILE`.

Each line it is sent is a JSON array of queries to watch besides the earlier ones; then it catches
up, and answers with a line: its last transaction, and what each query shows.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import orjson

from support.follower import FollowingEngine
from support.live_world import Asked, LiveWorld, shown
from support.world import make_world
from trice.identity import ADMIN
from trice.live.live_query import Question


async def main(path: str) -> None:
    following = FollowingEngine(Path(path))
    stage = LiveWorld(make_world(0), Path(path), following=following)
    stage.live.start()
    for line in sys.stdin:
        following.catch_up()
        for source in orjson.loads(line):
            question = Question.of(source, identity=ADMIN, rights="x", shape="flat")
            await stage.watch(Asked(source, None, question))
        await stage.live.settled()
        answers = []
        for asked in stage.asked:
            assert asked.live is not None and asked.live.answer is not None
            answers.append(shown(asked.live.answer, asked))
        patched = stage.live.counts.patched
        sys.stdout.write(orjson.dumps([following.tx, patched, answers]).decode() + "\n")
        sys.stdout.flush()
    await stage.close()


asyncio.run(main(sys.argv[1]))
