from __future__ import annotations

import asyncio
import re

import pytest

from trice import account_limits
from trice.accounts.accounts import hash_token
from trice.errors import Conflict, LimitExceeded, NotFound, PermissionDenied

DAY_MS = 24 * 3600 * 1000


@pytest.mark.rule("AC1")
async def test_an_account_is_an_address_in_one_spelling(stage):
    ann = await stage.account("ann@example.com")
    assert stage.accounts.find_by_email(" Ann@Example.COM") == ann
    assert stage.accounts.find_by_email("bob@example.com") is None
    assert stage.accounts.find_by_email("no address") is None
    with pytest.raises(Conflict, match="already"):
        await stage.account("ann@example.com")
    bob = await stage.account("bob@example.com")
    assert await stage.accounts.all() == [ann, bob]


@pytest.mark.rule("AC1")
async def test_accounts_are_there_after_a_restart(stage):
    ann = await stage.account()
    _, secret = await stage.accounts.make_token(ann, name="ci")
    await stage.close()
    await stage.open()
    assert stage.accounts.find_by_token(secret).account == ann


@pytest.mark.rule("AC3")
async def test_there_are_so_many_accounts_at_most(stage, monkeypatch):
    monkeypatch.setattr(account_limits, "ACCOUNTS_MAX", 2)
    await stage.account("a@example.com")
    await stage.account("b@example.com")
    with pytest.raises(LimitExceeded):
        await stage.account("c@example.com")


@pytest.mark.rule("AC10")
async def test_only_the_hash_of_a_token_is_kept(stage):
    ann = await stage.account()
    token, secret = await stage.accounts.make_token(ann, name="ci")
    assert re.fullmatch("per_[0-9a-f]{64}", secret)
    assert stage.accounts.find_by_token(secret).token == token
    kept = b"".join(path.read_bytes() for path in stage.folder.glob("platform.db*"))
    assert hash_token(secret).encode() in kept
    assert secret.encode() not in kept and secret[4:].encode() not in kept


@pytest.mark.rule("AC10")
@pytest.mark.parametrize(
    ("scopes", "wanted", "is_allowed"),
    [
        (None, "apps-write", True),
        (("apps-write",), "apps-read", True),
        (("apps-read",), "apps-read", True),
        (("apps-read",), "apps-write", False),
        (("data-write",), "apps-read", False),
    ],
)
async def test_scopes_say_what_a_token_is_for(stage, scopes, wanted, is_allowed):
    ann = await stage.account()
    _, secret = await stage.accounts.make_token(ann, name="ci", scopes=scopes)
    credential = stage.accounts.find_by_token(secret)
    if is_allowed:
        credential.demand(wanted)
    else:
        with pytest.raises(PermissionDenied) as caught:
            credential.demand(wanted)
        assert caught.value.hint == {"required-scope": wanted}


@pytest.mark.rule("AC11")
async def test_revoked_tokens_are_unknown_at_once(stage):
    ann, bob = await stage.account(), await stage.account("bob@example.com")
    token, secret = await stage.accounts.make_token(ann, name="ci")
    with pytest.raises(NotFound):
        await stage.accounts.revoke(bob, token.id)
    assert stage.accounts.find_by_token(secret) is not None
    await stage.accounts.revoke(ann, token.id)
    assert stage.accounts.find_by_token(secret) is None
    assert stage.accounts.tokens(ann) == []
    with pytest.raises(NotFound):
        await stage.accounts.revoke(ann, token.id)


@pytest.mark.rule("AC11", "AC13")
async def test_expired_tokens_say_so_and_are_deleted(stage, monkeypatch):
    monkeypatch.setattr(account_limits, "EXPIRED_TOKENS_PER_SWEEP", 2)
    ann = await stage.account()
    secrets = [
        (await stage.accounts.make_token(ann, name="ci", life_ms=DAY_MS))[1] for _ in range(3)
    ]
    _, lasting = await stage.accounts.make_token(ann, name="ci")
    stage.runtime.advance(DAY_MS - 1)
    assert all(stage.accounts.find_by_token(secret) for secret in secrets)
    stage.runtime.advance(1)
    for secret in secrets:
        with pytest.raises(NotFound) as caught:
            stage.accounts.find_by_token(secret)
        assert caught.value.code == "record-expired"
    assert len(stage.accounts.tokens(ann)) == 1
    await stage.accounts.delete_expired()
    found = await stage.apps.platform.look(lambda look: look.find({"$accountTokens": {}}))
    assert len(found["$accountTokens"]) == 2
    await stage.accounts.delete_expired()
    assert [stage.accounts.find_by_token(secret) for secret in secrets] == [None] * 3
    assert stage.accounts.find_by_token(lasting) is not None


@pytest.mark.rule("AC12")
async def test_forgotten_sign_ins_make_room_and_personal_tokens_do_not(stage, monkeypatch):
    monkeypatch.setattr(account_limits, "ACCOUNT_TOKENS_MAX", 3)
    ann = await stage.account()
    make = stage.accounts.make_token
    _, short = await make(ann, name="short", life_ms=1)
    _, first = await make(ann, name="first", kind="session", life_ms=DAY_MS)
    _, second = await make(ann, name="second", kind="session", life_ms=DAY_MS)
    stage.runtime.advance(10)
    await make(ann, name="a")
    assert stage.accounts.find_by_token(short) is None
    await make(ann, name="b")
    assert stage.accounts.find_by_token(first) is None
    assert stage.accounts.find_by_token(second) is not None
    await make(ann, name="c")
    with pytest.raises(LimitExceeded):
        await make(ann, name="d")


@pytest.mark.rule("AC2")
async def test_removing_an_account_ends_its_tokens(stage):
    ann = await stage.account()
    secrets = [(await stage.accounts.make_token(ann, name="ci"))[1] for _ in range(3)]
    await stage.accounts.remove(ann)
    assert [stage.accounts.find_by_token(secret) for secret in secrets] == [None] * 3
    assert await stage.accounts.all() == []
    with pytest.raises(NotFound):
        await stage.accounts.make_token(ann, name="late")


@pytest.mark.rule("AC53")
async def test_of_two_that_make_the_first_account_at_once_one_does(stage):
    made = await asyncio.gather(
        stage.accounts.create("a@example.com", is_first=True),
        stage.accounts.create("b@example.com", is_first=True),
        return_exceptions=True,
    )
    assert [isinstance(each, Conflict) for each in made] == [False, True]
