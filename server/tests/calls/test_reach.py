"""What actions reach through the server: files, streams, mail, on the real engines.

A little over 500 lines, one file because the examples use one project.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest

from support.reaching import acts, do, load_reaching, open_reaching
from support.webhook_receiver import answer, receiving
from trice import reach_limits, stream_limits
from trice.apps.settings import EmailTemplate, Settings
from trice.auth.throttle import Throttle
from trice.errors import Unavailable
from trice.functions import RefusedError, frames
from trice.rate_limit import Buckets
from trice.reach.mailing import Mailing, text_of
from trice.reach.reach import ServerReach
from trice.streams.streams import Streams
from trice.testing.app import App
from trice.testing.project import Project
from trice.testing.reach import SentMails
from trice.testing.stage import Stage

BIG = reach_limits.FILE_PIECE_BYTES * 2 + 7


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


async def refusal(work: Any) -> RefusedError:
    with pytest.raises(RefusedError) as raised:
        await work
    return raised.value


# --- in processes ---------------------------------------------------------------------------------


@pytest.mark.rule("FN500", "FN504", "FN507", "FN510")
@pytest.mark.uvloop
async def test_an_action_in_a_process_reaches_all_of_it(project: Project) -> None:
    text = "word " * 200_000
    async with receiving() as receiver, open_reaching(project, is_apart=True) as stage:
        app = App(stage)
        receiver.answers = [answer(200, text), answer(201, "seen")]
        schema = __import__("schema")
        message = await app.create(schema.Message, text="q")
        was_there, size, stream = await app.guest.run(acts().all_of_it, receiver.url(), message)
        assert (was_there, size) == (False, 1_000_000)
        now = await app.streams.read(stream)
        assert (now.text, now.is_done, now.abort_reason) == (text, True, None)
        assert await app.files.read("kept/a.bin") == text.encode()
        assert [each.to for each in app.mail.sent] == ["al@example.com"]
        asked = {"messages": {"streams": {}}}
        (row,) = (await app.admin.query(asked))["messages"]
        assert [(each["id"], each["model"]) for each in row["streams"]] == [(stream, "large")]
        assert await app.guest.run(acts().ask, receiver.url()) == [201, "seen"]


@pytest.mark.rule("FN509", "FN511")
@pytest.mark.uvloop
async def test_what_a_killed_process_left_is_aborted(project: Project) -> None:
    async with open_reaching(project, is_apart=True) as stage:
        app = App(stage)
        message = await app.create(__import__("schema").Message, text="q")
        failure = await refusal(app.guest.run(acts().dies, message))
        assert failure.code == "worker-lost"
        (row,) = (await app.admin.query({"$streams": {}}))["$streams"]
        assert (row["done"], row["abortReason"]) == (True, "worker-lost")
        assert (await app.streams.read(row["id"])).text == "half of "
        assert await app.files.read("never") is None
        assert stage.reach.files.uploads == 0


# --- files ----------------------------------------------------------------------------------------


@pytest.mark.rule("FN507", "FN508")
async def test_a_file_is_kept_found_read_and_deleted(app: App) -> None:
    data = bytes(range(256)) * (BIG // 256)

    async def pieces() -> AsyncIterator[bytes]:
        for start in range(0, len(data), 10_000):
            yield data[start : start + 10_000]

    async def work(ctx: Any) -> Any:
        first = await ctx.files.upload("a/b.bin", b"first", content_type="text/x")
        second = await ctx.files.upload("a/b.bin", pieces())
        assert second.id == first.id and second.size == len(data)
        empty = await ctx.files.upload("empty", b"")
        assert empty.size == 0 and await ctx.files.read("empty") == b""
        found = [piece async for piece in await ctx.files.open("a/b.bin")]
        assert max(map(len, found)) == reach_limits.FILE_PIECE_BYTES
        assert b"".join(found) == await ctx.files.read("a/b.bin") == data
        assert (await ctx.files.find("a/b.bin")).url.startswith("/")
        assert await ctx.files.delete("empty") and not await ctx.files.delete("empty")
        assert await ctx.files.find("empty") is None
        return (await refusal(ctx.files.open("empty"))).code

    assert await do(app, work) == "file-not-found"
    (row,) = (await app.admin.query({"$files": {}}))["$files"]
    assert (row["path"], row["size"]) == ("a/b.bin", len(data))
    assert row["url"].startswith("/")


@pytest.mark.rule("FN507")
async def test_what_is_no_file_changes_nothing(stage: Stage, app: App, monkeypatch: Any) -> None:
    files = stage.reach.files
    files.file_bytes_max = 1_000_000

    async def broken() -> AsyncIterator[Any]:
        yield b"x"
        raise KeyError("gone")

    async def wrong() -> AsyncIterator[Any]:
        yield "text"

    async def long() -> AsyncIterator[bytes]:
        for _ in range(3):
            yield b"x" * reach_limits.FILE_PIECE_BYTES

    async def work(ctx: Any) -> Any:
        with pytest.raises(KeyError):
            await ctx.files.upload("a", broken())
        for given in (wrong(), "text", 5):
            with pytest.raises(TypeError, match="bytes"):
                await ctx.files.upload("a", given)
        told = [
            (await refusal(ctx.files.upload(path, given))).code
            for path, given in (("a", long()), ("a", b"x" * 1_000_001), (" ", b""), ("\n", b""))
        ]
        monkeypatch.setattr(reach_limits, "FILE_READ_BYTES_MAX", 3)
        await ctx.files.upload("kept", b"four")
        return [*told, (await refusal(ctx.files.read("kept"))).code]

    big, path = "message-too-big", "validation-failed"
    assert await do(app, work) == [big, big, path, path, "call-too-big"]
    rows = (await app.admin.query({"$files": {}}))["$files"]
    assert [each["path"] for each in rows] == ["kept"]
    assert files.uploads == 0 and len(files.spool) == 0


@pytest.mark.rule("FN508")
async def test_a_file_that_has_other_bytes_is_not_read_on(app: App) -> None:
    async def work(ctx: Any) -> Any:
        await ctx.files.upload("a", b"x" * BIG)
        pieces = aiter(await ctx.files.open("a"))
        await anext(pieces)
        await ctx.files.upload("a", b"y" * BIG)
        return (await refusal(anext(pieces))).code

    assert await do(app, work) == "file-not-found"


@pytest.mark.rule("FN509")
async def test_so_many_files_go_up_at_a_time_and_those_left_are_given_up(
    stage: Stage, app: App
) -> None:
    go = asyncio.Event()
    left: list[Any] = []

    async def waits() -> AsyncIterator[bytes]:
        yield b"x" * reach_limits.FILE_PIECE_BYTES
        await go.wait()

    async def work(ctx: Any) -> Any:
        most = reach_limits.FILES_OF_CALL_MAX
        left.extend(asyncio.ensure_future(ctx.files.upload(f"{n}", waits())) for n in range(most))
        held = most * reach_limits.FILE_PIECE_BYTES
        while stage.reach.files.spool.held_bytes < held:  # noqa: ASYNC110
            await asyncio.sleep(0)
        return (await refusal(ctx.files.upload("more", b""))).code

    assert await do(app, work) == "parameter-limit-exceeded"
    files = stage.reach.files
    assert files.uploads == 0 and len(files.spool) == 0
    go.set()
    told = await asyncio.gather(*left, return_exceptions=True)
    assert {str(each) for each in told} == {"The call has ended; a task of it went on."}
    assert (await app.admin.query({"$files": {}}))["$files"] == []


@pytest.mark.rule("FN509")
async def test_a_process_that_says_anything_is_refused(stage: Stage, app: App) -> None:
    """Frames that no `ctx` sends."""
    reached = stage.reach.reach.of(stage.app, lambda level, text: None)
    put = frames.PutFile(file=1, path="a", content_type=None, disposition=None, size=None)
    await reached.ask(put)
    for asked in (
        put,
        frames.FilePiece(file=2, data=b""),
        frames.FilePiece(file=1, data=b"x" * (reach_limits.FILE_PIECE_BYTES + 1)),
        frames.KeepFile(file=2),
        frames.StreamText(stream=1, text="x"),
        frames.EndStream(stream=1, abort_reason=None),
        replace_values({"done": True}),
        replace_values({"$files": []}),
        replace_values({f"a{n}": 1 for n in range(reach_limits.STREAM_VALUES_MAX + 1)}),
        replace_values({}, name=""),
        frames.ReadFile(location="none", start=-1),
    ):
        with pytest.raises(Exception) as raised:
            await reached.ask(asked)
        assert getattr(raised.value, "code", None) in (
            *("parameter-limit-exceeded", "validation-failed", "call-too-big", "file-not-found"),
        ), asked
    await asyncio.gather(
        *(reached.ask(frames.FilePiece(file=1, data=bytes([n]))) for n in range(50))
    )
    await reached.ask(frames.KeepFile(file=1))
    assert await app.files.read("a") == bytes(range(50))
    await reached.end("over")
    assert (await app.admin.query({"$streams": {}}))["$streams"] == []


def replace_values(values: dict[str, Any], *, name: str = "s") -> frames.BeginStream:
    return frames.BeginStream(stream=7, name=name, values=values)


# --- streams --------------------------------------------------------------------------------------


@pytest.mark.rule("FN510")
async def test_readers_follow_while_it_is_written(app: App) -> None:
    seen: list[Any] = []

    async def work(ctx: Any) -> Any:
        async with ctx.stream(name="live", values={"model": "x"}) as out:
            for text in ("one ", "", "two ", "\N{SNOWMAN}" * 100_000):
                await out.write(text)
                seen.append(len((await app.streams.read(out.id)).text))
            assert not (await app.streams.read(out.id)).is_done
        with pytest.raises(RuntimeError, match="inside of `async with"):
            await out.write("x")
        return out.id, out.name

    id, name = await do(app, work)
    assert name == "live" and seen == [4, 4, 8, 100_008]
    (row,) = (await app.admin.query({"$streams": {}}))["$streams"]
    assert (row["id"], row["clientId"], row["done"]) == (id, "live", True)
    assert (row["model"], row["size"], row.get("abortReason")) == ("x", 300_008, None)


@pytest.mark.rule("FN511")
async def test_a_stream_whose_block_raises_is_aborted(app: App) -> None:
    left: list[Any] = []

    async def work(ctx: Any) -> Any:
        with pytest.raises(KeyError):
            async with ctx.stream() as out:
                await out.write("half")
                raise KeyError("gone")
        other = await ctx.stream().__aenter__()
        await other.write("left open")
        left.append(other)
        return out.id, other.id

    ids = await do(app, work)
    told = [await app.streams.read(id) for id in ids]
    assert [(each.text, each.is_done, each.abort_reason) for each in told] == [
        ("half", True, "KeyError"),
        ("left open", True, "not-ended"),
    ]
    rows = (await app.admin.query({"$streams": {}}))["$streams"]
    assert {row["abortReason"] for row in rows} == {"KeyError", "not-ended"}
    assert (await refusal(left[0].write("more"))).code == "function-failed"


@pytest.mark.rule("FN511")
async def test_a_stream_whose_server_ended_is_aborted_when_it_is_read(
    stage: Stage, app: App, monkeypatch: Any
) -> None:
    first, files = stage.reach.streams, stage.reach.files
    monkeypatch.setattr(stream_limits, "FLUSH_BYTES", 10)

    async def work(ctx: Any) -> Any:
        out = await ctx.stream(name="lost").__aenter__()
        await out.write("what was stored")
        live = await first.find(stage.app, out.id)
        while not live.stream.flushed:
            await live.stored.heard()
        # Another server on the same data: it has nothing in memory.
        second = Streams(first.apps, files, runtime=stage.clock)
        found = await second.find(stage.app, out.id)
        assert (found.stream.is_done, found.stream.abort_reason) == (True, "server-ended")
        await second.close()
        return await app.admin.query({"$streams": {}})

    (row,) = (await do(app, work))["$streams"]
    assert (row["done"], row["abortReason"], row["size"]) == (True, "server-ended", 15)


@pytest.mark.rule("FN512")
async def test_what_is_no_stream_is_refused_and_leaves_no_row(app: App) -> None:
    async def work(ctx: Any) -> Any:
        for given, told in (
            ({"link": {"nothing": "x"}}, "no link nothing. It has message"),
            ({"values": {"nothing": "x"}}, "has no nothing"),
        ):
            with pytest.raises(TypeError, match=told):
                ctx.stream(**given)
        absent = "e0000001-0000-4000-8000-000000000000"
        codes = []
        for given in (
            {"link": {"message": absent}},
            {"link": {"message": [absent] * (reach_limits.STREAM_VALUES_MAX + 1)}},
            {"values": {"done": True}},
            {"name": "x" * 2_000},
            {"name": "twice"},
            {"name": "twice"},
        ):
            try:
                async with ctx.stream(**given) as out:
                    with pytest.raises(TypeError, match="A stream is text"):
                        await out.write(b"x")
                codes.append("made")
            except RefusedError as failure:
                codes.append(failure.code)
        return codes

    assert await do(app, work) == [
        *("record-not-found", "parameter-limit-exceeded", "validation-failed"),
        *("validation-failed", "made", "stream-conflict"),
    ]
    assert len((await app.admin.query({"$streams": {}}))["$streams"]) == 1


@pytest.mark.rule("FN512")
async def test_streams_are_few_and_wait_for_the_disk(
    stage: Stage, app: App, monkeypatch: Any
) -> None:
    monkeypatch.setattr(stream_limits, "FLUSH_BYTES", 1_000)
    is_open = asyncio.Event()
    kept = stage.reach.files.kept

    @asynccontextmanager
    async def slow(app_id: Any, data: bytes) -> AsyncIterator[str]:
        await is_open.wait()
        async with kept(app_id, data) as hashed:
            yield hashed

    async def work(ctx: Any) -> Any:
        most = reach_limits.STREAMS_OF_CALL_MAX
        held = [await ctx.stream().__aenter__() for _ in range(most)]
        code = (await refusal(ctx.stream().__aenter__())).code
        out = held[0]
        monkeypatch.setattr(stage.reach.files, "kept", slow)
        await out.write("x" * 4_000)
        behind = asyncio.ensure_future(out.write("y"))
        await held[1].write("others go on")
        assert not behind.done()
        is_open.set()
        await behind
        return code

    assert await do(app, work) == "parameter-limit-exceeded"


@pytest.mark.rule("FN512")
async def test_a_stream_that_is_deleted_takes_no_more(stage: Stage, app: App) -> None:
    async def work(ctx: Any) -> Any:
        out = await ctx.stream(name="gone").__aenter__()
        await out.write("x")
        await app.admin.transact([["delete", "$streams", out.id]])
        return (await refusal(out.write("more"))).code

    assert await do(app, work) == "stream-not-found"


# --- mail -----------------------------------------------------------------------------------------


@pytest.mark.rule("FN505")
async def test_an_email_has_both_forms_and_the_sender_of_the_app(stage: Stage, app: App) -> None:
    async def work(ctx: Any) -> Any:
        await ctx.mail.send(" AL@example.com", subject="Hi", text="a <b>\n c")
        await ctx.mail.send("al@example.com", subject="Hi", html="<p>a &lt;<br>b</p>")

    await do(app, work)
    first, second = app.mail.sent
    assert (first.to, first.name, first.sender) == ("al@example.com", "test", None)
    assert "a &lt;b&gt;\n c" in first.html and second.text == "a <\nb"
    template = EmailTemplate("t", "{code}", "{code}", name="Shop", sender="hi@shop.example")
    stage_app = stage.app
    stage_app.row = replace(stage_app.row, settings=Settings(email_template=template))
    await do(app, work)
    assert (app.mail.sent[-1].name, app.mail.sent[-1].sender) == ("Shop", "hi@shop.example")
    page = "<head><title>x</title></head><style>a{}</style><h1>A</h1>\n<p>b  c</p><!-- d -->"
    assert text_of(page) == "A\n\nb c"


@pytest.mark.rule("FN505")
@pytest.mark.parametrize(
    ("page", "text"),
    [
        ("<!DOCTYPE html><head><title>x</title><body>a < b<br/>c", "a < b\nc"),
        ("<script>if (a<b) {}</script><b\ntitle='x'>d</b> <!-- <p> -->e", "d e"),
        ("f <!-- never ends <p>g", "f"),
        ("h<style>i", "h"),
        ("j <k", "j <k"),
    ],
)
def test_the_text_of_an_email_is_what_is_shown(page: str, text: str) -> None:
    assert text_of(page) == text


@pytest.mark.rule("FN505")
@pytest.mark.parametrize("begun", ["<", "<!--", "<style ", "<head>", "<br"])
def test_html_that_never_ends_costs_no_more_than_other(begun: str) -> None:
    """Each beginning was looked for its end: 100 kB of `<!--` held the server up for 20 s."""
    began = time.process_time()
    text_of(begun * (100_000 // len(begun)))
    assert time.process_time() - began < 2


@pytest.mark.rule("FN505")
async def test_what_is_no_email_is_refused(app: App) -> None:
    long = "x" * (reach_limits.MAIL_BODY_BYTES_MAX + 1)
    wrong = (
        ({"to": "a@b.com, c@d.com"}, "to"),
        ({"to": "nobody"}, "to"),
        ({"subject": ""}, "subject"),
        ({"subject": "a\nBcc: c@d.com"}, "subject"),
        ({"subject": "x" * 201}, "subject"),
        ({"text": long}, "text"),
        ({"html": long}, "html"),
    )

    async def work(ctx: Any) -> Any:
        with pytest.raises(TypeError, match="has text=, html=, or both"):
            await ctx.mail.send("a@b.com", subject="x")
        with pytest.raises(TypeError, match="to= of an e-mail is a text"):
            await ctx.mail.send(["a@b.com"], subject="x", text="y")
        for given, at in wrong:
            asked = {"to": "a@b.com", "subject": "x", "text": "y", **given}
            failure = await refusal(ctx.mail.send(asked.pop("to"), **asked))
            assert (failure.code, failure.hint["path"]) == ("bad-args", at), given

    await do(app, work)
    assert app.mail.sent == []


@pytest.mark.rule("FN506")
async def test_emails_of_an_app_are_bounded(app: App) -> None:
    async def work(ctx: Any) -> Any:
        for number in range(reach_limits.MAIL_PER_HOUR_OF_RECIPIENT):
            await ctx.mail.send("al@example.com", subject=f"{number}", text="x")
        code = (await refusal(ctx.mail.send("al@example.com", subject="x", text="x"))).code
        sent = reach_limits.MAIL_PER_HOUR_OF_RECIPIENT + 1
        for number in range(reach_limits.MAIL_BURST - sent):
            await ctx.mail.send(f"u{number}@example.com", subject="x", text="x")
        failure = await refusal(ctx.mail.send("other@example.com", subject="x", text="x"))
        return code, failure.code, failure.hint["retry-after"]

    assert await do(app, work) == ("rate-limited", "rate-limited", 7_200)


@pytest.mark.rule("FN506")
async def test_without_a_mailer_the_server_says_so(stage: Stage) -> None:
    mails, throttle = SentMails(), Throttle(Buckets(stage.clock), stage.clock)
    lines: list[str] = []

    async def send(*, is_dev: bool) -> None:
        mailing = Mailing(mails, throttle=throttle, has_mailer=False, is_dev=is_dev)
        reach = ServerReach(mailing=mailing, files=lambda: None, streams=lambda: None)
        reached = reach.of(stage.app, lambda level, text: lines.append(text))
        to = "al@example.com"
        await reached.ask(frames.SendMail(to=to, subject="Hi", text="the code", html=None))

    with pytest.raises(Unavailable, match="TRICE_SMTP_URL") as raised:
        await send(is_dev=False)
    assert raised.value.code == "email-send-failed" and lines == []
    await send(is_dev=True)
    assert lines == ["e-mail to al@example.com, which goes nowhere else: Hi", "the code"]
    assert mails.sent == []


# --- who may --------------------------------------------------------------------------------------


@pytest.mark.rule("FN500")
async def test_a_query_that_asks_for_it_is_refused(app: App) -> None:
    """Whatever its process says."""
    assert await app.guest.run(acts().sneaks) == "permission-denied"
