"""Rooms: how fast a move of one member reaches the others, and what members cost.

A member moves by setting its presence, which holds the time at which it was sent. A few members
listen; the others count bytes only, so that this process has time to be exact. A server may leave
out moves that newer ones replaced: only what arrives is timed.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field

import orjson

from connection import Connection
from process import ServerProcess
from scale import Scale
from workloads import Cost, Row, connect_many, percentile, rest

EARS = 4
ROOM_SIZE = 5
WARM_UP_SOCKETS = 20


@dataclass(slots=True)
class Ear:
    """A member that notes how old each move is when it arrives.

    names   its name in the room → the latest time that was seen, so that no move counts twice
    """

    ages_ms: list[float] = field(default_factory=list)
    seen: dict[str, float] = field(default_factory=dict)

    def hear(self, payload: bytes) -> None:
        now = time.perf_counter()
        parsed = orjson.loads(payload)
        for message in parsed if isinstance(parsed, list) else [parsed]:
            if message["op"] == "patch-presence":
                for path, _, *value in message["edits"]:
                    self._note(path, value[0] if value else None, now)
            elif message["op"] == "refresh-presence":
                for peer, entry in message["data"].items():
                    self._note([peer, "data"], entry["data"], now)

    def _note(self, path: list[str], value: object, now: float) -> None:
        if path[1:] == ["data"] and isinstance(value, dict):
            value = value.get("at")
        elif path[1:] != ["data", "at"]:
            return
        if isinstance(value, float) and value > self.seen.get(path[0], 0.0):
            self.seen[path[0]] = value
            self.ages_ms.append((now - value) * 1000)


async def one_room(server: ServerProcess, scale: Scale) -> list[Row]:
    """Everybody in one room moves many times a second."""
    count, rate = scale.room_members, scale.room_moves_per_s
    label = f"{count} members x {rate} moves/s in one room"
    return await _moving(
        server,
        scale,
        key="room_one",
        label=label,
        rooms=["arena"] * count,
        moves_per_s=count * rate,
    )


async def many_rooms(server: ServerProcess, scale: Scale) -> list[Row]:
    """Many small rooms, in which one member after the other moves."""
    rooms = [f"room {n // ROOM_SIZE}" for n in range(scale.small_rooms * ROOM_SIZE)]
    label = f"{scale.small_rooms:,} rooms of {ROOM_SIZE}, {scale.small_moves_per_s:,} moves/s"
    return await _moving(
        server,
        scale,
        key="room_many",
        label=label,
        rooms=rooms,
        moves_per_s=scale.small_moves_per_s,
    )


async def idle_members(server: ServerProcess, scale: Scale) -> list[Row]:
    """kB for each member of one room in which nothing happens, beside those of a socket."""
    count = scale.idle_members
    app_id = server.create_app()
    for connection in await connect_many(server, app_id, WARM_UP_SOCKETS):
        connection.close()
    connections = await connect_many(server, app_id, count)
    await rest(server, scale)
    before_mb = server.rss_mb()
    await _join(connections, [f"hall {n // 50}" for n in range(count)])
    await rest(server, scale)
    grown_kb = (server.rss_mb() - before_mb) * 1e3 / count
    for connection in connections:
        connection.close()
    label = f"memory, {count:,} idle members in rooms of 50: each"
    return [Row("room_idle", label, "kB", [grown_kb])]


async def _moving(
    server: ServerProcess,
    scale: Scale,
    *,
    key: str,
    label: str,
    rooms: list[str],
    moves_per_s: int,
) -> list[Row]:
    """Members of `rooms`, one for each name, move in turn for some time a round."""
    p50 = Row(f"{key}_p50", f"{label}: delivery p50", "ms")
    p99 = Row(f"{key}_p99", f"{label}: delivery p99", "ms")
    cpu = Row(f"{key}_cpu", f"{label}: server CPU of one core", "%")
    app_id = server.create_app()
    connections = await connect_many(server, app_id, len(rooms))
    await _join(connections, rooms)
    ears = [Ear() for _ in range(min(EARS, len(rooms)))]
    step = len(connections) // len(ears)
    for index, connection in enumerate(connections):
        connection.on_message = _ignore
        if index % step == 0 and index // step < len(ears):
            connection.on_message = ears[index // step].hear
    for _ in range(scale.rounds):
        await rest(server, scale)
        for ear in ears:
            ear.ages_ms.clear()
        cost = Cost(server)
        started = time.perf_counter()
        await _move(connections, rooms, moves_per_s=moves_per_s, duration_s=scale.room_round_s)
        took_s = time.perf_counter() - started
        ages_ms = [age for ear in ears for age in ear.ages_ms]
        if not ages_ms:
            raise RuntimeError("no member heard of any move")
        p50.samples.append(percentile(ages_ms, 0.5))
        p99.samples.append(percentile(ages_ms, 0.99))
        cpu.samples.append(cost.server_s() / took_s * 100)
        for row in (p50, p99, cpu):
            row.client_share.append(cost.client_share())
    for connection in connections:
        connection.close()
    return [p50, p99, cpu]


async def _join(connections: list[Connection], rooms: list[str]) -> None:
    """Join a room each, a few at a time."""
    for first in range(0, len(connections), 50):
        part = slice(first, first + 50)
        joins = (
            connection.ask({"op": "join-room", "room-type": "bench", "room-id": room, "data": {}})
            for connection, room in zip(connections[part], rooms[part], strict=True)
        )
        await asyncio.gather(*joins)


async def _move(
    connections: list[Connection], rooms: list[str], *, moves_per_s: int, duration_s: float
) -> None:
    """Let members move in turn, evenly over the time. If this process falls behind, moves are
    sent late but none is left out, and each holds the time at which it really left."""
    started, sent = time.perf_counter(), 0
    while (passed_s := time.perf_counter() - started) < duration_s:
        due = int(passed_s * moves_per_s)
        for n in range(sent, due):
            index = n % len(connections)
            data = {"at": time.perf_counter(), "x": n % 997, "y": n % 991}
            connections[index].send(
                b'{"op":"set-presence","client-event-id":"%d","room-id":%b,"data":%b}'
                % (n, orjson.dumps(rooms[index]), orjson.dumps(data))
            )
        sent = due
        await asyncio.sleep(0.002)
    await asyncio.sleep(min(duration_s, 0.2))  # what is on its way


def _ignore(payload: bytes) -> None:
    """Members that do not listen: their bytes are only taken from the socket."""


ALL = (one_room, many_rooms, idle_members)
