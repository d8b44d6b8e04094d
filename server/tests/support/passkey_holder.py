"""Persons with passkeys, and calls that must fail."""

from __future__ import annotations

import pytest

from support.account_stage import CALLER, AccountStage
from support.authenticator import Authenticator
from trice.errors import InvalidInput, NotFound


class Person:
    """A person with an account, an authenticator and a browser."""

    def __init__(self, stage: AccountStage, signed_in, *, caller=CALLER, **options):
        self.stage, self.caller = stage, caller
        self.user, self.token = signed_in.user, signed_in.token
        self.authenticator = Authenticator(origin=caller.origin, **options)

    async def begin(self, **options):
        return await self.stage.passkeys.begin_registration(
            self.stage.app, token=self.token, caller=self.caller, **options
        )

    async def finish(self, credential, *, name=None):
        return await self.stage.passkeys.finish_registration(
            self.stage.app,
            token=self.token,
            credential=credential,
            name=name,
            caller=self.caller,
        )

    async def register(self, *, name=None, **bent):
        options = await self.begin()
        return await self.finish(self.authenticator.create(options, **bent), name=name)

    async def begin_sign_in(self, **options):
        return await self.stage.passkeys.begin_sign_in(
            self.stage.app, caller=self.caller, **options
        )

    async def finish_sign_in(self, credential):
        return await self.stage.passkeys.finish_sign_in(
            self.stage.app, credential=credential, caller=self.caller
        )

    async def sign_in(self, **bent):
        return await self.finish_sign_in(self.authenticator.get(await self.begin_sign_in(), **bent))

    async def passkeys(self):
        return await self.stage.passkeys.all_of(
            self.stage.app, token=self.token, caller=self.caller
        )


async def refused(awaitable, *parts, code="validation-failed"):
    """Expect InvalidInput whose message has `parts`."""
    with pytest.raises(InvalidInput) as failure:
        await awaitable
    assert failure.value.code == code
    assert all(part in failure.value.message for part in parts), failure.value.message


async def missing(awaitable, record):
    with pytest.raises(NotFound) as failure:
        await awaitable
    assert failure.value.code == "record-not-found"
    assert failure.value.hint["record-type"] == record
