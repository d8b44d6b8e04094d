"""Apps with accounts, and every way to sign in that needs no other server."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import orjson

from support.engines import open_apps
from support.runtime import FakeRuntime
from trice.apps.apps import App, Apps
from trice.apps.settings import Origin, Settings
from trice.auth.accounts import sign_up_check
from trice.auth.magic_codes import MagicCodes
from trice.auth.oauth.sealed import Seal
from trice.auth.passkeys.ceremonies import Passkeys
from trice.auth.passwords.sign_in import Passwords
from trice.auth.sign_in import SignedIn, make_code, sign_in_guest, verify_code
from trice.auth.throttle import Throttle
from trice.identity import ADMIN, Identity

ORIGIN = "https://app.example"
CALLER = Identity("guest", ip="192.0.2.7", origin=ORIGIN)
PASSWORD = "correct horse battery"


def generic_origin(host: str) -> Origin:
    return Origin(id=host, service="generic", params=(host,), created_ms=0)


class AccountStage:
    """One app with passwords and passkeys switched on, and its authorized origin."""

    apps: Apps
    app: App

    def __init__(self, folder: Path) -> None:
        self.runtime = FakeRuntime()
        self.folder = folder

    async def open(self) -> None:
        """As the server's start."""
        self.apps = await open_apps(self.folder, runtime=self.runtime, is_open_by_default=True)
        seal = Seal(self.folder, secret_key=None, runtime=self.runtime)
        self.codes = MagicCodes(seal, runtime=self.runtime)
        self.passwords = Passwords(
            codes=self.codes, runtime=self.runtime, buckets=self.apps.buckets
        )
        self.passkeys = Passkeys(runtime=self.runtime, buckets=self.apps.buckets)

    async def prepare(self) -> None:
        """Open, and make the app."""
        await self.open()
        self.app = await self.make_app()

    async def make_app(self, **options: Any) -> App:
        app, _ = await self.apps.create(title="test", **options)
        await self.set(
            app, has_passwords=True, has_passkeys=True, origins=(generic_origin("app.example"),)
        )
        return app

    async def set(self, app: App, **values: Any) -> None:
        """Change settings of an app."""

        def change(settings: Settings) -> Settings:
            return msgspec.structs.replace(settings, **values)

        await self.apps.change_settings(app.id, change)

    async def code(self, email: str) -> str:
        """A magic code that was sent to the address."""
        return await make_code(self.app, email, codes=self.codes)

    async def by_code(self, email: str) -> SignedIn:
        """Sign in, or up, with a code."""
        return await verify_code(
            self.app,
            email=email,
            code=await self.code(email),
            guest_token=None,
            extra_fields=None,
            check=None,
            codes=self.codes,
            throttle=Throttle(self.apps.buckets, self.runtime),
            runtime=self.runtime,
        )

    async def guest(self) -> SignedIn:
        return await sign_in_guest(self.app, extra_fields=None, check=None, runtime=self.runtime)

    async def by_password(
        self, email: str, password: str = PASSWORD, *, ip: str = CALLER.ip
    ) -> SignedIn:
        return await self.passwords.sign_in(self.app, email=email, password=password, ip=ip)

    async def sign_up(
        self, email: str, password: str = PASSWORD, *, code: str | None = None, **options: Any
    ) -> SignedIn:
        """Sign up with a password and, unless another is given, a right code."""
        return await self.passwords.sign_up(
            self.app,
            sign_up_check(self.app.database, CALLER),
            email=email,
            code=await self.code(email) if code is None else code,
            password=password,
            ip=CALLER.ip,
            **options,
        )

    async def rows(self, etype: str) -> list[dict[str, Any]]:
        """Every entity of a namespace, links to users included."""
        query = {etype: {} if etype == "$users" else {"$user": {}}}
        found = orjson.loads(await self.app.database.query_nested(query, identity=ADMIN))
        rows: list[dict[str, Any]] = found[etype]
        return rows


@asynccontextmanager
async def running(folder: Path) -> AsyncIterator[AccountStage]:
    """A stage on a folder, until it is left."""
    stage = AccountStage(folder)
    await stage.prepare()
    try:
        yield stage
    finally:
        stage.apps.give_back(stage.app)
        await stage.apps.close()
