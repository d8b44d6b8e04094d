"""Functions that are watched: who asks for the same call shares its answer, as far as a run would
be the same for all of them.

    watch ──> Group (function, arguments) ──> an Instance whose facts agree, or a new one
                                                   │ its run looked at other facts
                                                   └──> those who see other values move on

source   spec/functions.md FN230-FN259
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

from trice import function_limits as limits
from trice.apps.app import App
from trice.calls.deltas import CallDeltas
from trice.calls.door import Asked, args_too_big
from trice.calls.functions import Functions
from trice.calls.instance import Instance
from trice.calls.page_reads import Stretch
from trice.calls.people import People
from trice.calls.side import AppCode
from trice.calls.sides import looks_at_row
from trice.calls.together import Holds
from trice.calls.watch import Answer, Facts, Watch
from trice.database import Database
from trice.errors import TriceError, Unavailable
from trice.identity import Identity, network_of
from trice.protocol.ids import AppId


class GroupKey(NamedTuple):
    """What is asked for: a call, and of a list the place from which on."""

    name: str
    args: bytes
    after: str | None


class LiveFunctions:
    """All watched calls of this process.

    Holds for each app what is watched in it, and values of what was, for clients that come back;
    nothing where nobody ever watches.

    holds   sessions whose news wait for calls
    """

    def __init__(self, functions: Functions) -> None:
        self.functions = functions
        self.holds = Holds(functions.runtime, self.spawn)
        self._deltas: WeakKeyDictionary[Database, CallDeltas] = WeakKeyDictionary()
        self._apps: dict[AppId, _LiveApp] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        functions.door.deployed.on_switch(self._on_switch)

    def watch(
        self,
        app: App,
        name: str,
        args: bytes,
        *,
        identity: Identity,
        on_news: Callable[[Watch], None],
        ip: str = "",
        origin: str = "",
        on_end: Callable[[], None] = lambda: None,
        on_late: Callable[[Watch], None] | None = None,
        has_deltas: bool = False,
        stretch: Stretch | None = None,
        is_counted: bool = True,
    ) -> Watch:
        """Watch what a query function answers. The app must be lent until `unwatch`.

        args      JSON of an object, in one form for equal ones: keys are sorted
        on_news   called when there is an answer that was not told, never before this returns. It
                  may be an error; the watcher hears of it once, and of what comes after
        on_end    called when nothing more comes: the app was deleted, or the server stops
        on_late, has_deltas   see `Watch`
        stretch   of the list that it answers with (`page_list.PageList` keeps those of a list)
        is_counted   it takes a token of the function's rate
        raises    LimitExceeded("rate-limited"), ("call-too-big"), Unavailable("overloaded")
        """
        if len(args) > limits.LIVE_ARGS_BYTES_MAX:
            raise args_too_big(len(args), limits.LIVE_ARGS_BYTES_MAX)
        live = self._apps.get(app.id)
        if live is None or live.app is not app:
            live = self._apps[app.id] = _LiveApp(app, self)
        network = "" if identity.is_admin else network_of(ip or identity.ip)
        key = GroupKey(name, args, None if stretch is None else stretch.after)
        group = live.group(key, network)
        watch = Watch(
            identity,
            ip=ip or identity.ip,
            origin=origin or identity.origin,
            on_news=on_news,
            on_end=on_end,
            on_late=on_late,
            has_deltas=has_deltas,
            stretch=stretch,
        )
        group.watches[watch] = None
        live.homes[watch] = group
        try:
            if is_counted:
                group.count(watch)
        except TriceError:
            self.unwatch(app, watch)
            raise
        group.place([watch])
        return watch

    def is_run(self, app: App, name: str, args: bytes, stretch: Stretch) -> bool:
        """Whether somebody has a stretch from this place on: then its answer may be shared."""
        live = self._apps.get(app.id)
        return live is not None and live.is_run(GroupKey(name, args, stretch.after))

    def owe(self, app: App, watch: Watch, tokens: int) -> None:
        """Count more tokens of the rate of a watched function: calls that come next wait."""
        self._apps[app.id].homes[watch].owe(watch, tokens)

    def ask_again(self, app: App, watch: Watch) -> None:
        """Tell a watcher the answer once more, as new as what is published now."""
        watch.is_asked = True
        self._apps[app.id].homes[watch].ask(watch)

    def unwatch(self, app: App, watch: Watch) -> None:
        """Tell a watcher nothing any more."""
        watch.is_ended = True
        live = self._apps.get(app.id)
        group = None if live is None else live.homes.pop(watch, None)
        if live is None or group is None:
            return
        group.remove(watch)
        live.people.leave(watch)
        live.forget(group)
        if not live.homes:
            del self._apps[app.id]

    def deltas(self, database: Database) -> CallDeltas:
        """Those of an app, for as long as its database is open."""
        found = self._deltas.get(database)
        if found is None:
            found = self._deltas[database] = CallDeltas()
        return found

    def spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Run `work` in the background; `close` ends it."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def end(self, app_id: str | None = None) -> None:
        """Tell the watchers of an app, or of all, that nothing more comes."""
        for live in list(self._apps.values()):
            if app_id in (None, live.app.id):
                for watch in list(live.homes):
                    watch.close()

    def __len__(self) -> int:
        """How many different answers are kept current."""
        return sum(len(group.instances) for live in self._apps.values() for group in live.groups)

    @property
    def is_busy(self) -> bool:
        """Whether an answer is being found, or somebody waits to be told one."""
        groups = [group for live in self._apps.values() for group in live.groups]
        return any(group.is_busy for group in groups)

    async def close(self) -> None:
        """End all runs; nobody is told."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self.functions.close()

    def _on_switch(self, app_id: AppId, _: AppCode | None) -> None:
        live = self._apps.get(app_id)
        if live is not None:
            for group in live.groups:
                group.begin_anew()


