"""`db.typed(Db)`: rows of the classes of a `schema.py`, against `trice serve` and for checkers."""

from __future__ import annotations

import shutil
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import anyio
import pytest

from checkers import CHECKERS, Check, wrong_lines
from client_apps import App
from support.patience import WAIT_S
from trice.schema import Namespace, Schema, Table, View
from trice.schema.document import for_server
from trice.schema.reading import read_schema
from trice_client import Platform, TriceError, new_id
from typed_schema import (
    AnswerView,
    Channel,
    ChannelView,
    Db,
    Message,
    MessageView,
    Mood,
    Person,
    Size,
    TitleView,
)

AT = datetime(2026, 11, 30, 1, 2, 3, tzinfo=UTC)
PROGRAM = """
from trice_client import AsyncClient, Client
from typed_schema import Channel, ChannelView, Db, Message, MessageView

typed = Client("x").typed(Db)
row = typed.find(Message, where={"stars": {"$gt": 1}}, order={"sent_at": "desc"})[0]
reveal_type(row)
reveal_type(row.stars)
reveal_type(row.sent_at)
reveal_type(row.kind)
reveal_type(row.id)
reveal_type(typed.first(Channel))
reveal_type(typed.watch(MessageView).get()[0].channel)
reveal_type(typed.find(ChannelView)[0].messages)
reveal_type([each.text for each in typed.iterate(Message)])
reveal_type(typed.count(Message))
row.txt  # no
row.stars.upper()  # no
typed.find(ChannelView)[0].members  # no
typed.first(Channel).title  # no
typed.find("messages")  # no
typed.find(Message, order={"stars": 1})  # no
typed.tx["messages"]  # no


async def main() -> None:
    typed = AsyncClient("x").typed(Db)
    reveal_type(await typed.find(Message))
    async for row in typed.iterate(MessageView):
        reveal_type(row.answered_by)
    reveal_type(await anext(typed.watch(Message)))
    typed.find(Message)[0]  # no
"""
REVEALED = [
    "Message",
    "int",
    "datetime",
    "Literal['text', 'image']",
    "Id[Message]",
    "Channel | None",
    "TitleView | None",
    "list[AnswerView]",
    "list[str]",
    "int",
    "list[Message]",
    "list[AnswerView]",
    "list[Message]",
]


@pytest.fixture
def chat(url: str) -> App:
    """An app with the schema, but its `required`: rows of before may lack anything."""
    with Platform(url) as platform:
        made = platform.create_temporary_app("chat", schema=for_server(read_schema(Db)))
    return App(url, made["id"], made["admin-token"])


def refusal(work: Any, *args: Any, **more: Any) -> TriceError:
    with pytest.raises(TriceError) as refused:
        work(*args, **more)
    return refused.value


@pytest.mark.rule("PY81", "PY83")
def test_rows_are_written_and_read_by_classes(chat: App) -> None:
    with chat.sync() as db:
        typed, first, second = db.typed(Db), new_id(), new_id()
        channel = new_id()
        tx = typed.tx
        db.transact(
            [
                tx[Channel][channel].create({"title": "news"}),
                tx[Message][first]
                .create(
                    {
                        "text": "Hi",
                        "sent_at": AT,
                        "day": date(2026, 1, 2),
                        "mood": Mood.WELL,
                        "size": Size(2, 3),
                        "tags": ["a"],
                        "extra": {"b": [1]},
                        "first_name": "Ann",
                    }
                )
                .link({"channel": channel}),
                tx[Message][second].create({"text": "So", "kind": "image", "stars": 3}),
            ]
        )
        (row,) = typed.find(Message, where={"first_name": "Ann"})
        assert isinstance(row, Message) and (row.id, row.text, row.kind) == (first, "Hi", "text")
        assert (row.sent_at, row.day, row.mood) == (AT, date(2026, 1, 2), Mood.WELL)
        assert (row.size, row.tags, row.extra) == (Size(2, 3), ["a"], {"b": [1]})
        assert row.channel is not None and row.channel.id == channel and row.answers is None
        assert row.stars == 0 and len(row.key) == 36  # defaults of the schema
        assert f"Message(id={first!r}, text='Hi', kind='text', mood=<Mood.WELL" in repr(row)
        assert row == typed.get(Message, first) and typed.get(Message, new_id()) is None
        db.transact(tx[Message][row].update({"stars": 2}).link({"answers": second}))
        found = typed.find(Message, order={"stars": "desc"})
        assert [each.stars for each in found] == [3, 2]
        assert typed.count(Message, where={"channel": row.channel}) == 1
        assert typed.count(Message, where={"or": [{"channel.title": "news"}, {"stars": 3}]}) == 2
        assert typed.totals(Message, {"sum": "stars", "max": ["stars"]})["sum"] == {"stars": 5}
        groups = typed.totals(Message, {"count": True}, group_by="first_name")["groups"]
        assert {each["key"] for each in groups} == {"Ann", None}
        db.transact(tx[Message][row].unlink({"answers": found[0]}))
        assert typed.find(Message, where={"id": first})[0].answers is None
        db.transact(tx[Channel].lookup("title", "news").update({"title": "old"}))
        assert [each.title for each in typed.find(Channel)] == ["old"]
        db.transact(tx[Message][second].delete())
        assert [each.id for each in typed.iterate(Message, page_rows=1)] == [first]


