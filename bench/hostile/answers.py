"""Attacks by what the server must answer, parse or plan: queries, and bytes full of brackets."""

from __future__ import annotations

from typing import Any

import orjson

from stage import Attack, Stage
from stranger import RawSocket

DEPTH = 30
TODOS = 60


def nested(levels: int) -> dict[str, Any]:
    """`{todos: {owner: {todos: …}}}`: with n todos of one owner, n^levels of them are shown."""
    inner: dict[str, Any] = {}
    for n in reversed(range(levels)):
        inner = {("owner" if n % 2 else "todos"): inner}
    return inner


def alternatives(count: int, label: str = "title") -> dict[str, Any]:
    return {"or": [{label: f"v{n}"} for n in range(count)]}


async def nested_admin(stage: Stage) -> None:
    app = await stage.crowded_app(TODOS)
    for levels in (6, 8, DEPTH):
        await stage.stranger.as_admin(app, "/admin/query", {"query": nested(levels)})


async def nested_checked(stage: Stage) -> None:
    app = await stage.crowded_app(TODOS)
    for levels in (6, 8, DEPTH):
        headers = {"app-id": app.id, "authorization": f"Bearer {app.token}", "as-guest": "true"}
        body = {"query": nested(levels)}
        await stage.stranger.post("/admin/query_perms_check", body, headers)


async def nested_framework(stage: Stage) -> None:
    app = await stage.crowded_app(TODOS)
    for levels in (6, 8, DEPTH):
        headers = {"app-id": app.id}
        body = {"query": nested(levels)}
        await stage.stranger.post("/runtime/framework/query", body, headers)


async def nested_tree(stage: Stage) -> None:
    app = await stage.crowded_app(TODOS)
    socket = await stage.stranger.socket(app)
    for levels in (6, 8, DEPTH):
        await socket.ask({"op": "add-query", "q": nested(levels), "return-type": "tree"})
    socket.close()


async def nested_flat(stage: Stage) -> None:
    app = await stage.crowded_app(TODOS)
    socket = await stage.stranger.socket(app)
    for levels in (6, 8, DEPTH):
        await socket.ask({"op": "add-query", "q": nested(levels)})
    socket.close()


async def nested_many_to_many(stage: Stage) -> None:
    """The same over a link that multiplies rows at each level, with wide rows."""
    links = {
        "friends": {
            "forward": {"on": "people", "has": "many", "label": "friends"},
            "reverse": {"on": "people", "has": "many", "label": "friendOf"},
        }
    }
    schema = {"entities": {"people": {"attrs": {}}}, "links": links}
    app = await stage.stranger.new_app(schema)
    ids = [f"00000000-0000-4000-8000-{n:012d}" for n in range(40)]
    steps = [["update", "people", one, {"about": "x" * 2_000}] for one in ids]
    steps += [["link", "people", one, {"friends": ids}] for one in ids]
    await stage.stranger.as_admin(app, "/admin/transact", {"steps": steps}, is_setup=True)
    query: dict[str, Any] = {}
    for _ in range(DEPTH):
        query = {"friends": query}
    await stage.stranger.as_admin(app, "/admin/query", {"query": {"people": query}})
    socket = await stage.stranger.socket(app)
    await socket.ask({"op": "add-query", "q": {"people": query}, "return-type": "tree"})
    await socket.ask({"op": "add-query", "q": {"people": query}})
    socket.close()


async def _ask_each(stage: Stage, queries: list[dict[str, Any]]) -> None:
    """Send each query over a socket, as a guest of the app that others use."""
    socket = await stage.stranger.socket(stage.guest_of_victim)
    for _ in range(stage.force.repeats):
        for query in queries:
            await socket.ask({"op": "add-query", "q": query})
    socket.close()


async def many_conditions(stage: Stage) -> None:
    """Alternatives in each of many nested forms, and in each of many top forms."""
    chain: dict[str, Any] = {}
    for n in reversed(range(30)):
        chain = {("owner" if n % 2 else "todos"): {"$": {"where": alternatives(990)}, **chain}}
    siblings = {f"n{n}": {"$": {"where": alternatives(900)}} for n in range(450)}
    inner = {"$": {"where": alternatives(990)}}
    wide = {"todos": {f"link{n}": inner for n in range(200)}}
    await _ask_each(stage, [chain, siblings, wide])


async def many_values(stage: Stage) -> None:
    """29,000 values in `$in`, in each of many forms."""
    values = [f"v{n}" for n in range(29_000)]
    queries = [{f"n{n}": {"$": {"where": {"title": {"$in": values}}}} for n in range(20)}]
    inner: dict[str, Any] = {}
    for n in reversed(range(8)):
        label = "name" if n % 2 else "title"
        where = {label: {"$in": values}}
        inner = {("owner" if n % 2 else "todos"): {"$": {"where": where}, **inner}}
    await _ask_each(stage, [*queries, inner])


async def long_paths(stage: Stage) -> None:
    """Alternatives on a path of four links; negations, which expand into alternatives."""
    path = "owner.todos.owner.todos.title"
    negated = {"or": [{path: {"$not": f"v{n}"}} for n in range(300)]}
    both = {"and": [alternatives(15, path) for _ in range(60)]}
    wheres = [alternatives(990, path), negated, both]
    await _ask_each(stage, [{"todos": {"$": {"where": where}}} for where in wheres])


