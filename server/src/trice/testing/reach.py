"""What actions of a test reach: mail that is kept, files and streams of the real engines, which are
opened when they are first needed (5 ms), in a folder of the test.
"""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final, cast

from trice.apps.app import App
from trice.apps.apps import Apps
from trice.auth.throttle import Throttle
from trice.calls.reached import Reached
from trice.calls.side import Level
from trice.errors import TriceError
from trice.files import urls
from trice.files.files import Files
from trice.files.rows import find_file
from trice.files.storage import Storage
from trice.functions.channel import RefusedError
from trice.functions.frames import AskHttp, OfReach
from trice.identity import ADMIN
from trice.mail import Message
from trice.protocol.ids import AppId
from trice.rate_limit import Buckets
from trice.reach.mailing import Mailing
from trice.reach.reach import ServerReach
from trice.runtime import Runtime
from trice.server import open_storage
from trice.streams import requests
from trice.streams.streams import Streams
from trice.testing.http import AppHttp

_URL_KEY: Final = b"trice.testing"


def file_url(runtime: Runtime, app_id: str, location_id: str) -> str:
    """What `$files.url` is in tests: a path that no server has."""
    return urls.sign(_URL_KEY, app_id, location_id, now_ms=runtime.now_ms())


@dataclass(frozen=True, slots=True)
class SentMail:
    """An e-mail that an action sent.

    name     shown as its sender
    sender   the address it should come from; None: the server's own
    """

    to: str
    subject: str
    text: str
    html: str
    name: str
    sender: str | None


class SentMails:
    """`app.mail`. sent   every e-mail, in order"""

    def __init__(self) -> None:
        self.sent: list[SentMail] = []

    async def send(self, message: Message) -> None:
        """See `mail.Mail`."""
        self.sent.append(
            SentMail(
                to=message.to,
                subject=message.subject,
                text=message.body_text,
                html=message.body_html,
                name=message.name,
                sender=message.sender,
            )
        )


class TestReach:
    """What is reached in one test. Holds files and streams once they were needed."""

    __test__ = False

    def __init__(
        self, app: App, *, folder: Path, runtime: Runtime, buckets: Buckets, http: AppHttp
    ) -> None:
        """folder   for the bytes of files; made when the first is there, removed by `close`"""
        self.mails = SentMails()
        mailing = Mailing(self.mails, throttle=Throttle(buckets, runtime), has_mailer=True)
        self.reach = ServerReach(
            mailing=mailing, files=lambda: self.files, streams=lambda: self.streams
        )
        self._http = http
        self._app = app
        self._apps = _OnlyApp(app, buckets)
        self._folder = folder
        self._runtime = runtime
        self._opened: tuple[Storage, Files, Streams] | None = None

    def of(self, app: App, note: Callable[[Level, str], None]) -> Reached:
        """See `reached.Reach`."""
        return _CallReach(self.reach.of(app, note), self._http)

    @property
    def files(self) -> Files:
        return self._open()[1]

    @property
    def streams(self) -> Streams:
        return self._open()[2]

    @property
    def is_busy(self) -> bool:
        """Whether something is on its way to the disk."""
        return self._opened is not None and self._opened[2].is_storing

    async def close(self) -> None:
        if self._opened is not None:
            storage, _, streams = self._opened
            await streams.close()
            await storage.close()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _open(self) -> tuple[Storage, Files, Streams]:
        if self._opened is None:
            self._folder.mkdir()
            storage = open_storage(self._folder, runtime=self._runtime)
            apps = cast(Apps, self._apps)
            files = Files(storage, apps=apps, make_key=lambda: _URL_KEY, runtime=self._runtime)
            for listener in self._apps.commit_listeners:
                self._app.database.on_commits(partial(listener, self._app.id))
            self._opened = storage, files, Streams(apps, files, runtime=self._runtime)
        return self._opened


class _CallReach:
    """What one call of a test reaches: requests too, if it runs in another process."""

    def __init__(self, inner: Reached, http: AppHttp) -> None:
        self._inner = inner
        self._http = http
        self.end = inner.end

    async def ask(self, asked: OfReach) -> bytes:
        if isinstance(asked, AskHttp):
            return self._http.ask(asked)
        return await self._inner.ask(asked)


class _OnlyApp:
    """The apps of a test, as files and streams see them: one, which is open as long as the test
    lasts."""

    has_quotas = False

    def __init__(self, app: App, buckets: Buckets) -> None:
        self.in_memory: Sequence[App] = [app]
        self.buckets = buckets
        self.commit_listeners: list[Callable[[AppId, Any], None]] = []
        self.url_of: Any = None
        self._app = app

    def has(self, app_id: AppId) -> bool:
        return app_id == self._app.id

    def is_loading(self, app_id: AppId) -> bool:
        return False

    async def lend(self, app_id: AppId, **_: Any) -> App:
        return self._app

    def give_back(self, app: App) -> None:
        """It stays open."""


class AppFiles:
    """`app.files`: the files of the app, as its admin has them."""

    def __init__(self, app: App, reach: TestReach) -> None:
        self._app = app
        self._reach = reach

    async def put(self, path: str, data: bytes, *, content_type: str | None = None) -> None:
        """Keep bytes as the file of a path."""

        async def pieces() -> AsyncIterator[bytes]:
            yield data

        try:
            await self._reach.files.upload(
                self._app, path, pieces(), network="test", content_type=content_type
            )
        except TriceError as failure:
            raise RefusedError(failure.code, failure.message, failure.hint) from None

    async def read(self, path: str) -> bytes | None:
        """The bytes of a file; None: there is none."""
        row = await self._app.database.look(lambda look: find_file(look, path=path))
        if row is None:
            return None
        pieces = self._reach.files.read(self._app, row.location_id, 0, row.size)
        async with aclosing(pieces):
            return b"".join([piece async for piece in pieces])


@dataclass(frozen=True, slots=True)
class StreamNow:
    """A stream as it is now.

    abort_reason   why it is not whole, if it is done and is not
    """

    text: str
    is_done: bool
    abort_reason: str | None


class AppStreams:
    """`app.streams`: the streams of the app, as its admin reads them."""

    def __init__(self, app: App, reach: TestReach) -> None:
        self._app = app
        self._reach = reach

    async def read(self, id: str) -> StreamNow:
        """What a stream has by now. raises   RefusedError: there is none with this id"""
        streams = self._reach.streams
        try:
            live = await streams.view(self._app, ADMIN, stream_id=id, client_id=None, params={})
        except TriceError as failure:
            raise RefusedError(failure.code, failure.message, failure.hint) from None
        with live.used():
            pieces = requests.read(streams, self._app, live, 0, live.stream.end)
            async with aclosing(pieces):
                found = b"".join([piece async for piece in pieces])
        return StreamNow(found.decode(), live.stream.is_done, live.stream.abort_reason)