@pytest.mark.rule("PY81")
@pytest.mark.anyio
async def test_views_are_read_and_watched(chat: App) -> None:
    with anyio.fail_after(WAIT_S):
        async with chat.aio() as db:
            typed, tx = db.typed(Db), db.typed(Db).tx
            channel, messages = new_id(), [new_id() for _ in range(4)]
            await db.transact(
                [
                    tx[Channel][channel].create({"title": "news"}),
                    *(
                        tx[Message][each]
                        .create({"text": f"m{n}", "stars": n, "sent_at": AT})
                        .link({"channel": channel})
                        for n, each in enumerate(messages)
                    ),
                    tx[Message][messages[1]].link({"answers": messages[0]}),
                ]
            )
            (found,) = await typed.find(ChannelView)
            assert (found.title, [each.text for each in found.messages]) == ("news", ["m3", "m2"])
            async with typed.watch(MessageView, where={"text": "m0"}) as live:
                (row,) = await anext(live)
                assert isinstance(row, MessageView) and row.sent_at == AT
                assert isinstance(row.channel, TitleView) and row.channel.id == channel
                assert [each.text for each in row.answered_by] == ["m1"]
                assert isinstance(row.answered_by[0], AnswerView)
                # Another reader of the same query has rows of its own.
                async with typed.watch(MessageView, where={"text": "m0"}) as other:
                    assert await anext(other) == [row]
                await db.transact(tx[Message][messages[0]].unlink({"channel": channel}))
                assert (await anext(live))[0].channel is None
            # A row that its class does not fit is told, and so is what comes after it.
            async with typed.watch(Message, where={"text": "m0"}) as live:
                assert (await anext(live))[0].stars == 0
                plain_tx = db.tx["chat-messages"][messages[0]]
                await db.transact(plain_tx.update({"stars": 1.5}))
                with pytest.raises(TriceError) as misfit:
                    await anext(live)
                assert misfit.value.code == "row-malformed"
                assert misfit.value.path == ["chat-messages", messages[0]]
                await db.transact(plain_tx.update({"stars": 2.0}))
                assert (await anext(live))[0].stars == 2


@pytest.mark.rule("PY82")
def test_names_that_the_schema_lacks_are_refused_before_they_are_sent(chat: App) -> None:
    with chat.sync() as db:
        typed = db.typed(Db)
        tx = typed.tx[Message][new_id()]
        for path, work in (
            (["where", "txt"], lambda: typed.find(Message, where={"txt": 1})),
            (["where", "or", 0, "txt"], lambda: typed.count(Message, where={"or": [{"txt": 1}]})),
            (["where", "titel"], lambda: typed.find(Message, where={"channel.titel": 1})),
            (["order", "txt"], lambda: typed.first(Message, order={"txt": "asc"})),
            (["aggregate", "txt"], lambda: typed.totals(Message, {"sum": "txt"})),
            (["chat-messages", "update", "txt"], lambda: tx.update({"txt": 1})),
            (["chat-messages", "update", "channel"], lambda: tx.update({"channel": new_id()})),
            (["chat-messages", "link", "text"], lambda: tx.link({"text": new_id()})),
        ):
            refused = refusal(work)
            assert (refused.code, refused.path) == ("name-unknown", path)
        assert "text" in refusal(typed.find, Message, where={"txt": 1}).expected
        for name, value in (("stars", "many"), ("kind", "video"), ("size", {"width": 1})):
            refused = refusal(tx.create, {"text": "Hi", name: value})
            assert (refused.code, refused.path) == (
                *("value-malformed", ["chat-messages", "create", name]),
            )
        (row,) = (db.transact(tx.create({"text": "Hi"})), *typed.find(Message))[1:]
        unread = refusal(getattr, row, "answered_by")
        assert (unread.code, unread.path) == ("not-loaded", ["chat-messages", "answered_by"])
        users = [db.auth.create_token(email="ann@example.com"), *typed.find(Person)][1:]
        assert [each.email for each in users] == ["ann@example.com"]


class Lonely(Namespace):
    name: str


class Twice(Schema):
    one: Table[Lonely]
    two: Table[Lonely]


class LonelyView(View[Lonely]):
    name: str


class WrongView(View[Message]):
    txt: str


class TightView(View[Message]):
    first_name: str


class LinkView(View[Message]):
    channel: str


class LoopView(View[Message]):
    answered_by: list[LoopView]


@pytest.mark.rule("PY82")
def test_classes_that_do_not_fit_are_named(app: App) -> None:
    with app.sync() as db:
        typed = db.typed(Db)
        for cls, told in (
            (Lonely, "Lonely is in no Table of Db. There are Person, Channel, Message"),
            (LonelyView, "Lonely is in no Table"),
            (WrongView, "Message has no 'txt'. It has id, text"),
            (TightView, "first_name may lack: say `first_name: … | None`"),
            (LinkView, "channel leads to channels: it is a View, or None"),
            (LoopView, "it holds itself"),
            (str, "str is in no Table"),
        ):
            refused = refusal(typed.find, cls)
            assert refused.code == "schema-malformed" and told in refused.message, refused
        assert "in two Tables" in refusal(db.typed, Twice).message
        for wrong in (str, Message, "Db"):
            assert refusal(db.typed, wrong).code == "schema-malformed"
        assert db.as_guest().typed(Db)._shapes is typed._shapes  # read once
        assert repr(typed).endswith(".typed(Db)")


@pytest.mark.rule("PY84")
@pytest.mark.parametrize("check", CHECKERS)
def test_rows_are_typed_without_a_generated_file(check: Check, tmp_path: Path) -> None:
    shutil.copy(Path(__file__).with_name("typed_schema.py"), tmp_path)
    (tmp_path / "program.py").write_text(PROGRAM)
    checked = check(tmp_path, "program.py")
    assert checked.revealed == REVEALED, checked.text
    assert checked.refused == wrong_lines("program.py", PROGRAM), checked.text
