"""The chat of `projects/chat`, run against a real database."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from support.function_stage import Stage, open_stage


def uid(number: int) -> str:
    return f"e{number:07d}-0000-4000-8000-000000000000"


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    async with open_stage(tmp_path) as made:
        yield made


@pytest.fixture
async def alice(stage: Stage) -> dict[str, Any]:
    return await stage.user(uid(1), nickname="al")


async def test_a_mutation_writes_and_a_query_reads_it_in_its_view(
    stage: Stage, alice: dict[str, Any]
) -> None:
    channel = await stage.call("channels.create", user=alice, title="news")
    message = await stage.call("messages.send", user=alice, channel=channel, text="hi")
    found = await stage.call("messages.recent", user=alice, channel=channel)
    assert found == [
        {
            "id": message,
            "text": "hi",
            "kind": "text",
            "sent_at": "2023-11-14T22:13:20Z",
            "author": {"id": alice["id"], "nickname": "al"},
        }
    ]
    assert await stage.call("channels.all_of_them") == [
        {
            "id": channel,
            "title": "news",
            "sent": 1,
            "members": [{"id": alice["id"], "nickname": "al"}],
        }
    ]


async def test_a_function_error_is_told_as_it_is(stage: Stage, alice: dict[str, Any]) -> None:
    bob = await stage.user(uid(2))
    channel = await stage.call("channels.create", user=alice, title="news")
    fail = await stage.fail("messages.send", user=bob, channel=channel, text="hi")
    assert (fail.code, fail.message) == ("function-error", "Join the channel first.")
    assert fail.data == {"code": "not-a-member", "data": {"channel": channel}}
    await stage.call("channels.join", user=bob, channel=channel)
    await stage.call("messages.send", user=bob, channel=channel, text="hi")


async def test_a_mutation_within_a_mutation_sees_what_was_written(
    stage: Stage, alice: dict[str, Any]
) -> None:
    await stage.call("channels.welcome", user=alice, title="news")
    assert [kind if isinstance(kind, str) else kind[0] for kind in stage.channel.told] == [
        *("sub", "draft", "sub-end", "sub", "draft", "sub-end")
    ]


async def test_pages_neither_overlap_nor_leave_gaps(stage: Stage, alice: dict[str, Any]) -> None:
    channel = await stage.call("channels.create", user=alice, title="news")
    for number in range(7):
        stage.runtime.advance(number % 2)
        await stage.call("messages.send", user=alice, channel=channel, text=str(number))
    seen: list[str] = []
    after = None
    while True:
        page = await stage.call(
            "messages.history", channel=channel, page={"size": 2, "after": after}
        )
        seen += [each["text"] for each in page["items"]]
        after = page["next"]
        if after is None:
            break
    assert len(seen) == 7 and set(seen) == set("0123456")


async def test_an_action_runs_functions_each_by_itself(stage: Stage, alice: dict[str, Any]) -> None:
    channel = await stage.call("channels.create", user=alice, title="news")
    await stage.call("messages.send", user=alice, channel=channel, text="hi")
    assert await stage.call("channels.tidy", channel=channel) == "NEWS"
    found = await stage.ask({"channels": {}})
    assert found["channels"][0]["title"] == "NEWS"


async def test_lists_in_views_are_bounded(stage: Stage, alice: dict[str, Any]) -> None:
    channel = await stage.call("channels.create", user=alice, title="news")
    for number in range(12):
        stage.runtime.advance(1)
        await stage.call("messages.send", user=alice, channel=channel, text=str(number))
    found = await stage.call("channels.with_messages", channel=channel)
    assert [each["text"] for each in found["messages"]] == [
        str(number) for number in range(11, 1, -1)
    ]
