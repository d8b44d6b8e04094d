"""Rows of users whose watched calls look at them: one live query for each user, shared by all that
it watches.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from trice.calls.sides import row_of, row_query
from trice.calls.watch import Watch
from trice.database import Database
from trice.identity import ADMIN
from trice.live.live_query import LiveQuery
from trice.protocol.ids import EntityId, uuid_text


@dataclass(slots=True, eq=False)
class _Person:
    live: LiveQuery | None = None
    row: dict[str, Any] | None = None
    watches: dict[Watch, None] = field(default_factory=dict)


class People:
    """Keeps `Watch.row` of some watchers current."""

    def __init__(self, database: Database, *, when_changed: Callable[[Watch], None]) -> None:
        """when_changed   called after the row of a watcher changed"""
        self._database = database
        self._when_changed = when_changed
        self._people: dict[EntityId, _Person] = {}
        self._by_live: dict[LiveQuery, EntityId] = {}

    async def follow(self, watch: Watch) -> None:
        """Have the row of a watcher from now on; raises Unavailable."""
        user_id = watch.identity.user_id
        if user_id is None:
            return
        person = self._people.setdefault(user_id, _Person())
        if watch in person.watches:
            return
        person.watches[watch] = None
        if person.live is None:
            question = self._database.question(
                row_query(uuid_text(user_id)), identity=ADMIN, shape="tree-one"
            )
            try:
                live = await self._database.watch(question, self._on_row)
            except BaseException:
                self.leave(watch)
                raise
            if self._people.get(user_id) is not person:
                if user_id not in self._people:
                    self._database.unwatch(live, self._on_row)
                return  # all who watched left meanwhile
            if person.live is None:
                person.live = live
                self._by_live[live] = user_id
                person.row = None if live.answer is None else row_of(live.answer.result_json)
        for each in person.watches:
            each.row, each.has_row = person.row, True

    def leave(self, watch: Watch) -> None:
        """A watcher needs its row no more; one that never did is no error."""
        watch.row, watch.has_row = None, False
        user_id = watch.identity.user_id
        person = None if user_id is None else self._people.get(user_id)
        if person is None or person.watches.pop(watch, watch) is watch:
            return
        if not person.watches:
            assert user_id is not None, "it has a person"
            del self._people[user_id]
            if person.live is not None:
                del self._by_live[person.live]
                self._database.unwatch(person.live, self._on_row)

    def _on_row(self, live: LiveQuery) -> None:
        user_id = self._by_live.get(live)
        if user_id is None:
            return
        if live.answer is None:
            self._database.recall(live)
            return
        person = self._people[user_id]
        person.row = row_of(live.answer.result_json)
        for watch in list(person.watches):
            watch.row = person.row
            self._when_changed(watch)
