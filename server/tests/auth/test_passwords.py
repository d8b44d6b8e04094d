"""Signing up and in with passwords: the flows, and what must not be possible."""

from __future__ import annotations

import asyncio

import pytest

from support.account_stage import CALLER, PASSWORD
from support.engines import app_engine
from trice import auth_limits
from trice.auth.passwords import hash as password_hash
from trice.auth.passwords.hash import PasswordHashes
from trice.auth.tokens import find_by_token
from trice.catalog.system import system_attrs
from trice.errors import Conflict, InvalidInput, LimitExceeded, NotFound, PermissionDenied
from trice.identity import ADMIN

OTHER = "another fine passphrase"
EMAIL = "ann@x.example"


@pytest.fixture(autouse=True)
def cheap_hashes(monkeypatch):
    # Hashes of the real cost have a test of their own.
    monkeypatch.setattr(auth_limits, "PASSWORD_HASH_MEMORY_KIB", 8)
    monkeypatch.setattr(auth_limits, "PASSWORD_HASH_PASSES", 1)
    cheap = password_hash.NOBODYS_HASH.replace("m=19456,t=2", "m=8,t=1")
    monkeypatch.setattr(password_hash, "NOBODYS_HASH", cheap)


@pytest.fixture
def comparisons(monkeypatch):
    """Every hash computed for a comparison, by its parameters."""
    seen = []
    make_hasher = password_hash.make_hasher

    class Counting:
        def __init__(self):
            self._hasher = make_hasher()

        def __getattr__(self, name):
            return getattr(self._hasher, name)

        def verify(self, stored, password):
            seen.append(stored.rpartition("$")[0].rpartition("$")[0])
            return self._hasher.verify(stored, password)

    monkeypatch.setattr(password_hash, "make_hasher", Counting)
    return seen


async def user_of(stage, token):
    return await stage.app.database.look(lambda look: find_by_token(look, token))


async def wrong(awaitable, record="app-user-password"):
    """Expect "not found" of a record, and return its message."""
    with pytest.raises(NotFound) as failure:
        await awaitable
    assert failure.value.hint["record-type"] == record
    return failure.value.message


@pytest.mark.rule("A152", "A153")
async def test_sign_up_then_sign_in(stage):
    made = await stage.sign_up(EMAIL)
    assert (made.user.email, made.user.fields["type"], made.is_created) == (EMAIL, "user", True)
    again = await stage.by_password(EMAIL)
    assert again.user.id == made.user.id and not again.is_created
    assert again.token != made.token
    for token in (made.token, again.token):
        assert (await user_of(stage, token)).id == made.user.id
    (row,) = await stage.rows("$userPasswords")
    assert row["hash"].startswith("$argon2id$v=19$") and PASSWORD not in row["hash"]
    assert [user["id"] for user in row["$user"]] == [made.user.id]


@pytest.mark.rule("A152")
async def test_sign_up_needs_a_code_sent_to_the_address(stage):
    other_code = await stage.code("bob@x.example")
    message = await wrong(stage.sign_up(EMAIL, code=other_code), "app-user-magic-code")
    code = await stage.code(EMAIL)
    stage.runtime.advance((auth_limits.CODE_EXPIRY_MINUTES + 1) * 60_000)
    with pytest.raises(NotFound) as failure:
        await stage.sign_up(EMAIL, code=code)
    assert failure.value.code == "record-expired"
    await wrong(stage.sign_up(EMAIL, code=code), "app-user-magic-code")  # once, as at sign-in
    assert await stage.rows("$users") == [] and await stage.rows("$userPasswords") == []
    # An account that exists looks the same to who has no code.
    await stage.sign_up(EMAIL)
    assert await wrong(stage.sign_up(EMAIL, code="000000"), "app-user-magic-code") == message


@pytest.mark.rule("A154")
async def test_sign_up_for_an_address_with_an_account_is_refused_to_its_owner_only(stage):
    owner = await stage.by_code(EMAIL)
    code = await stage.code(EMAIL)
    with pytest.raises(Conflict) as failure:
        await stage.sign_up(EMAIL, code=code)
    assert failure.value.code == "record-not-unique"
    # The code was not used up: it sets a password, as the message says.
    set_now = await stage.passwords.reset(
        stage.app, email=EMAIL, code=code, password=PASSWORD, ip=CALLER.ip
    )
    assert set_now.user.id == owner.user.id
    assert (await stage.by_password(EMAIL)).user.id == owner.user.id


