"""The schema of a chat: what the tests of Python functions run on."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Annotated

from trice.schema import Indexed, Many, Namespace, One, Schema, Table, Unique, Users, link


class Kind(StrEnum):
    TEXT = "text"
    IMAGE = "image"


class User(Users):
    nickname: str | None


class Channel(Namespace):
    title: Annotated[str, Unique]
    topic: str | None
    sent: int = 0
    members: Many[User] = link(back="channels")


class Message(Namespace):
    text: str
    kind: Kind = Kind.TEXT
    sent_at: Annotated[datetime, Indexed]
    channel: One[Channel] = link(back="messages", on_delete="cascade")
    author: One[User] | None = link(back="messages")


class Db(Schema):
    users: Table[User]
    channels: Table[Channel]
    messages: Table[Message]
