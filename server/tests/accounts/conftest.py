"""Accounts and apps of a data directory, without a server."""

from __future__ import annotations

from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from support.engines import open_apps
from support.runtime import FakeRuntime
from trice.accounts.accounts import Account, Accounts
from trice.accounts.operator import Operator
from trice.accounts.orgs import Orgs
from trice.accounts.passwords import AccountPasswords
from trice.apps.apps import App, Apps
from trice.auth.passwords.hash import PasswordHashes


class Stage:
    """What the operator works on."""

    apps: Apps
    accounts: Accounts
    orgs: Orgs
    operator: Operator

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.runtime = FakeRuntime()

    async def open(self, **options: Any) -> None:
        self.apps = await open_apps(
            self.folder, runtime=self.runtime, is_open_by_default=True, **options
        )
        self.accounts = Accounts(self.apps.platform, runtime=self.runtime)
        self.orgs = Orgs(self.apps.platform, runtime=self.runtime)
        self.passwords = AccountPasswords(self.accounts, PasswordHashes(self.runtime))
        self.operator = Operator(
            self.accounts, self.orgs, self.passwords, self.apps, runtime=self.runtime
        )

    async def reopen(self, **options: Any) -> None:
        """As after a restart."""
        await self.apps.close()
        await self.open(**options)

    async def close(self) -> None:
        await self.apps.close()

    async def account(self, email: str = "ann@example.com") -> Account:
        return await self.accounts.create(email)

    async def make_app(self, account: Account, **options: object) -> App:
        app, _ = await self.apps.create(title="shop", owner=account.id, **options)
        self.apps.give_back(app)
        return app


@pytest.fixture
async def stage(tmp_path: Path, exits: AsyncExitStack) -> Stage:
    stage = Stage(tmp_path)
    await stage.open()
    exits.push_async_callback(stage.close)
    return stage
