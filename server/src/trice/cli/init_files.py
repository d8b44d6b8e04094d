"""The files of a new project. `{NAME}` is the name of its folder. No I/O."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

_TRICE_TOML: Final = """\
# Where this project is deployed. Each key may be left out.
#
# app = "00000000-0000-0000-0000-000000000000"     # `trice apps create` makes one
# server = "https://api.example.com"
#
# [env]
# required = ["STRIPE_KEY"]                        # nothing is deployed without these secrets
#
# [env.prod]                                       # trice deploy --env prod
# app = "00000000-0000-0000-0000-000000000000"
# server = "https://api.example.com"
"""

_SCHEMA: Final = '''\
"""The data of {NAME}."""

from datetime import datetime
from typing import Annotated

from trice.schema import Indexed, Namespace, Schema, Table


class Message(Namespace):
    text: str
    sent_at: Annotated[datetime, Indexed]


class Db(Schema):
    messages: Table[Message]
'''

_RULES: Final = """\
# Clients reach the data through functions only. A rule opens a namespace to them directly:
# messages:
#   allow:
#     view: "true"
$default:
  allow:
    $default: "false"
attrs:
  allow:
    $default: "false"
"""

_MESSAGES: Final = '''\
"""Messages, which anybody may read and send."""

from datetime import datetime
from typing import Annotated

from schema import Db, Message
from trice.functions import Id, Le, MaxLen, Mutation, Query, View, mutation, query


class MessageView(View[Message]):
    id: Id[Message]
    text: str
    sent_at: datetime


@query
async def recent(ctx: Query[Db], limit: Annotated[int, Le(100)] = 20) -> list[MessageView]:
    """The newest messages, newest first."""
    return await ctx.db.messages.find(MessageView, order={"sent_at": "desc"}, limit=limit)


@mutation
async def send(ctx: Mutation[Db], text: Annotated[str, MaxLen(4000)]) -> Id[Message]:
    """Send a message."""
    return ctx.db.messages.create(text=text, sent_at=ctx.now)
'''

_TEST: Final = '''\
"""Each test has an app of its own: the real engine, and no data."""

import pytest

from functions import messages
from trice.functions import RefusedError
from trice.testing import App


async def test_the_newest_messages_come_first(app: App) -> None:
    await app.guest.run(messages.send, "one")
    await app.advance(seconds=1)
    await app.guest.run(messages.send, "two")
    assert [each.text for each in await app.guest.run(messages.recent)] == ["two", "one"]


async def test_who_watches_is_told(app: App) -> None:
    alice = await app.user("alice@example.com")
    async with alice.watch(messages.recent) as live:
        await app.guest.run(messages.send, "hi")
        assert [each.text for each in await live.next()] == ["hi"]


async def test_only_functions_reach_the_data(app: App) -> None:
    message = await app.guest.run(messages.send, "hi")
    assert await app.guest.query({"messages": {}}) == {"messages": []}
    with pytest.raises(RefusedError):
        await app.guest.transact([["delete", "messages", message]])
'''

_PYPROJECT: Final = """\
[project]
name = "{NAME}"
version = "0.1.0"
requires-python = ">=3.11"

[dependency-groups]
dev = ["pytest"]

[tool.pytest.ini_options]
testpaths = ["tests"]
pythonpath = ["."]
"""

_IGNORED: Final = """\
.trice/
.venv/
__pycache__/
"""

FILES: Final[Mapping[str, str]] = {
    "trice.toml": _TRICE_TOML,
    "schema.py": _SCHEMA,
    "rules.yaml": _RULES,
    "functions/messages.py": _MESSAGES,
    "tests/test_messages.py": _TEST,
    "pyproject.toml": _PYPROJECT,
    ".gitignore": _IGNORED,
}
"""Texts by path below the project."""
