"""Who a token stands for (`trice.auth.tokens`), on a database of its own."""

from __future__ import annotations

import pytest

from support.runtime import FakeRuntime
from trice.auth.accounts import create_user, find_user
from trice.auth.tokens import (
    drop_token,
    drop_tokens,
    hash_token,
    identify,
    identify_email,
    mint_token,
)
from trice.database import Database
from trice.errors import InvalidInput, NotFound
from trice.identity import Identity
from trice.protocol.ids import find_uuid_bytes

ANN = "e1000000-0000-4000-8000-000000000001"
BOB = "e1000000-0000-4000-8000-000000000002"
REQUEST = Identity("guest", ip="192.0.2.7", origin="https://app.example")


async def add_user(database: Database, runtime: FakeRuntime, user_id: str, email: str) -> str:
    def work(change):
        create_user(change, user_id, email=email)
        return mint_token(change, user_id, runtime=runtime)

    return await database.change(work)


@pytest.mark.rule("A25")
async def test_tokens_and_addresses_identify(database, runtime):
    token = await add_user(database, runtime, ANN, "ann@example.com")
    expected = Identity("user", find_uuid_bytes(ANN), ip=REQUEST.ip, origin=REQUEST.origin)
    assert await identify(database, token, request=REQUEST) == expected
    assert await identify(database, token.upper(), request=REQUEST) == expected
    assert await identify_email(database, " ANN@example.com", request=REQUEST) == expected
    assert expected.name == f"user:{ANN}"


@pytest.mark.rule("A21", "A25")
async def test_what_identifies_nobody(database, runtime):
    await add_user(database, runtime, ANN, "ann@example.com")
    for attempt in (
        identify(database, BOB, request=REQUEST),
        identify_email(database, "bob@example.com", request=REQUEST),
    ):
        with pytest.raises(NotFound) as absent:
            await attempt
        assert absent.value.hint["record-type"] == "app-user"
    for attempt, path in (
        (identify(database, "undefined", request=REQUEST), ["refresh-token"]),
        (identify_email(database, "bob", request=REQUEST), ["asUser", "email"]),
    ):
        with pytest.raises(InvalidInput) as malformed:
            await attempt
        assert malformed.value.code == "param-malformed"
        assert malformed.value.hint["in"] == path


@pytest.mark.rule("A22", "A23")
async def test_a_token_ends_with_sign_out_and_with_its_user(database, runtime):
    first = await add_user(database, runtime, ANN, "ann@example.com")
    more = [
        await database.change(lambda change: mint_token(change, ANN, runtime=runtime))
        for _ in range(3)
    ]
    bob = await add_user(database, runtime, BOB, "bob@example.com")

    async def alive():
        found = set()
        for token in (first, *more, bob):
            try:
                await identify(database, token, request=REQUEST)
                found.add(token)
            except NotFound:
                pass
        return found

    await database.change(lambda change: drop_token(change, first))
    assert await alive() == {*more, bob}

    def drop_most(change):
        drop_tokens(change, find_user(change, id=ANN), keep=more[1])

    await database.change(drop_most)
    assert await alive() == {more[1], bob}
    await database.change(lambda change: change.write(["delete", "$users", ANN]))
    assert await alive() == {bob}


@pytest.mark.rule("A20")
def test_the_hash_of_a_token():
    # SHA-256 of the 16 bytes, computed with another implementation (openssl dgst -sha256).
    expected = "374708fff7719dd5979ec875d56cd2286f6d3cf7ec317a3b25632aab28ec37bb"
    assert hash_token("00000000-0000-0000-0000-000000000000") == expected
