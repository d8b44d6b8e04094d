"""The official client for Python, unmodified, against `trice serve`."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from instantdb import AsyncInstant, Instant, InstantAPIError, id, lookup

from support.patience import WAIT_S
from support.serving import get, post, serving
from support.webhook_receiver import receiving

README = Path(__file__).parents[3] / "README.md"
SCHEMA = {
    "entities": {
        "$users": {"attrs": {"email": {"valueType": "string", "config": {"unique": True}}}},
        "todos": {"attrs": {"title": {"valueType": "string", "config": {"unique": True}}}},
    },
    "links": {
        "owner": {
            "forward": {"on": "todos", "has": "one", "label": "owner"},
            "reverse": {"on": "$users", "has": "many", "label": "todos"},
        }
    },
}
RULES = {"todos": {"allow": {"view": "auth.id != null && auth.id == data.owner"}}}


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with serving(tmp_path_factory.mktemp("data"), "--port", "0") as (_, found):
        yield found


@pytest.fixture
def keys(url: str) -> dict[str, Any]:
    """What the client is made with."""
    body = {"title": "python", "schema": SCHEMA, "rules": {"code": RULES}}
    app = post(f"{url}/dash/apps/ephemeral", json=body).json()["app"]
    return {"app_id": app["id"], "admin_token": app["admin-token"], "api_uri": url}


@pytest.mark.rule("CLI110")
def test_writes_lookups_and_queries(keys: dict[str, Any]) -> None:
    with Instant(**keys) as db:
        todo = id()
        db.auth.create_token(email="ann@example.com")
        made = db.transact(db.tx.todos[todo].create({"title": "Milk", "done": False}))
        owner = lookup("email", "ann@example.com")
        linked = db.transact(db.tx.todos[lookup("title", "Milk")].link({"owner": owner}))
        assert linked["tx-id"] == made["tx-id"] + 1
        (found,) = db.query({"todos": {"owner": {}}})["todos"]
        assert found["title"] == "Milk"
        assert [user["email"] for user in found["owner"]] == ["ann@example.com"]
        db.transact([db.tx.todos[todo].merge({"more": {"a": 1}}), db.tx.todos[id()].update({})])
        where = {"todos": {"$": {"where": {"title": "Milk"}}}}
        assert db.query(where)["todos"][0]["more"] == {"a": 1}
        db.transact(db.tx.todos[todo].delete())
        assert db.query(where) == {"todos": []}
        with pytest.raises(InstantAPIError) as refused:
            db.transact(db.tx.todos[id()].update({"title": 1}))
        assert refused.value.status == 400


@pytest.mark.rule("CLI110")
def test_users_and_whom_rules_see(keys: dict[str, Any]) -> None:
    with Instant(**keys) as db:
        code = db.auth.generate_magic_code("ann@example.com")
        user, is_new = db.auth.check_magic_code(email="ann@example.com", code=code)
        assert is_new
        token = user["refresh_token"]
        assert db.auth.verify_token(token)["id"] == user["id"]
        todo = db.tx.todos[id()].create({"title": "hers"}).link({"owner": user["id"]})
        db.transact([todo, db.tx.todos[id()].create({"title": "nobody's"})])
        for caller in ({"email": "ann@example.com"}, {"token": token}):
            (hers,) = db.as_user(**caller).query({"todos": {}})["todos"]
            assert hers["title"] == "hers"
        guest = db.as_user(guest=True)
        assert guest.query({"todos": {}}) == {"todos": []}
        checks = guest.debug_query({"todos": {}})["check_results"]
        assert [check["check"] for check in checks] == [False, False]
        assert guest.debug_transact(db.tx.todos[hers["id"]].update({"done": True}))
        db.auth.sign_out(email="ann@example.com")
        with pytest.raises(InstantAPIError):
            db.auth.verify_token(token)
        db.auth.delete_user(email="ann@example.com")
        assert db.auth.get_user(email="ann@example.com") is None


@pytest.mark.rule("CLI110")
async def test_a_live_query(keys: dict[str, Any]) -> None:
    titles: list[list[str]] = []
    query = {"todos": {}}
    async with (
        asyncio.timeout(WAIT_S),
        AsyncInstant(**keys) as db,
        db.subscribe_query(query) as answers,
    ):
        async for answer in answers:
            titles.append([todo["title"] for todo in answer["data"]["todos"]])
            if len(titles) == 2:
                break
            await db.transact(db.tx.todos[id()].create({"title": "live"}))
    assert titles == [[], ["live"]]


@pytest.mark.rule("ST6")
async def test_streams_are_written_and_read(keys: dict[str, Any]) -> None:
    read = ""
    async with AsyncInstant(**keys) as db, asyncio.timeout(WAIT_S):
        async with db.streams.write(client_id="python") as writer:
            for piece in ("Hello ", "wörld", "!"):
                await writer.write(piece)
        async with db.streams.read(client_id="python") as reader:
            async for piece in reader:
                read += piece
    assert read == "Hello wörld!"


@pytest.mark.rule("WH1", "WH20", "WH30")
async def test_webhooks(tmp_path: Path) -> None:
    told: list[Any] = []
    async with receiving() as receiver:
        with serving(tmp_path, "--port", "0", "--webhooks-private") as (_, url):
            made = post(f"{url}/dash/apps/ephemeral", json={"title": "hooks", "schema": SCHEMA})
            app = made.json()["app"]
            keys = {"app_id": app["id"], "admin_token": app["admin-token"], "api_uri": url}
            async with AsyncInstant(**keys) as db:
                manager = db.webhooks.manager
                webhook = await manager.create(
                    url=receiver.url(), namespaces=["todos"], actions=["create"]
                )
                todo = id()
                await db.transact(db.tx.todos[todo].create({"title": "Milk"}))
                (delivery,) = await receiver.deliveries(1)
                body = await db.webhooks.validate(
                    signature_header=delivery.headers["instant-signature"], body=delivery.raw
                )
                payload = await db.webhooks.fetch_payloads(body)
                told += [(each["action"], each["after"]["title"]) for each in payload["data"]]
                isn = delivery.isn
                assert await manager.get_payload(webhook["id"], isn=isn) == payload
                assert [each["id"] for each in await manager.list()] == [webhook["id"]]
    assert told == [("create", "Milk")]


@pytest.mark.rule("CLI110")
def test_the_example_of_the_readme(
    keys: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    found = re.search(r"```python\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)
    assert found is not None
    code = found[1]
    for printed, ours in (
        ("YOUR APP ID", keys["app_id"]),
        ("ITS ADMIN TOKEN", keys["admin_token"]),
        ("http://localhost:8888", keys["api_uri"]),
    ):
        assert code.count(printed) == 1
        code = code.replace(printed, ours)
    names: dict[str, Any] = {}
    exec(compile(code, README, "exec"), names)
    names["db"].close()
    assert "hello from Python" in capsys.readouterr().out


@pytest.mark.rule("F40", "F60")
def test_files(keys: dict[str, Any], tmp_path: Path) -> None:
    with Instant(**keys) as db:
        path = tmp_path / "a.txt"
        path.write_bytes(b"hello")
        made = db.storage.upload_file("a.txt", path.read_bytes())
        (row,) = db.query({"$files": {}})["$files"]
        assert row["id"] == made["data"]["id"]
        assert get(row["url"]).content == b"hello"
