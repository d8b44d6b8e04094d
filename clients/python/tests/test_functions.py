"""Functions of a project that `trice dev` serves, by name and by reference."""

from __future__ import annotations

from typing import TypedDict

import anyio
import pytest

from client_apps import Project
from support.patience import WAIT_S
from trice_client import ActionFunction, MutationFunction, NoArgs, QueryFunction, TriceError, new_id


class SendArgs(TypedDict):
    text: str


COUNT: QueryFunction[NoArgs, int] = QueryFunction("messages.count")
SEND: MutationFunction[SendArgs, str] = MutationFunction("messages.send")
GREET: ActionFunction[dict[str, str], str] = ActionFunction("messages.greet")


@pytest.mark.rule("PY20", "PY22")
@pytest.mark.anyio
async def test_functions_are_called_and_watched(project: Project) -> None:
    with anyio.fail_after(WAIT_S):
        async with project.app.aio() as db, db.subscribe_call(COUNT) as live:
            before = await anext(live)
            assert before == await db.call(COUNT)
            sent = await db.call(SEND, SendArgs(text="Hi"))
            assert await anext(live) == before + 1
            (row,) = (await db.query({"messages": {"$": {"where": {"id": sent}}}}))["messages"]
            assert row["text"] == "Hi"
            assert await db.call(GREET, {"name": "Ann"}) == "Hello Ann"
            event_id = new_id()
            once = [
                await db.call("messages.send", {"text": "once"}, event_id=event_id)
                for _ in range(3)
            ]
            assert len(set(once)) == 1
            assert {each["name"] for each in await db.list_functions()} >= {COUNT.name, SEND.name}


@pytest.mark.rule("PY20", "PY22")
def test_what_functions_refuse(project: Project) -> None:
    with project.app.sync() as db:
        with pytest.raises(TriceError) as refused:
            db.call(SEND, {"text": ""})
        assert refused.value.code == "function-error"
        assert (refused.value.reason, refused.value.data) == ("empty", {"least": 1})
        with pytest.raises(TriceError) as bad:
            db.call("messages.send", {"text": 3})
        assert (bad.value.code, bad.value.path) == ("bad-args", ["text"])
        with pytest.raises(TriceError) as missing:
            db.call("messages.sent")
        assert missing.value.code == "function-not-found"
        with db.subscribe_call("messages.send", {"text": "x"}) as live, pytest.raises(TriceError):
            live.get(WAIT_S)
        with db.subscribe_call("messages.count", {"at_least": 1}) as live:
            assert live.get(WAIT_S) == db.call("messages.count", {"at_least": 1})
