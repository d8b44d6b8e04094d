"""The schema of the bench (`process.SCHEMA`), as functions see it."""

from __future__ import annotations

from typing import Annotated

from trice.schema import Indexed, Namespace, One, Schema, Table, link


class Person(Namespace):
    name: Annotated[str | None, Indexed]


class Todo(Namespace):
    title: str | None
    done: bool | None
    priority: Annotated[float | None, Indexed]
    label: Annotated[str | None, Indexed]
    owner: One[Person] | None = link(back="todos")


class Db(Schema):
    people: Table[Person]
    todos: Table[Todo]