@pytest.mark.rule("A152")
async def test_a_code_works_once_and_survives_a_refused_sign_up(stage):
    code = await stage.code(EMAIL)
    with pytest.raises(InvalidInput):
        await stage.sign_up(EMAIL, "12345678", code=code)
    with pytest.raises(InvalidInput):
        await stage.sign_up(EMAIL, code=code, extra_fields={"nowhere": 1})
    await stage.sign_up(EMAIL, code=code)
    await wrong(stage.sign_up(EMAIL, code=code), "app-user-magic-code")


@pytest.mark.rule("A152")
async def test_two_sign_ups_at_once_with_one_code_make_one_account(stage):
    code = await stage.code(EMAIL)
    tries = [stage.sign_up(EMAIL, code=code) for _ in range(3)]
    outcomes = await asyncio.gather(*tries, return_exceptions=True)
    assert sum(not isinstance(each, BaseException) for each in outcomes) == 1
    assert sum(isinstance(each, NotFound) for each in outcomes) == 2
    assert len(await stage.rows("$users")) == 1


@pytest.mark.rule("A155")
async def test_sign_up_passes_the_checks_of_signing_up_by_code(stage):
    rules = {"$users": {"allow": {"create": "data.email.endsWith('@x.example')"}}}
    await stage.apps.set_rules(stage.app.id, rules)
    with pytest.raises(PermissionDenied):
        await stage.sign_up("eve@evil.example")
    assert await stage.rows("$users") == []
    await stage.sign_up(EMAIL)


@pytest.mark.rule("A155")
async def test_a_guest_who_signs_up_keeps_the_account(stage):
    guest = await stage.guest()
    made = await stage.sign_up(EMAIL, guest_token=guest.token)
    assert made.user.id == guest.user.id and made.user.fields["type"] == "user"
    other = await stage.sign_up("bob@x.example", guest_token=made.token)
    assert other.user.id != made.user.id  # the token of no guest counts for nothing
    unknown = "00000000-0000-4000-8000-000000000000"
    await wrong(stage.sign_up("cy@x.example", guest_token=unknown), "app-user")


@pytest.mark.rule("A156", "A157")
async def test_whatever_is_wrong_the_answer_and_the_work_are_the_same(stage, comparisons):
    await stage.sign_up(EMAIL)
    await stage.by_code("codes@x.example")
    messages = []
    cases = [(EMAIL, OTHER), ("nobody@x.example", PASSWORD), ("codes@x.example", PASSWORD)]
    cases += [(EMAIL, ""), (EMAIL, "x" * (auth_limits.PASSWORD_BYTES_MAX + 1))]
    for email, password in cases:
        comparisons.clear()
        messages.append(await wrong(stage.by_password(email, password)))
        assert comparisons == ["$argon2id$v=19$m=8,t=1,p=1"]
    assert len(set(messages)) == 1
    assert await stage.rows("$userPasswords") != []


@pytest.mark.rule("A158")
async def test_a_hash_with_older_parameters_is_renewed_on_sign_in(stage, monkeypatch):
    await stage.sign_up(EMAIL)
    (before,) = await stage.rows("$userPasswords")
    await stage.by_password(EMAIL)
    assert await stage.rows("$userPasswords") == [before]
    monkeypatch.setattr(auth_limits, "PASSWORD_HASH_PASSES", 2)
    await wrong(stage.by_password(EMAIL, OTHER))
    assert await stage.rows("$userPasswords") == [before]
    await stage.by_password(EMAIL)
    (after,) = await stage.rows("$userPasswords")
    assert ",t=2," in after["hash"] and after["id"] == before["id"]
    await stage.by_password(EMAIL)


