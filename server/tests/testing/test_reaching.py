"""What a test of a project has of what actions reach: HTTP, mail, files, streams, deaths."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from support.reaching import acts, do, load_reaching, open_reaching
from trice.functions import RefusedError
from trice.testing.app import App
from trice.testing.project import Project
from trice.testing.stage import Stage


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    return load_reaching(tmp_path_factory.mktemp("reaching"))


@pytest.fixture
async def stage(project: Project) -> AsyncIterator[Stage]:
    async with open_reaching(project) as made:
        yield made


@pytest.fixture
def app(stage: Stage) -> App:
    return App(stage)


@pytest.mark.rule("FN514")
async def test_a_test_answers_and_sees_what_was_asked(app: App) -> None:
    app.http.answer("https://a.example/*", status=201, json={"ok": 1}, headers={"X-Own": "y"})
    app.http.answer("https://a.example/text", method="post", text="hé")
    app.http.answer("https://a.example/page?n=*", text="of a query")
    app.http.answer("https://gone.example/", error=httpx.ConnectError("gone"))
    app.http.answer("https://model.example/", content=[b"one ", b"two"])

    async def work(ctx: Any) -> Any:
        made = await ctx.http.get("https://a.example/v1/push?x=1")
        assert (made.status_code, made.json(), made.headers["x-own"]) == (201, {"ok": 1}, "y")
        assert (await ctx.http.post("https://a.example/text", data={"a": "b"})).text == "hé"
        assert (await ctx.http.get("https://a.example/page", params={"n": 2})).text == "of a query"
        assert (await ctx.http.get("https://a.example/page")).json() == {"ok": 1}
        with pytest.raises(httpx.ConnectError, match="gone"):
            await ctx.http.get("https://gone.example/")
        async with ctx.http.stream("GET", "https://model.example/") as made:
            return [piece async for piece in made.aiter_bytes()]

    assert await do(app, work) == [b"one ", b"two"]
    first, second, *_ = app.http.requests
    assert (first.method, first.url.path, first.url.params["x"]) == ("GET", "/v1/push", "1")
    assert second.content == b"a=b" and len(app.http.requests) == 6
    with pytest.raises(TypeError, match="one of them"):
        app.http.answer("https://a.example/", json=1, text="x")


@pytest.mark.rule("FN514")
async def test_what_nobody_answers_fails_and_nothing_leaves(app: App) -> None:
    app.http.answer("https://a.example/", method="GET")
    with pytest.raises(RefusedError) as raised:
        await app.guest.run(acts().ask, "https://a.example/?token=1")
    (note,) = raised.value.__notes__
    assert "Nobody answers POST https://a.example/?token=1" in note
    assert "app.http.answer('https://a.example/', …)" in note
    assert [each.method for each in app.http.requests] == ["POST"]


@pytest.mark.rule("FN514")
async def test_answers_have_the_bounds_of_a_server(app: App) -> None:
    app.http.answer("https://a.example/", content=[b"x" * 1024 * 1024] * 11)

    async def work(ctx: Any) -> None:
        with pytest.raises(httpx.ReadError, match="more than 10,485,760 bytes"):
            await ctx.http.get("https://a.example/")

    await do(app, work)


@pytest.mark.rule("FN515")
async def test_mail_files_and_streams_are_seen(app: App) -> None:
    await app.files.put("seen.txt", b"from the test")

    async def work(ctx: Any) -> Any:
        await ctx.mail.send("al@example.com", subject="Hi", text="Hello")
        await ctx.files.upload("copy.txt", await ctx.files.read("seen.txt"))
        async with ctx.stream() as out:
            await out.write("so far")
            return out.id

    id = await do(app, work)
    (mail,) = app.mail.sent
    assert (mail.to, mail.subject, mail.text) == ("al@example.com", "Hi", "Hello")
    assert await app.files.read("copy.txt") == b"from the test"
    assert await app.files.read("none") is None
    now = await app.streams.read(id)
    assert (now.text, now.is_done, now.abort_reason) == ("so far", True, None)
    for failing in (app.files.put(" ", b""), app.streams.read(id[::-1])):
        with pytest.raises(RefusedError):
            await failing


@pytest.mark.rule("FN652")
async def test_plain_actions_reach_what_async_ones_do(app: App) -> None:
    app.http.answer("https://a.example/", status=201)
    app.http.answer("https://a.example/lines", text="one\ntwo")
    app.http.answer("https://a.example/bytes", content=[b"12", b"345"])
    message = await app.create(sys.modules["schema"].Message, text="first")
    status, lines, size, id, none, is_there, text, is_gone = await app.guest.run(
        acts().plainly, message
    )
    assert (status, lines, size, none) == (201, ["one", "two"], 5, None)
    assert (is_there, text, is_gone) == (True, "12345", True)
    assert (await app.streams.read(id)).text == "12345"
    assert app.mail.sent[0].subject == "Hi"
    # The message that was made has made a hook run, which is a plain function too.
    assert (await app.request("GET", "/plain/al")).text() == "al 2"


@pytest.mark.rule("FN652")
async def test_what_plain_actions_reach_in_vain_is_told(app: App) -> None:
    app.http.answer("https://gone.example/", error=httpx.ConnectError("gone"))
    told = {
        "settle": "TypeError: ctx.settle waits for things that go on at once",
        "text": "TypeError: A file is bytes, or an iterator of bytes, not 'text'",
        "get": "ConnectError: gone",
        "stream": "ConnectError: gone",
    }
    for how, failure in told.items():
        with pytest.raises(RefusedError) as raised:
            await app.guest.run(acts().fails_plainly, how)
        assert failure in raised.value.__notes__[0]
    (row,) = (await app.admin.query({"$streams": {}}))["$streams"]
    aborted = await app.streams.read(row["id"])
    assert (aborted.text, aborted.abort_reason) == ("half", "ConnectError")


@pytest.mark.rule("FN515", "FN431")
async def test_nothing_of_it_stays(project: Project) -> None:
    async with open_reaching(project) as stage:
        await App(stage).files.put("a", b"x")
        assert len(list(project.folder.glob("*.files"))) == 1
    assert [path.name for path in project.folder.iterdir()] == ["template.db"]


@pytest.mark.rule("FN516")
@pytest.mark.parametrize(("where", "ran"), [("after", [5, 6]), ("inside", [5, 5, 6])])
async def test_a_job_dies_where_the_test_says(app: App, where: str, ran: list[int]) -> None:
    acts().RAN.clear()
    app.crash(acts().order, **{where: "charge"})
    await app.guest.run(acts().buy)
    (job,) = (await app.admin.query({"$jobs": {}}))["$jobs"]
    assert (job["state"], job["error"]["code"], acts().RAN) == ("scheduled", "worker-lost", [5])
    await app.advance(seconds=1)
    (job,) = (await app.admin.query({"$jobs": {}}))["$jobs"]
    assert (job["state"], job["result"]["value"], acts().RAN) == ("done", [5, 6], ran)


@pytest.mark.rule("FN516")
async def test_only_steps_of_actions_die(app: App) -> None:
    for function, given, told in (
        (acts().buy, {"after": "x"}, "acts.buy is a mutation: only actions have steps"),
        (acts().order, {}, "after= or inside=, one of them"),
        (acts().order, {"after": "x", "inside": "x"}, "after= or inside=, one of them"),
    ):
        with pytest.raises(TypeError, match=told):
            app.crash(function, **given)
    acts().RAN.clear()
    app.crash(acts().order, after="no such step")
    await app.guest.run(acts().buy)
    assert acts().RAN == [5, 6]
