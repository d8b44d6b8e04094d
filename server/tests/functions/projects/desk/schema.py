"""Everything that tables and contexts can do: a desk with notes."""

from __future__ import annotations

from datetime import date, datetime
from enum import StrEnum
from typing import Annotated, Literal

from trice.schema import (
    Indexed,
    Json,
    Label,
    Many,
    Namespace,
    One,
    Schema,
    Table,
    Unique,
    Users,
    link,
    new_id,
    now,
)


class State(StrEnum):
    OPEN = "open"
    DONE = "done"


class User(Users):
    nickname: str | None
    joined: datetime | None
    first_name: Annotated[str | None, Label("first-name")]

    @property
    def shown(self) -> str:
        return self.nickname or "somebody"

    def is_called(self, name: str) -> bool:
        return name in (self.nickname, self.first_name)


class Tag(Namespace):
    word: Annotated[str, Unique]


class Note(Namespace):
    text: str
    slug: Annotated[str | None, Unique]
    state: State = State.OPEN
    kind: Literal["plain", "list"] | None
    rank: Annotated[float | None, Indexed]
    made_at: Annotated[datetime, Indexed, Label("madeAt")] = now
    code: str = new_id
    due: date | None
    body: Json | None
    owner: One[User] | None = link(back="notes")
    above: One[Note] | None = link(back="below")
    tags: Many[Tag] = link(back="notes")


class Db(Schema):
    users: Table[User]
    notes: Table[Note]
    labels: Annotated[Table[Tag], Label("note-labels")]
