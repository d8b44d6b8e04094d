"""Backends in Python: a user's token checked and acted for, in four frameworks; work done later."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack
from typing import Any

import anyio
import httpx
import pytest

from client_apps import App, make_app
from frameworks import example
from support.patience import WAIT_S
from trice_client import Client, TriceError, new_id
from trice_client._users import VERIFIED_MAX, Verified

OWN = {"todos": {"allow": {"view": "auth.email == data.title"}}}
Ask = Callable[..., httpx.Response]


@pytest.fixture
def users(url: str) -> tuple[App, str]:
    """An app whose users see what has their address, and the token of one."""
    app = make_app(url, rules=OWN)
    with app.sync() as db:
        token = db.auth.create_token(email="ann@example.com")
        titles = ("ann@example.com", "bob@example.com")
        db.transact([db.tx.todos[new_id()].create({"title": title}) for title in titles])
    return app, token


@pytest.fixture
def redis() -> Iterator[str]:
    """A server that speaks Redis, in this process."""
    from fakeredis import TcpFakeServer

    server = TcpFakeServer(("127.0.0.1", 0))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"redis://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def check(ask: Ask, token: str) -> None:
    """Whoever has a token sees what is theirs; a token that is nobody's is refused, and so is what
    nobody signed."""
    found = ask("GET", "/todos", headers={"authorization": f"Bearer {token}"})
    assert [each["title"] for each in found.json()] == ["ann@example.com"], found.text
    for wrong in (f"Bearer {new_id()}", "Bearer", f"Basic {token}", "Bearer x y"):
        assert ask("GET", "/todos", headers={"authorization": wrong}).status_code == 401, wrong
    for signature in ({}, {"instant-signature": "t=1,kid=1,v1=00"}):
        refused = ask("POST", "/hook", content=b"{}", headers=signature)
        assert refused.status_code == 401 and "signature" in refused.text


@pytest.mark.rule("PY63")
@pytest.mark.parametrize("name", ["on_fastapi", "on_starlette"])
def test_asgi_frameworks_act_for_whom_a_request_names(name: str, users: tuple[App, str]) -> None:
    app, token = users

    async def ask(method: str, path: str, **more: Any) -> httpx.Response:
        async with AsyncExitStack() as stack:
            served = module.app
            await stack.enter_async_context(served.router.lifespan_context(served))
            transport = httpx.ASGITransport(served)
            client = httpx.AsyncClient(transport=transport, base_url="http://example")
            await stack.enter_async_context(client)
            return await client.request(method, path, **more)

    def asked(*words: Any, **more: Any) -> httpx.Response:
        # A client is entered once: each request has the program anew.
        nonlocal module
        with example(name, app) as module:
            return anyio.run(lambda: ask(*words, **more))

    module: Any = None
    check(asked, token)


@pytest.mark.rule("PY63")
@pytest.mark.parametrize("name", ["on_flask", "on_django"])
def test_wsgi_frameworks_act_for_whom_a_request_names(name: str, users: tuple[App, str]) -> None:
    app, token = users
    with (
        example(name, app) as module,
        module.db,
        httpx.Client(transport=httpx.WSGITransport(module.app), base_url="http://example") as web,
    ):
        check(web.request, token)
        if name == "on_django":
            assert web.get("/todos").json() == []  # who sends no token is a guest


@pytest.mark.rule("PY63")
@pytest.mark.anyio
async def test_a_token_is_verified(users: tuple[App, str]) -> None:
    app, token = users
    for more in ({}, {"admin_token": None}):
        async with app.aio(**more) as db:
            user = await db.auth.verify(f"Bearer {token}")
            assert (user["email"], user["refresh_token"]) == ("ann@example.com", token)
            assert len((await db.as_user(user).query({"todos": {}}))["todos"]) == 1
            assert (await db.auth.verify(token))["id"] == user["id"]
            for wrong in (None, "", "Bearer ", f"Basic {token}", "Bearer x", f"Bearer {new_id()}"):
                with pytest.raises(TriceError) as refused:
                    await db.auth.verify(wrong)
                assert (refused.value.code, refused.value.status) == ("token-rejected", 401)
    with Client(new_id(), server=app.url) as other, pytest.raises(TriceError) as failed:
        other.auth.verify(token)
    assert failed.value.code == "record-not-found"  # the app is missing, not the user


@pytest.mark.rule("PY64")
def test_only_who_asks_for_it_gets_an_answer_of_before(users: tuple[App, str]) -> None:
    app, token = users
    with app.sync() as db:
        db.auth.verify(token, max_age_s=60)
        db.auth.sign_out(token=token)
        known = db.as_guest().auth.verify(token, max_age_s=60)  # views share it
        with pytest.raises(TriceError):
            db.as_user(known).query({"todos": {}})
        with pytest.raises(TriceError):
            db.auth.verify(token)
        with pytest.raises(TriceError):
            db.auth.verify(token, max_age_s=60)  # the refusal was noted


@pytest.mark.rule("PY64")
def test_what_is_remembered_is_bounded() -> None:
    now = [0.0]
    verified = Verified(lambda: now[0])
    for number in range(VERIFIED_MAX + 1):
        verified.note("app", {"id": "x", "email": None, "refresh_token": str(number)})
    assert verified.find("app", "0", max_age_s=9) is None
    assert verified.find("app", "1", max_age_s=9) is not None
    assert verified.find("other", "1", max_age_s=9) is None
    now[0] = 9.0
    assert verified.find("app", "1", max_age_s=9) is None


@pytest.mark.rule("PY65")
def test_a_task_of_celery_writes_once(app: App) -> None:
    with example("on_celery", app) as module, module.db as db:
        db.transact(db.tx.todos[new_id()].create({"title": "Milk"}))
        report, task = new_id(), new_id()
        assert module.count_todos.apply(args=[report], task_id=task).get() == 1
        assert db.query({"reports": {}})["reports"][0]["todos"] == 1
        db.transact(db.tx.reports[report].update({"todos": 9}))
        # A worker that was killed is given its task again: what came after is not undone.
        assert module.count_todos.apply(args=[report], task_id=task).get() == 1
        assert db.query({"reports": {}})["reports"][0]["todos"] == 9


@pytest.mark.rule("PY65")
@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
@pytest.mark.filterwarnings("ignore:Call to deprecated close:DeprecationWarning")  # arq's own
async def test_a_job_of_arq_writes_once_and_waits_for_a_server_that_is_away(
    app: App, redis: str
) -> None:
    import arq
    from arq.constants import result_key_prefix

    async def work(module: Any, **more: Any) -> arq.Worker:
        settings = module.WorkerSettings
        worker = arq.Worker(
            functions=settings.functions,
            on_startup=settings.on_startup,
            on_shutdown=settings.on_shutdown,
            redis_settings=settings.redis_settings,
            max_tries=settings.max_tries,
            burst=True,
            handle_signals=False,
            **more,
        )
        try:
            await worker.run_check()
        finally:
            await worker.close()
        return worker

    def reports(db: Client) -> list[int]:
        return [each["todos"] for each in db.query({"reports": {}})["reports"]]

    with (
        anyio.fail_after(WAIT_S),
        app.sync() as db,
        pytest.MonkeyPatch.context() as patch,
    ):
        patch.setenv("REDIS_URL", redis)
        patch.setattr("arq.worker.log_redis_info", _nothing)  # the false Redis has no INFO
        db.transact(db.tx.todos[new_id()].create({"title": "Milk"}))
        report, job_id = new_id(), new_id()
        with example("on_arq", app) as module:
            pool = await arq.create_pool(module.REDIS)
            await pool.enqueue_job("count_todos", report, _job_id=job_id)
            await work(module)
            assert reports(db) == [1]
            db.transact(db.tx.reports[report].update({"todos": 9}))
            # A job whose worker died is run again: what came after is not undone.
            await pool.delete(result_key_prefix + job_id)
            await pool.enqueue_job("count_todos", report, _job_id=job_id)
            assert (await work(module)).jobs_complete == 1
            assert reports(db) == [9]
        away = App("http://127.0.0.1:9", app.id, app.admin_token)
        with example("on_arq", away) as module:
            ctx = {"db": away.aio(retry_s=0), "job_id": job_id, "job_try": 2}
            with pytest.raises(arq.Retry) as again:
                await module.count_todos(ctx, report)
            assert again.value.defer_score == 4_000
        await pool.aclose()


async def _nothing(*_: object) -> None: ...


@pytest.mark.rule("PY65")
def test_a_task_waits_for_a_server_that_is_away(app: App) -> None:
    nobody = App("http://127.0.0.1:9", app.id, app.admin_token)
    with example("on_celery", nobody) as module, module.db, pytest.MonkeyPatch.context() as patch:
        told: list[float] = []

        def retry(*, exc: TriceError, countdown: float) -> Exception:
            told.append(countdown)
            return exc

        patch.setattr(module.db._requests, "retry_s", 0)
        patch.setattr(module.count_todos, "retry", retry)
        failed = module.count_todos.apply(args=[new_id()])
        assert failed.result.code == "offline" and told == [1]
