"""What many clients at once share: frames, commits, and a loop that goes on serving."""

from __future__ import annotations

import asyncio
import threading

import pytest

T1 = "e1000000-0000-4000-8000-000000000001"
ALL = {"todos": {}}


def todo(number):
    return f"e1{number:06d}-0000-4000-8000-000000000001"


@pytest.mark.rule("P46")
async def test_a_refresh_is_one_object_for_all_sockets(stage):
    clients = [await stage.client() for _ in range(20)]
    for client in clients:
        client.say("add-query", q=ALL)
        await client.hear("add-query-ok")
    clients[0].say("transact", tx_steps=stage.create("todos", T1, title="new"))
    for client in clients:
        await client.hear("refresh-ok")
    assert len({id(client.raw[-1]) for client in clients}) == 1
    assert stage.app.database.live.counts.rerun_query == 1


@pytest.mark.rule("P47")
async def test_fifty_clients_that_write_at_once_share_two_commits(stage):
    clients = [await stage.client() for _ in range(50)]
    groups = []
    publish = stage.app.database.engine._writer._after_group

    def noted(commits):
        groups.append(len(commits))
        publish(commits)

    stage.app.database.engine._writer._after_group = noted
    for number, client in enumerate(clients):
        steps = stage.create("todos", todo(number))
        client.say("transact", tx_steps=steps, event_id=f"write {number}")
    for client in clients:
        await client.hear("transact-ok")
    assert groups == [1, 49], "the first starts at once, the others share the next"


@pytest.mark.rule("P47")
async def test_reads_are_served_while_a_commit_waits_for_the_disk(stage):
    writer, reader = await stage.client(), await stage.client()
    is_synced = threading.Event()
    stage.app.database.engine._writer._writer_thread.submit(is_synced.wait)  # the disk is slow
    try:
        writer.say("transact", tx_steps=stage.create("todos", T1, title="new"))
        for number in range(3):
            reader.say("add-query", q={"todos": {"$": {"limit": number + 1}}})
            await reader.hear("add-query-ok")
        await asyncio.sleep(0)
        assert writer.unheard() == []
    finally:
        is_synced.set()
    await writer.hear("transact-ok")
