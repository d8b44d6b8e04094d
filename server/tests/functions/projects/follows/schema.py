"""Messages, and what functions that follow them write."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from trice.schema import Indexed, Label, Many, Namespace, One, Schema, Table, Unique, link


class Author(Namespace):
    name: str


class Tag(Namespace):
    name: str


class Message(Namespace):
    text: str
    likes: int | None
    sent_at: Annotated[datetime | None, Label("sentAt")]
    author: One[Author] | None = link(back="messages")
    tags: Many[Tag] = link(back="messages")


class Seen(Namespace):
    """What a hook saw: which change, by which hook."""

    what: Annotated[str, Indexed]
    number: Annotated[int, Indexed]
    key: Annotated[str | None, Unique]


class Db(Schema):
    authors: Table[Author]
    tags: Table[Tag]
    messages: Table[Message]
    seen: Table[Seen]