@pytest.mark.rule("A158")
async def test_two_sign_ins_that_renew_one_hash_both_succeed(stage, monkeypatch):
    made = await stage.sign_up(EMAIL)
    monkeypatch.setattr(auth_limits, "PASSWORD_HASH_PASSES", 2)
    both = await asyncio.gather(stage.by_password(EMAIL), stage.by_password(EMAIL))
    assert [each.user.id for each in both] == [made.user.id] * 2
    (row,) = await stage.rows("$userPasswords")
    assert ",t=2," in row["hash"]


@pytest.mark.rule("A163")
async def test_changing_needs_the_present_password_and_ends_other_tokens(stage):
    first = await stage.sign_up(EMAIL)
    second = await stage.by_password(EMAIL)
    bob = await stage.sign_up("bob@x.example")

    def change(password, new_password, token=first.token):
        return stage.passwords.change(
            stage.app,
            token=token,
            password=password,
            new_password=new_password,
            ip=CALLER.ip,
        )

    await wrong(change(OTHER, OTHER))
    with pytest.raises(InvalidInput):
        await change(PASSWORD, "abcdefgh")
    unknown = "00000000-0000-4000-8000-000000000000"
    await wrong(change(PASSWORD, OTHER, unknown), "app-user")
    assert await user_of(stage, second.token) is not None
    assert (await change(PASSWORD, OTHER)).id == first.user.id
    assert await user_of(stage, first.token) is not None
    assert await user_of(stage, second.token) is None
    assert await user_of(stage, bob.token) is not None
    await wrong(stage.by_password(EMAIL))
    await stage.by_password(EMAIL, OTHER)
    await stage.by_password("bob@x.example")
    by_code = await stage.by_code("codes@x.example")
    await wrong(change("", OTHER, by_code.token))  # there is none to know


@pytest.mark.rule("A164")
async def test_resetting_takes_a_code_and_ends_all_earlier_tokens(stage):
    before = await stage.sign_up(EMAIL)

    def reset(code, password=OTHER, email=EMAIL):
        return stage.passwords.reset(
            stage.app, email=email, code=code, password=password, ip=CALLER.ip
        )

    await wrong(reset("000000"), "app-user-magic-code")
    code = await stage.code(EMAIL)
    with pytest.raises(InvalidInput):
        await reset(code, "short")
    await wrong(reset(code, email="bob@x.example"), "app-user-magic-code")
    nobody = await stage.code("nobody@x.example")
    await wrong(reset(nobody, email="nobody@x.example"), "app-user")
    assert await user_of(stage, before.token) is not None
    after = await reset(code)
    assert after.user.id == before.user.id and not after.is_created
    assert await user_of(stage, before.token) is None
    assert await user_of(stage, after.token) is not None
    await wrong(reset(code), "app-user-magic-code")
    await wrong(stage.by_password(EMAIL))
    await stage.by_password(EMAIL, OTHER)
    assert len(await stage.rows("$userPasswords")) == 1


@pytest.mark.rule("A165")
async def test_an_admin_sets_and_removes_passwords(stage):
    user = await stage.by_code(EMAIL)

    def set_password(password, **named):
        named = {"id": None, "email": None, **named}
        return stage.passwords.set_by_admin(stage.app, password=password, **named)

    await set_password(PASSWORD, id=user.user.id)
    await stage.by_password(EMAIL)
    await set_password(OTHER, email=EMAIL)
    await stage.by_password(EMAIL, OTHER)
    with pytest.raises(InvalidInput):
        await set_password("aaaaaaaaaaaa", email=EMAIL)
    await wrong(set_password(OTHER, email="nobody@x.example"), "app-user")
    assert await user_of(stage, user.token) is not None
    await set_password(None, email=EMAIL)
    await set_password(None, email=EMAIL)
    await wrong(stage.by_password(EMAIL, OTHER))


@pytest.mark.rule("A166")
async def test_a_password_changed_while_it_was_compared_does_not_sign_in(stage, monkeypatch):
    await stage.sign_up(EMAIL)
    compare = PasswordHashes.is_match

    async def slow_match(self, password, stored):
        is_match = await compare(self, password, stored)
        monkeypatch.setattr(PasswordHashes, "is_match", compare)
        await stage.passwords.set_by_admin(stage.app, id=None, email=EMAIL, password=OTHER)
        return is_match

    async def slow_change(self, password, stored):
        is_match = await compare(self, password, stored)
        await stage.passwords.set_by_admin(stage.app, id=None, email=EMAIL, password=PASSWORD)
        return is_match

    monkeypatch.setattr(PasswordHashes, "is_match", slow_match)
    await wrong(stage.by_password(EMAIL))
    token = (await stage.by_password(EMAIL, OTHER)).token
    monkeypatch.setattr(PasswordHashes, "is_match", slow_change)
    await wrong(
        stage.passwords.change(
            stage.app, token=token, password=OTHER, new_password="a third phrase", ip=CALLER.ip
        )
    )


