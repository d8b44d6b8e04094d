"""Clients that apply deltas and resume, held against fresh runs after every commit.

`TRICE_FUZZ_SECONDS` makes it go on with new seeds for that long; without it a fixed set is run.
A failure names its seed.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from pathlib import Path
from typing import Any

import orjson
import pytest

from support.aggregates import random_aggregate
from support.delta_client import DeltaClient, content
from support.engines import open_apps
from support.queries import Cursors, random_query
from support.runtime import FakeRuntime
from support.seeds import seeds
from support.world import World, make_world, random_transaction, schema_steps, seed_steps
from trice import limits
from trice.apps.apps import App
from trice.auth.tokens import mint_token
from trice.errors import TriceError
from trice.identity import ADMIN
from trice.session.hub import Hub

GROUPS = 2
COMMITS = 40

USERS = ("e3000000-0000-4000-8000-000000000001", "e3000000-0000-4000-8000-000000000002")


def random_rules(world: World) -> dict[str, Any] | None:
    """What guests and users may see of each namespace, fields included."""
    draw = world.random
    if draw.random() < 0.3:
        return None
    rules: dict[str, Any] = {}
    for etype in world.etypes:
        labels = [attr["forward-identity"][2] for attr in world.fields(etype)]
        tests = ["true", "auth.id != null", f"data.id != '{draw.choice(world.ids[etype])}'"]
        tests += [f"data.{label} != '{draw.choice(('a1', '10'))}'" for label in labels]
        tests += [f"data.{label} != null" for label in labels]
        rules[etype] = {"allow": {"view": draw.choice(tests)}}
        if labels and draw.random() < 0.4:
            rules[etype]["fields"] = {draw.choice(labels): draw.choice(tests[1:])}
    return rules


class Story:
    """One random history: an app, clients at different speeds, what they ask."""

    def __init__(self, seed: int, hub: Hub, app: App, runtime: FakeRuntime) -> None:
        self.seed = seed
        self.world = make_world(seed)
        self.draw = random.Random(seed)
        self.hub, self.app, self.runtime = hub, app, runtime
        self.clients: list[DeltaClient] = []
        self.tokens: dict[int, str] = {}
        self.cursors: Cursors = {}
        self.compared = 0

    async def commit(self, steps: list[Any]) -> None:
        self.runtime.advance(1)
        try:
            await self.app.database.transact(steps, identity=ADMIN)
        except TriceError:
            return

    async def begin(self) -> None:
        await self.commit(schema_steps(self.world))
        for steps in seed_steps(self.world):
            await self.commit(steps)
        await self.hub.apps.set_rules(self.app.id, random_rules(self.world))
        queries = [random_query(self.world, self.cursors) for _ in range(6)]
        queries.append(random_aggregate(self.world))
        features = (("delta", "resume"),) * 4 + (("delta",), ("resume",))
        for number, names in enumerate(features):
            client = DeltaClient(self.hub, names)
            self.clients.append(client)
            if number in (1, 2):
                self.tokens[number] = await self.sign_in(USERS[number - 1])
            for q in self.draw.sample(queries, 4):
                client.asked[orjson.dumps(q)] = q
            await self.connect(number)

    async def sign_in(self, user: str) -> str:
        def work(change: Any) -> str:
            change.write(["update", "$users", user, {"email": f"{user}@x"}])
            return mint_token(change, user, runtime=self.runtime)

        return await self.app.database.change(work)

    async def connect(self, number: int) -> None:
        """(Re)connect, and ask everything again in any order, naming what is held."""
        client = self.clients[number]
        fields = {"refresh_token": self.tokens[number]} if number in self.tokens else {}
        opened = await client.connect(self.app.id, **fields)
        assert opened["trice"]["features"] == list(client.features)
        asked = list(client.asked.values())
        self.draw.shuffle(asked)
        for q in asked:
            client.ask(q)

    async def step(self) -> None:
        number = self.draw.randrange(len(self.clients))
        client = self.clients[number]
        await self.commit(random_transaction(self.world))
        match self.draw.choice(("go", "go", "go", "slow", "again", "write", "rules", "ask")):
            case "slow":
                client.wire.backlog = limits.OUTBOX_REFRESH_BYTES_MAX
            case "again":
                client.take_in()
                client.wire.hang_up()
                for _ in range(self.draw.choice((0, 1, 3))):
                    await self.commit(random_transaction(self.world))
                if number in self.tokens and self.draw.random() < 0.3:
                    # Somebody else on the same device: what it holds is compared with their view.
                    self.tokens[number] = self.tokens[3 - number]
                await self.connect(number)
            case "write":
                await client.write(random_transaction(self.world))
            case "rules" if self.draw.random() < 0.4:
                await self.hub.apps.set_rules(self.app.id, random_rules(self.world))
            case "ask":
                client.take_in()
                client.ask(self.draw.choice(list(client.asked.values())))
        for other in self.clients:
            if other.wire.backlog and self.draw.random() < 0.3:
                other.wire.backlog = 0
                other.wire.session.on_writable()

    async def check(self) -> None:
        """Whoever keeps up shows what a fresh run answers."""
        database = self.app.database
        for _ in range(4):
            await database.live.settled()
            await asyncio.sleep(0)
        for client in self.clients:
            if client.wire.backlog:
                continue
            client.take_in()
            for key, q in client.asked.items():
                story = f"seed {self.seed}, {client.features}: {key.decode()}"
                identity = client.wire.session.opened.identity
                try:
                    answer = await database.query_flat(q, identity=identity)
                except TriceError as failure:
                    assert client.errors[key]["type"] == failure.code, story
                    continue
                assert key not in client.errors, f"{client.errors.get(key)} {story}"
                triples, data = content(orjson.loads(answer.result_json))
                shown, shown_data = client.shown(q)
                assert shown - set(triples) == set(), f"too much: {story}"
                assert set(triples) - shown == set(), f"too little: {story}"
                assert shown_data == data, story
                assert answer.names == names_of(client, key), f"another name: {story}"
                self.compared += 1


def names_of(client: DeltaClient, key: bytes) -> bytes:
    """How the session named the answer that a client holds."""
    query_id = client.query_ids[key]
    version = client.answers[query_id].version
    return f'"query-id":"{query_id}","version":"{version}"'.encode()


async def history(seed: int, path: Path) -> Counter[str]:
    """Play one seed; returns how often clients were told in which form."""
    runtime = FakeRuntime(seed=seed)
    apps = await open_apps(path, runtime=runtime, is_open_by_default=True)
    hub = Hub(apps=apps, runtime=runtime)
    app, _ = await apps.create(title="test", is_open=True)
    story = Story(seed, hub, app, runtime)
    try:
        await story.begin()
        await story.check()
        for _ in range(COMMITS):
            await story.step()
            await story.check()
    except Exception as failure:
        failure.add_note(f"seed {seed}")
        raise
    finally:
        hub.stop()
        await apps.close()
    forms: Counter[str] = Counter()
    for client in story.clients:
        forms.update(client.forms)
    return forms + Counter(compared=story.compared)


@pytest.mark.rule("L43", "P77", "P78", "P80", "P83", "P85", "P87")
@pytest.mark.parametrize("group", range(GROUPS))
def test_clients_of_deltas_hold_what_a_fresh_run_answers(group: int, tmp_path: Path) -> None:
    forms: Counter[str] = Counter()
    for seed in seeds(range(8000, 8006), group=group, groups=GROUPS):
        forms += asyncio.run(history(seed, tmp_path / str(seed)))
    assert min(forms["full"], forms["delta"], forms["same"]) > 50, forms