async def costly_patterns(stage: Stage) -> None:
    """`$ilike` with many wildcards over as long texts as an index takes, from many sockets."""
    title = {"valueType": "string", "config": {"indexed": True}}
    app = await stage.stranger.new_app({"entities": {"todos": {"attrs": {"title": title}}}})
    ids = [f"00000000-0000-4000-8000-{n:012d}" for n in range(2_000 * stage.force.repeats)]
    steps = [["update", "todos", one, {"title": "ab" * 500}] for one in ids]
    await stage.stranger.as_admin(app, "/admin/transact", {"steps": steps}, is_setup=True)

    async def search(n: int) -> None:
        socket = await stage.stranger.socket(app)
        pattern = "%" + "a%b_" * 200 + f"{n}c"
        await socket.ask(
            {"op": "add-query", "q": {"todos": {"$": {"where": {"title": {"$ilike": pattern}}}}}}
        )
        socket.close()

    await stage.at_once(min(stage.force.connections, 20), search)


async def slow_queries(stage: Stage) -> None:
    """One stranger fills the threads for long reads of the app that others use."""
    socket = await stage.stranger.socket(stage.guest_of_victim)
    where = alternatives(200, "owner.todos.owner.name")
    count = 100 * stage.force.repeats
    for n in range(count):
        q = {"todos": {"$": {"where": {"and": [where, {"title": {"$not": f"{n}"}}]}}}}
        socket.say(orjson.dumps({"op": "add-query", "client-event-id": f"slow-{n}", "q": q}))
    await socket.answer(f"slow-{count - 1}")
    other = await stage.stranger.socket(stage.guest_of_victim)
    await other.ask({"op": "add-query", "q": {"todos": {"$": {"where": where, "limit": 1}}}})
    socket.close()
    other.close()


BRACKETS = 8_000_000


async def brackets(stage: Stage) -> None:
    """8 MB of lists as a query, as steps, as a value, as anything; plain and deflated."""
    lists = b"[" + b"[]," * (BRACKETS // 3) + b"[]]"
    await _each_body(stage, lists, is_deflated=False)
    await _each_body(stage, lists, is_deflated=True)


async def _each_body(stage: Stage, lists: bytes, *, is_deflated: bool) -> None:
    bodies = (
        b'{"op":"add-query","client-event-id":"%b","q":' + lists + b"}",
        b'{"op":"add-query","client-event-id":"%b","q":{"todos":{"$":{"where":{"title":{"$in":'
        + lists
        + b"}}}}}}",
        b'{"op":"transact","client-event-id":"%b","tx-steps":' + lists + b"}",
        b'{"op":"transact","client-event-id":"%b","tx-steps":[["add-triple","'
        + b"00000000-0000-4000-8000-000000000000"
        + b'","%b",'
        + lists
        + b"]]}",
        b'{"op":"nothing","client-event-id":"%b","x":' + lists + b"}",
    )
    for n, body in enumerate(bodies):
        socket = await stage.stranger.socket(stage.guest_of_victim, is_deflated=is_deflated)
        event = f"brackets-{n}-{is_deflated}".encode()
        attr = socket.attrs.get("todos.title", "").encode()
        holes = (event, attr) if body.count(b"%b") == 2 else (event,)
        await socket.ask_bytes(body % holes, event.decode(), is_deflated=is_deflated)
        socket.close()


async def undecodable(stage: Stage) -> None:
    """Messages that the decoder refuses: each must be answered to its own event id."""
    socket: RawSocket | None = None
    bodies = (
        b'"\\ud83d"',
        b"1e999",
        b"NaN",
        b"[" * 1_000 + b"]" * 1_000,
        b'{"a":' * 1_000 + b"1" + b"}" * 1_000,
        b'"' + b"x" * 9_000_000 + b'"',
    )
    for n, body in enumerate(bodies):
        for op, key in (("add-query", "q"), ("transact", "tx-steps")):
            if socket is None or socket.reader.at_eof():
                socket = await stage.stranger.socket(stage.guest_of_victim)
            event = f"bad-{n}-{op}"
            head = f'{{"op":"{op}","client-event-id":"{event}","{key}":'.encode()
            if await socket.ask_bytes(head + body + b"}", event) is None:
                socket.close()
                socket = None
    if socket is not None:
        socket.close()


async def large_transactions(stage: Stage) -> None:
    """Many sessions send as many steps as a message holds, all at once."""
    ids = [f"00000000-0000-4000-8000-{n:012d}" for n in range(50_000)]

    async def write(n: int) -> None:
        socket = await stage.stranger.socket(stage.guest_of_victim)
        title = socket.attrs["todos.title"]
        steps = [["add-triple", one, title, f"{n}"] for one in ids]
        await socket.ask({"op": "transact", "tx-steps": steps})
        socket.close()

    await stage.at_once(min(4 * stage.force.repeats, 8), write)


ATTACKS = (
    Attack("nested answers, /admin/query", nested_admin),
    Attack("nested answers, query_perms_check", nested_checked),
    Attack("nested answers, framework query", nested_framework),
    Attack("nested answers, tree over a socket", nested_tree),
    Attack("nested answers, triples over a socket", nested_flat),
    Attack("nested answers, many to many, wide rows", nested_many_to_many),
    Attack("conditions: hundreds in hundreds of forms", many_conditions),
    Attack("conditions: 29,000 values in many forms", many_values),
    Attack("conditions: long paths, negations", long_paths),
    Attack("patterns with many wildcards", costly_patterns),
    Attack("slow queries of one stranger", slow_queries),
    Attack("8 MB of brackets", brackets),
    Attack("messages no decoder takes", undecodable),
    Attack("transactions as large as they may be", large_transactions),
)
