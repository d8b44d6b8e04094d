"""One scene with everything that live answers go through at once, compared with fresh runs.

A random app changes its random data, rules, schema and users, in groups of commits. Clients take
deltas, fall behind, come back and resume, also after a restart; others watch nested answers. There
are pages, conditions and totals, and limits so tight that caches are dropped. After every group
each answer of each caller must equal a fresh run for that caller.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson

from support.aggregates import random_aggregate
from support.delta_client import DeltaClient
from support.engines import open_apps
from support.fresh_runs import FreshRuns
from support.live_world import schema_change
from support.patience import patient
from support.queries import Query, random_query
from support.ruled_world import NICKS, SCHEMA, random_document
from support.runtime import FakeRuntime
from support.world import World, make_world, random_transaction, schema_steps, seed_steps
from trice import limits
from trice.auth.tokens import mint_token
from trice.database import Database
from trice.errors import TriceError
from trice.identity import ADMIN, GUEST, Identity
from trice.live.live_query import LiveQuery, query_key
from trice.protocol.ids import EntityId
from trice.query.encode import nested_result
from trice.session.hub import Hub

ROUNDS = 80
GROUPS = (1, 1, 2, 4, 8, 16)
"""How many transactions come between two checks."""

SEED_S = patient(300)
"""How long a seed may take (some 3 s on an idle machine); only reached when something hangs."""

SETTLE_TURNS_MAX, QUIET_TURNS = 1_000, 5
"""Turns of the loop: the most before a check; and how many without a message count as quiet."""

FEATURES = (("delta", "resume"),) * 2 + (("delta",), ("resume",))
SHAPES = ("tree", "tree-one")
COUNTERS = ("patched", "counted", "rerun_node", "rerun_query", "rerun_on_thread", "silent")

TIGHT = {
    "LIVE_RESULTS_BYTES_MAX": 20_000,
    "LIVE_PATCH_ROWS_MAX": 6,
    "LIVE_GROWN_MAX": 3,
    "LIVE_TOTALS_CHANGES_MAX": 2,
    "LIVE_TOTALS_GROUPS_MAX": 2,
    "LIVE_DELTA_STEPS_MAX": 2,
    "LIVE_DELTA_BYTES_MAX": 10_000,
    "LIVE_RECENT_COMMITS": 2,
    "LIVE_RECENT_CHANGES": 3,
    "LIVE_TURN_MS": -1,
}
"""Bounds so small that caches are dropped, and rounds of refreshes are interrupted."""


@contextmanager
def some_tight_limits(draw: random.Random) -> Iterator[None]:
    before = {name: getattr(limits, name) for name in (*TIGHT, "READ_STEPS_ON_LOOP")}
    for name, bound in TIGHT.items():
        if draw.random() < 0.2:
            setattr(limits, name, bound)
    try:
        yield
    finally:
        for name, bound in before.items():
            setattr(limits, name, bound)


@dataclass
class OracleClient(DeltaClient):
    """A client of one user, or of none.

    checked   by query: the fresh result and the version that were found to be the same
    """

    user: str | None = None
    checked: dict[bytes, tuple[bytes, str]] = field(default_factory=dict)

    def forget(self, key: bytes) -> None:
        """Stop asking a query."""
        self.wire.say("remove-query", q=self.asked.pop(key))
        self.errors.pop(key, None)


@dataclass(eq=False)
class Watcher:
    """A live query in the shape of nested objects."""

    query: Query
    identity: Identity
    shape: str
    live: LiveQuery | None = None
    told: int = 0
    shown: Any = None

    def hear(self, _: LiveQuery) -> None:
        self.told += 1

    def watch(self, database: Database) -> None:
        self.live, self.shown = None, None
        try:
            question = database.question(self.query, identity=self.identity, shape=self.shape)
        except TriceError:
            return  # not a query at the moment
        self.live = database.follow(question, self.hear)

    def stop(self, database: Database) -> None:
        if self.live is not None:
            database.unwatch(self.live, self.hear)


class Scene:
    """One random history."""

    def __init__(self, seed: int, folder: Path) -> None:
        self.seed = seed
        self.folder = folder
        self.world = make_world(seed)
        self.draw = random.Random(seed)
        self.runtime = FakeRuntime(seed=seed)
        self.clients: list[OracleClient] = []
        self.watchers: list[Watcher] = []
        self.tokens: dict[str, str] = {}
        self.found: Counter[str] = Counter()
        self.commits_from = 0
        self.fresh = FreshRuns(self.draw)
        ids = self.world.ids
        self.users = [ids[self.world.etypes[0]][0], ids[self.world.etypes[-1]][-1]]

    # --- the server ----------------------------------------------------------------------------

    async def open(self) -> None:
        await self._start()
        self.app, _ = await self.apps.create(title="oracle", is_open=True)
        await self.database.add_schema(SCHEMA)
        await self.commit(schema_steps(self.world))
        for steps in seed_steps(self.world):
            await self.commit(steps)
        for user in self.users:
            await self.sign_in(user)
        await self.change_rules()
        self.commits_from = self.database.tx
        callers = [None, None, *self.users]
        queries = [self.random_query() for _ in range(4)]
        for features, user in zip(FEATURES, callers, strict=True):
            client = OracleClient(self.hub, features, user=user)
            self.clients.append(client)
            for q in (*self.draw.sample(queries, 3), self.random_query()):
                client.asked[orjson.dumps(q)] = q
            await self.connect(client)
        identities = [ADMIN, GUEST, *map(_identity, self.users)]
        for identity in identities:
            self.add_watcher(identity)

    async def _start(self) -> None:
        self.apps = await open_apps(self.folder, runtime=self.runtime, is_open_by_default=True)
        self.hub = Hub(apps=self.apps, runtime=self.runtime)

    @property
    def database(self) -> Database:
        return self.app.database

    async def close(self) -> None:
        """Count what happened to the live queries, and stop."""
        counts = self.database.live.counts
        for name in COUNTERS:
            self.found[name] += getattr(counts, name)
        self.found["commits"] += self.database.tx - self.commits_from
        self.hub.stop()
        await self.apps.close()

    async def restart(self) -> None:
        """Stop and start the server; all clients reconnect, naming the answers that they hold."""
        self.found["restarts"] += 1
        for client in self.clients:
            client.take_in()
        await self.close()
        await self._start()
        self.app = await self.apps.lend(self.app.id)
        self.apps.give_back(self.app)
        self.commits_from = self.database.tx
        for client in self.clients:
            client.hub = self.hub
            await self.connect(client)
        for watcher in self.watchers:
            watcher.watch(self.database)

    # --- who asks ------------------------------------------------------------------------------

    async def sign_in(self, user: str) -> None:
        nick = self.draw.choice(NICKS)

        def work(change: Any) -> str:
            change.write(["update", "$users", user, {"email": f"{user}@x", "nick": nick}])
            return mint_token(change, user, runtime=self.runtime)

        self.tokens[user] = await self.database.change(work)

    async def connect(self, client: OracleClient) -> None:
        """(Re)connect, and ask all queries again in random order, naming the held answers."""
        fields = {}
        if client.user is not None:
            await self.sign_in(client.user)  # the user may have been deleted
            fields["refresh_token"] = self.tokens[client.user]
        opened = await client.connect(self.app.id, **fields)
        assert opened["trice"]["features"] == list(client.features)
        asked = list(client.asked.values())
        self.draw.shuffle(asked)
        for q in asked:
            client.ask(q)

    def random_query(self, *, is_admin: bool = False) -> Query:
        """Rows, pages or totals; some with parameters for the rules."""
        if self.draw.random() < 0.25:
            query = random_aggregate(self.world)
            if is_admin and self.draw.random() < 0.5:
                for form in query.values():
                    form["$"]["aggregate"] = "count"
        else:
            query = random_query(self.world, self.fresh.cursors)
        return {"$$ruleParams": {"k": 1}, **query} if self.draw.random() < 0.2 else query

    def add_watcher(self, identity: Identity) -> None:
        query = self.random_query(is_admin=identity.is_admin)
        watcher = Watcher(query, identity, self.draw.choice(SHAPES))
        watcher.watch(self.database)
        self.watchers.append(watcher)

    # --- what happens --------------------------------------------------------------------------

    async def commit(self, steps: list[Any]) -> None:
        self.runtime.advance(1)
        try:
            await self.database.transact(steps, identity=ADMIN)
        except TriceError:
            return

    async def change_rules(self) -> None:
        kind = self.draw.random()
        if kind < 0.15:
            document = None
        elif kind < 0.9:
            document = _own_rules(self.world)
        else:
            document = random_document(self.world)
        await self.apps.set_rules(self.app.id, document)

    async def write(self) -> None:
        """A group of transactions, one after the other or all at once, perhaps with a question
        while they are under way."""
        steps = [random_transaction(self.world) for _ in range(self.draw.choice(GROUPS))]
        if self.draw.random() < 0.5:
            for one in steps:
                await self.commit(one)
            return
        writes = [asyncio.ensure_future(self.commit(one)) for one in steps]
        await asyncio.sleep(0)
        if self.draw.random() < 0.3:
            client = self.draw.choice(self.clients)
            client.take_in()
            client.ask(self.draw.choice(list(client.asked.values())))
        await asyncio.gather(*writes)

    async def step(self) -> None:
        draw = self.draw
        if draw.random() < 0.2:
            # Runs of some thousand steps of SQLite go to a thread.
            limits.READ_STEPS_ON_LOOP = 2_000
        await self.write()
        client = draw.choice(self.clients)
        kinds = ("rules", "user", "user", "schema", "back", "other", "ask", "watch", "write")
        match draw.choice((*kinds, *("slow",) * 5, *("",) * 8)):
            case "rules":
                await self.change_rules()
            case "user":
                await self.sign_in(draw.choice(self.users))
            case "schema" if draw.random() < 0.4:
                await self.commit(schema_change(self.world))
            case "slow":
                client.wire.backlog = limits.OUTBOX_REFRESH_BYTES_MAX
            case "back":
                await self._come_back(client)
            case "other":
                client.take_in()
                client.forget(draw.choice(list(client.asked)))
                client.ask(self.random_query())
            case "ask":
                client.take_in()
                client.ask(draw.choice(list(client.asked.values())))
            case "watch":
                gone = self.watchers.pop(draw.randrange(len(self.watchers)))
                gone.stop(self.database)
                self.add_watcher(gone.identity)
            case "write" if client.wire.closed is None:
                await client.write(random_transaction(self.world))
        if draw.random() < 0.006:
            await self.restart()
        for other in self.clients:
            if other.wire.backlog and draw.random() < 0.25:
                other.wire.backlog = 0
                other.wire.session.on_writable()

    async def _come_back(self, client: OracleClient) -> None:
        """Leave for a while, and come back, perhaps as another user."""
        client.take_in()
        client.wire.hang_up()
        for _ in range(self.draw.choice((0, 1, 3))):
            await self.commit(random_transaction(self.world))
        if self.draw.random() < 0.2:
            client.user = self.draw.choice([None, *self.users])
            client.checked.clear()
        await self.connect(client)

    # --- what must hold ------------------------------------------------------------------------

    async def settle(self) -> None:
        """Wait until nothing is under way any more."""
        quiet, before = 0, -1
        for _ in range(SETTLE_TURNS_MAX):
            await self.database.live.settled()
            tasks = [task for one in self.clients for task in one.wire.session.tasks]
            await (asyncio.wait(tasks) if tasks else asyncio.sleep(0))
            for client in self.clients:
                if client.wire.closed is not None:
                    # Its user was deleted, and it was told so.
                    assert client.user is not None, client.wire.closed
                    await self.connect(client)
            writes = sum(client.wire.writes for client in self.clients)
            quiet, before = (quiet + 1 if writes == before else 0), writes
            if quiet == QUIET_TURNS:
                return
        raise AssertionError("it never settles")

    async def check(self) -> None:
        """Check that every client that is up to date shows what a fresh run answers."""
        await self.settle()
        limits.READ_STEPS_ON_LOOP = _STEPS_ON_LOOP
        await self.fresh.begin(self.database)
        for client in self.clients:
            if client.wire.backlog:
                self.found["slow"] += 1
                continue
            client.take_in()
            for key, q in client.asked.items():
                await self._check_client(client, key, q)
        for watcher in self.watchers:
            await self._check_watcher(watcher)
        self.found["checks"] += 1

    async def _check_client(self, client: OracleClient, key: bytes, q: Query) -> None:
        identity = client.wire.session.opened.identity
        fresh = await self.fresh.of(identity, key, q)
        story = f"{identity.name}, {client.features}: {key.decode()}"
        is_followed = ("flat", query_key(q)) in client.wire.session.state.subscriptions
        if not is_followed:
            # It was not a query when it was asked, or when the rules changed; it may be one by now.
            assert key in client.errors, story
            if fresh.failure is None:
                client.ask(q)
            return
        self.found["compared"] += 1
        if fresh.failure is not None:
            assert key in client.errors, f"no {fresh.failure}; {story}"
            assert client.errors[key]["type"] == fresh.failure, story
            client.checked.pop(key, None)
            self.found["failures"] += 1
            return
        assert key not in client.errors, f"{client.errors.get(key)}; {story}"
        held = client.answers[client.query_ids[key]]
        if client.checked.get(key) == (fresh.result_json, held.version):
            return
        too_much = held.triples.keys() - fresh.triples.keys()
        too_little = fresh.triples.keys() - held.triples.keys()
        assert not too_much and not too_little, f"+ {too_much} - {too_little}; {story}"
        assert held.data == fresh.data, story
        client.checked[key] = (fresh.result_json, held.version)

    async def _check_watcher(self, watcher: Watcher) -> None:
        database = self.database
        if watcher.live is None or watcher.live.is_outdated:
            watcher.stop(database)
            watcher.watch(database)
            await database.live.settled()
        q, live = watcher.query, watcher.live
        if live is None:
            return
        story = f"{watcher.identity.name}, {watcher.shape}: {orjson.dumps(q).decode()}"
        self.found["compared"] += 1
        fresh = await self.fresh.of(watcher.identity, orjson.dumps(q), q)
        if fresh.failure is not None:
            assert live.error is not None, f"no {fresh.failure}; {story}"
            assert live.error.code == fresh.failure, story
            watcher.shown = None
            self.found["failures"] += 1
            return
        assert live.error is None, f"{live.error}; {story}"
        if live.answer is None:
            # Dropped to save memory: it is run again when it is needed.
            database.recall(live)
            await database.live.settled()
        assert live.answer is not None, story
        is_inferring = watcher.shape == "tree-one"
        assert fresh.tree is not None
        tree = nested_result(fresh.tree, is_inferring=is_inferring)
        shown = [orjson.loads(live.answer.result_json), orjson.loads(live.answer.meta_json)]
        assert shown == [tree, fresh.data], story
        assert watcher.shown in (None, shown) or watcher.told, f"not told; {story}"
        watcher.shown, watcher.told = shown, 0


_STEPS_ON_LOOP = limits.READ_STEPS_ON_LOOP


def _identity(user: str) -> Identity:
    return Identity("user", EntityId(bytes.fromhex(user.replace("-", ""))))


def _own_rules(world: World) -> dict[str, Any]:
    """Rules on an entity's own cells, which are judged in memory; also rules of fields."""
    draw = world.random
    rules: dict[str, Any] = {}
    for etype in world.etypes:
        labels = [attr["forward-identity"][2] for attr in world.fields(etype)]
        links = [
            label
            for label, attr, is_forward, _ in world.links(etype)
            if is_forward and attr["cardinality"] == "one"
        ]
        tests = [
            "true",
            "auth.id != null",
            "auth.nick == 'a1'",
            f"data.id != '{draw.choice(world.ids[etype])}'",
        ]
        tests += [f"data.{label} != '{draw.choice(('a1', '10'))}'" for label in labels]
        tests += [f"data.{label} != null" for label in labels]
        tests += [f"data.{label} == auth.nick || auth.nick == 'é'" for label in labels[:1]]
        tests += [f"data.{label} == auth.id || data.{label} == null" for label in links]
        rules[etype] = {"allow": {"view": draw.choice(tests)}}
        hidden = draw.sample(labels, min(len(labels), draw.choice((0, 1, 2))))
        if hidden:
            rules[etype]["fields"] = {label: draw.choice(tests[1:]) for label in hidden}
    return rules


async def _play(seed: int, folder: Path, rounds: int) -> Counter[str]:
    scene = Scene(seed, folder)
    number = 0
    try:
        with some_tight_limits(scene.draw):
            async with asyncio.timeout(SEED_S):
                await scene.open()
                await scene.check()
                for number in range(1, rounds + 1):  # noqa: B007
                    await scene.step()
                    await scene.check()
    except Exception as failure:
        failure.add_note(f"seed {seed}, round {number}")
        raise
    finally:
        async with asyncio.timeout(SEED_S):
            await scene.close()
    for client in scene.clients:
        scene.found.update(client.forms)
    return scene.found


def play(seed: int, folder: Path, *, rounds: int = ROUNDS) -> Counter[str]:
    """Play one seed.

    folder    a folder for its files, which stay
    returns   commits checked, answers compared, and how often each thing happened
    raises    the failure, with the seed and the round in its notes
    """
    return asyncio.run(_play(seed, folder, rounds))
