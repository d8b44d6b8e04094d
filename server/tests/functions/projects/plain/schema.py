"""The schema of a project of plain functions."""

from __future__ import annotations

from typing import Annotated

from trice.schema import Namespace, Schema, Table, Unique, Users


class User(Users):
    nickname: str | None


class Note(Namespace):
    text: Annotated[str, Unique]
    seen: int = 0


class Db(Schema):
    users: Table[User]
    notes: Table[Note]
