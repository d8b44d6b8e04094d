"""Apps of the tests, and projects of functions."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from trice_client import AsyncClient, Client, Platform

SCHEMA = {
    "entities": {
        "todos": {
            "attrs": {
                "title": {"valueType": "string"},
                "done": {"valueType": "boolean"},
                "n": {"valueType": "number", "config": {"indexed": True}},
            }
        },
        "people": {"attrs": {"name": {"valueType": "string", "config": {"unique": True}}}},
    },
    "links": {
        "owner": {
            "forward": {"on": "todos", "has": "one", "label": "owner"},
            "reverse": {"on": "people", "has": "many", "label": "todos"},
        }
    },
}
FUNCTIONS = '''
from typing import Annotated
from trice.functions import Action, FunctionError, Mutation, Query, action, mutation, query
from schema import Db

@query
async def count(ctx: Query[Db], at_least: int = 0) -> int:
    """How many messages there are."""
    return len([m for m in await ctx.db.messages.find() if m.size >= at_least])

@mutation
async def send(ctx: Mutation[Db], text: str) -> str:
    """Send a message."""
    if not text:
        raise FunctionError("empty", "A message has text.", data={"least": 1})
    return ctx.db.messages.create(text=text, size=len(text))

@action
async def greet(ctx: Action, name: str) -> str:
    return f"Hello {name}"
'''
PROJECT_SCHEMA = """
from trice.schema import Namespace, Schema, Table

class Message(Namespace):
    text: str
    size: int

class Db(Schema):
    messages: Table[Message]
"""


@dataclass(frozen=True)
class App:
    """An app, and clients of it."""

    url: str
    id: str
    admin_token: str

    def sync(self, **more: Any) -> Client:
        return Client(self.id, server=self.url, **{"admin_token": self.admin_token, **more})

    def aio(self, **more: Any) -> AsyncClient:
        return AsyncClient(self.id, server=self.url, **{"admin_token": self.admin_token, **more})


def make_app(
    url: str, rules: dict[str, Any] | None = None, *, schema: dict[str, Any] = SCHEMA
) -> App:
    with Platform(url) as platform:
        made = platform.create_temporary_app("tests", schema=schema, rules=rules)
    return App(url, made["id"], made["admin-token"])


@dataclass(frozen=True)
class Project:
    """A project of functions, and the app that it is in force in."""

    root: Path
    app: App