class _LiveApp:
    """What is watched in one app."""

    def __init__(self, app: App, live: LiveFunctions) -> None:
        self.app = app
        self.functions = live.functions
        self.spawn = live.spawn
        self.deltas = live.deltas(app.database)
        self.homes: dict[Watch, Group] = {}
        self.people = People(app.database, when_changed=self._on_row)
        self._groups: dict[GroupKey, Group] = {}
        self._by_network: Counter[str] = Counter()

    @property
    def groups(self) -> list[Group]:
        return list(self._groups.values())

    def group(self, key: GroupKey, network: str) -> Group:
        """Those who ask for one call.

        network   whose call it is, if nobody else asks for it
        raises    Unavailable("overloaded")
        """
        group = self._groups.get(key)
        if group is None:
            if self._by_network[network] >= limits.LIVE_CALLS_MAX // 2:
                raise _too_many_watched(limits.LIVE_CALLS_MAX // 2, "Your network")
            if len(self._groups) >= limits.LIVE_CALLS_MAX:
                raise _too_many_watched(limits.LIVE_CALLS_MAX, "This app")
            group = Group(self, key, network)
            self._groups[key] = group
            self._by_network[network] += 1
        return group

    def is_run(self, key: GroupKey) -> bool:
        group = self._groups.get(key)
        return group is not None and bool(group.watches)

    def forget(self, group: Group) -> None:
        """Drop a group that has no watchers."""
        if not group.watches and self._groups.get(group.key) is group:
            del self._groups[group.key]
            self._by_network[group.network] -= 1
            if not self._by_network[group.network]:
                del self._by_network[group.network]

    def _on_row(self, watch: Watch) -> None:
        group = self.homes.get(watch)
        if group is not None:
            group.check(watch)


class Group:
    """Those who watch one call, name and arguments as they asked, and the instances they share.

    Invariant: each watcher is in one instance, was refused at the door, or is among those that wait
    to be placed.
    """

    def __init__(self, live: _LiveApp, key: GroupKey, network: str) -> None:
        """network   of who asked first: it is counted there"""
        self.key = key
        self.network = network
        self.watches: dict[Watch, None] = {}
        self.instances: list[Instance] = []
        self.functions = live.functions
        self.people = live.people
        self.deltas = live.deltas
        self._live = live
        self._unplaced: dict[Watch, None] = {}
        self._known: dict[str, None] = {}
        self._placing: asyncio.Task[None] | None = None

    # --- for instances ---------------------------------------------------------------------------

    def spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        return self._live.spawn(work)

    def learn(self, facts: Facts) -> None:
        self._known.update((name, None) for name, _ in facts if not name.startswith("time."))

    def known_facts(self, watch: Watch) -> list[tuple[str, Any]]:
        return [(name, watch.fact(name)) for name in self._known]

    def place(self, watches: list[Watch]) -> None:
        self._unplaced.update((watch, None) for watch in watches if not watch.is_ended)
        if self._unplaced and self._placing is None:
            self._placing = self.spawn(self._place_all())

    # --- for the app -----------------------------------------------------------------------------

    def count(self, watch: Watch) -> None:
        """Take a token of the function's rate; raises LimitExceeded("rate-limited")."""
        try:
            asked = self._let_in(watch)
        except TriceError:
            return  # it is told so where it would be placed
        self.functions.door.take_token(asked)

    def owe(self, watch: Watch, tokens: int) -> None:
        """Take tokens that may not be there yet."""
        with suppress(TriceError):  # it is told so where it would be placed
            self.functions.door.owe_tokens(self._let_in(watch), tokens)

    def ask(self, watch: Watch) -> None:
        """Tell a watcher its answer once more, when that is current."""
        source = watch.source
        if isinstance(source, Instance):
            self.spawn(source.add(watch))
        elif watch not in self._unplaced:
            self.place([watch])

    def check(self, watch: Watch) -> None:
        """The row of a watcher changed: it may have to move."""
        source = watch.source
        facts = source.facts if isinstance(source, Instance) else None
        if facts is not None and not watch.agrees(facts):
            self.leave_instance(watch)
            self.place([watch])

    @property
    def is_busy(self) -> bool:
        """Whether an answer is being found."""
        return self._placing is not None or any(each.is_running for each in self.instances)

    def leave_instance(self, watch: Watch) -> None:
        """Take a watcher out of the instance that answers it."""
        source = watch.source
        if isinstance(source, Instance):
            source.remove(watch)
        self.instances = [each for each in self.instances if not each.is_ended]

    def remove(self, watch: Watch) -> None:
        """A watcher is gone."""
        self.watches.pop(watch, None)
        self._unplaced.pop(watch, None)
        self.leave_instance(watch)

    def begin_anew(self) -> None:
        """The functions are others now: answer every watcher again. Equal answers stay untold."""
        for instance in self.instances:
            instance.end()
        self.instances = []
        self._known.clear()
        for watch in self.watches:
            watch.source = None
        self.place(list(self.watches))

    # --- inside ----------------------------------------------------------------------------------

    async def _place_all(self) -> None:
        try:
            while self._unplaced:
                watch = next(iter(self._unplaced))
                await self._place(watch)
        finally:
            self._placing = None

    async def _place(self, watch: Watch) -> None:
        """Find what answers a watcher, and have it answered."""
        try:
            if looks_at_row((name, None) for name in self._known):
                await self.people.follow(watch)
            asked = self._let_in(watch)
        except TriceError as failure:
            self._unplaced.pop(watch, None)
            watch.refused = (Answer.failed(failure), self._live.app.database.tx)
            watch.show()
            return
        if self._unplaced.pop(watch, watch) is watch:
            return  # it left meanwhile
        watch.refused = None
        self.instances = [each for each in self.instances if not each.is_ended]
        for instance in self.instances:
            if instance.asked.code is asked.code and self._fits(instance, watch):
                break
        else:
            instance = Instance(self, asked, watch)
            self.instances.append(instance)
        await instance.add(watch)

    def _fits(self, instance: Instance, watch: Watch) -> bool:
        if not instance.suits(watch.stretch):
            return False
        if instance.facts is not None:
            return watch.agrees(instance.facts)
        # Its first run is under way: those who are known to differ from who asked do not wait.
        return watch.agrees(self.known_facts(instance.first))

    def _let_in(self, watch: Watch) -> Asked:
        name, args, _ = self.key
        return self.functions.door.let_in(
            *(self._live.app, name, args),
            identity=watch.identity,
            kind="query",
            ip=watch.ip,
            origin=watch.origin,
        )


def _too_many_watched(most: int, who: str) -> Unavailable:
    return Unavailable("overloaded", f"{who} already has {most:,} different watched calls.")
