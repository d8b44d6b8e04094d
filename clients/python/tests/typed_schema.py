"""A `schema.py`, and views of it. Tests import it, and checkers of types read it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from enum import Enum
from typing import Annotated, Any, Literal

from trice.schema import (
    Id,
    Indexed,
    Json,
    Label,
    Many,
    Namespace,
    One,
    Schema,
    Sub,
    Table,
    Unique,
    Users,
    View,
    link,
    new_id,
    now,
)


class Mood(Enum):
    WELL = "well"
    TIRED = "tired"


@dataclass
class Size:
    width: int
    height: int


class Person(Users):
    nickname: str | None


class Channel(Namespace):
    title: Annotated[str, Unique]
    members: Many[Person] = link(back="channels")


class Message(Namespace):
    text: str
    kind: Literal["text", "image"] = "text"
    mood: Mood | None
    stars: Annotated[int, Indexed] = 0
    sent_at: Annotated[datetime, Indexed] = now
    day: date | None
    size: Size | None
    key: str = new_id
    tags: list[str] | None
    extra: Json | None
    first_name: Annotated[str | None, Label("first-name")]
    channel: One[Channel] | None = link(back="messages", on_delete="cascade")
    answers: One[Message] | None = link(back="answered_by")


class Db(Schema):
    people: Table[Person]
    channels: Table[Channel]
    messages: Annotated[Table[Message], Label("chat-messages")]


class TitleView(View[Channel]):
    id: Id[Channel]
    title: str


class MessageView(View[Message]):
    text: str
    first_name: str | None
    sent_at: datetime
    channel: TitleView | None
    answered_by: list[AnswerView]


class AnswerView(View[Message]):
    id: Id[Message]
    text: str


class ChannelView(View[Channel]):
    title: str
    messages: Annotated[
        list[AnswerView], Sub(where={"stars": {"$gte": 1}}, order={"stars": "desc"}, limit=2)
    ]


class AnyView(View[Message]):
    extra: Any