@pytest.mark.rule("A167")
async def test_tries_are_limited_for_an_account_and_for_a_network_address(stage):
    await stage.sign_up(EMAIL)
    for number in range(auth_limits.PASSWORD_TRIES_PER_HOUR):
        await wrong(stage.by_password(EMAIL, OTHER, ip=f"192.0.2.{number}"))
    with pytest.raises(LimitExceeded) as failure:
        await stage.by_password(EMAIL, ip="192.0.2.200")
    assert failure.value.code == "rate-limited" and "retry-at" in failure.value.hint
    stage.runtime.advance(3_600_000)
    await stage.by_password(EMAIL)
    for number in range(auth_limits.PASSWORD_TRIES_PER_HOUR_OF_IP):
        await wrong(stage.by_password(f"u{number}@x.example", ip="198.51.100.1"))
    with pytest.raises(LimitExceeded):
        await stage.by_password("fresh@x.example", ip="198.51.100.1")
    await wrong(stage.by_password("fresh@x.example", ip="198.51.100.2"))


@pytest.mark.rule("A167")
async def test_codes_to_set_a_password_share_the_limit_of_codes(stage):
    await stage.by_code(EMAIL)
    with pytest.raises(LimitExceeded):
        for _ in range(auth_limits.MAGIC_CODE_VERIFIES_PER_HOUR):
            await wrong(
                stage.passwords.reset(
                    stage.app, email=EMAIL, code="000000", password=OTHER, ip=CALLER.ip
                ),
                "app-user-magic-code",
            )


@pytest.mark.rule("A151")
async def test_everything_is_refused_while_switched_off(stage):
    await stage.sign_up(EMAIL)
    await stage.set(stage.app, has_passwords=False)
    app, passwords, ip = stage.app, stage.passwords, CALLER.ip
    token = (await stage.by_code(EMAIL)).token
    tries = [
        stage.sign_up("bob@x.example"),
        stage.by_password(EMAIL),
        passwords.reset(app, email=EMAIL, code="000000", password=OTHER, ip=ip),
        passwords.change(app, token=token, password=PASSWORD, new_password=OTHER, ip=ip),
        passwords.set_by_admin(app, id=None, email=EMAIL, password=OTHER),
    ]
    for each in tries:
        with pytest.raises(InvalidInput) as failure:
            await each
        assert failure.value.code == "validation-failed"
        assert "POST /dash/apps/:app_id/sign-in-methods" in failure.value.message


@pytest.mark.rule("A153")
async def test_a_deleted_user_takes_the_password_along(stage):
    made = await stage.sign_up(EMAIL)
    await stage.app.database.transact_admin([["delete", "$users", made.user.id]], identity=ADMIN)
    assert await stage.rows("$userPasswords") == []
    await wrong(stage.by_password(EMAIL))


@pytest.mark.rule("A150")
async def test_an_app_made_before_passwords_gets_their_attrs_when_it_is_opened(stage):
    app_id = stage.app.id
    path = stage.folder / "apps" / f"{app_id}.db"
    stage.apps.give_back(stage.app)
    await stage.apps.close()
    path.unlink()
    own = ("$userPasswords", "$userPasskeys", "$passkeyChallenges")
    old = [attr for attr in system_attrs() if attr.etype not in own]
    engine = app_engine(path, stage.runtime, attrs=old)
    assert "$userPasswords" not in engine.catalog.namespaces
    await engine.close()
    await stage.open()
    stage.app = await stage.apps.lend(app_id)
    assert set(own) <= set(stage.app.database.catalog.namespaces)
    await stage.sign_up(EMAIL)
    await stage.by_password(EMAIL)
