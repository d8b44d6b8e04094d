"""Adding passkeys and signing in with them, against a software authenticator."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from support.account_stage import CALLER, generic_origin
from support.authenticator import decode
from support.passkey_holder import Person, missing, refused
from trice import auth_limits
from trice.auth.tokens import find_by_token
from trice.errors import LimitExceeded, NotFound
from trice.identity import ADMIN, Identity
from trice.protocol.ids import find_uuid_bytes

EMAIL = "ann@x.example"
NOBODY = "00000000-0000-4000-8000-000000000000"


@pytest.mark.rule("A176", "A177")
async def test_options_ask_for_a_discoverable_key_and_for_the_user(person):
    options = await person.begin()
    assert options["rp"] == {"id": "app.example", "name": "test"}
    assert decode(options["user"]["id"]) == find_uuid_bytes(person.user.id)
    assert options["user"]["name"] == EMAIL
    assert options["attestation"] == "none" and options["timeout"] == 300_000
    assert options["authenticatorSelection"] == {
        "residentKey": "required",
        "requireResidentKey": True,
        "userVerification": "required",
    }
    assert len(decode(options["challenge"])) == auth_limits.PASSKEY_CHALLENGE_BYTES
    asked = await person.begin_sign_in()
    assert asked.pop("challenge") != options["challenge"]
    assert asked == {
        "rpId": "app.example",
        "timeout": 300_000,
        "allowCredentials": [],
        "userVerification": "required",
    }


@pytest.mark.rule("A175", "A177", "A178")
@pytest.mark.parametrize("has_counter", [True, False])
async def test_register_then_sign_in_twice(stage, has_counter):
    person = Person(stage, await stage.by_code("ann@x.example"), has_counter=has_counter)
    made = await person.register(name="laptop")
    assert made["name"] == "laptop" and made["last_used_at"] is None
    stage.runtime.advance(60_000)
    for _ in range(2):
        signed_in = await person.sign_in()
        assert signed_in.user.id == person.user.id and not signed_in.is_created
        found = await stage.app.database.look(
            lambda look, token=signed_in.token: find_by_token(look, token)
        )
        assert found is not None and found.id == person.user.id
    (shown,) = await person.passkeys()
    assert shown == {**made, "last_used_at": shown["last_used_at"]}
    assert shown["last_used_at"] > shown["created_at"]
    (row,) = await stage.rows("$userPasskeys")
    assert row["signCount"] == (2 if has_counter else 0)
    assert await stage.rows("$passkeyChallenges") == []


@pytest.mark.rule("A179")
async def test_a_challenge_works_once_whatever_came_of_it(stage, person):
    await person.register()
    credential = person.authenticator.get(await person.begin_sign_in())
    await person.finish_sign_in(credential)
    await missing(person.finish_sign_in(credential), "app-passkey-challenge")
    options = await person.begin_sign_in()
    stranger = ec.generate_private_key(ec.SECP256R1())
    bad = person.authenticator.get(options, key=stranger)
    await refused(person.finish_sign_in(bad), "signature")
    good = person.authenticator.get(options)
    await missing(person.finish_sign_in(good), "app-passkey-challenge")
    options = await person.begin()
    made = person.authenticator.create(options)
    await person.finish(made)
    await missing(person.finish(made), "app-passkey-challenge")
    assert len(await stage.rows("$userPasskeys")) == 2


@pytest.mark.rule("A179")
async def test_of_two_answers_at_once_one_counts(person):
    await person.register()
    credential = person.authenticator.get(await person.begin_sign_in())
    tries = [person.finish_sign_in(credential) for _ in range(3)]
    outcomes = await asyncio.gather(*tries, return_exceptions=True)
    assert sum(isinstance(each, NotFound) for each in outcomes) == 2


@pytest.mark.rule("A180")
async def test_a_challenge_ends_after_five_minutes(stage, person):
    await person.register()
    credential = person.authenticator.get(await person.begin_sign_in())
    stage.runtime.advance(auth_limits.PASSKEY_CHALLENGE_MS - 1)
    await person.finish_sign_in(credential)
    credential = person.authenticator.get(await person.begin_sign_in())
    stage.runtime.advance(auth_limits.PASSKEY_CHALLENGE_MS)
    with pytest.raises(NotFound) as failure:
        await person.finish_sign_in(credential)
    assert failure.value.code == "record-expired"


@pytest.mark.rule("A189")
async def test_one_passkey_serves_the_subdomains_of_an_authorized_parent(stage):
    hosts = ("app.example", "www.app.example", "evilapp.example")
    await stage.set(stage.app, origins=tuple(generic_origin(host) for host in hosts))
    www = Person(stage, await stage.by_code("bob@x.example"), caller=_from("www.app.example"))
    options = await www.begin(rp_id="app.example")
    assert options["rp"]["id"] == "app.example"
    await www.finish(www.authenticator.create(options))
    credential = www.authenticator.get(await www.begin_sign_in(rp_id="app.example"))
    await www.finish_sign_in(credential)
    # A passkey of the parent does not answer for the subdomain's own.
    answer = www.authenticator.get({**await www.begin_sign_in(), "rpId": "app.example"})
    await refused(www.finish_sign_in(answer), "another domain")
    for rp_id in ("example", "", "evilapp.example", "pp.example"):
        await refused(www.begin_sign_in(rp_id=rp_id), "rp-id")
    evil = Person(stage, await stage.by_code("c@x.example"), caller=_from(hosts[2]))
    await refused(evil.begin(rp_id="app.example"), "rp-id")


def _from(host):
    return Identity("guest", ip="192.0.2.1", origin=f"https://{host}")


@pytest.mark.rule("A190")
async def test_only_signed_in_users_have_passkeys(stage, person):
    guest = Person(stage, await stage.guest())
    await refused(guest.begin(), "Guests have no passkeys")
    person.token = NOBODY
    for attempt in (person.begin(), person.passkeys()):
        await missing(attempt, "app-user")


@pytest.mark.rule("A191", "A192")
async def test_one_sees_and_deletes_ones_own_only(stage, person):
    first = await person.register(name="first")
    await person.register()
    bob = Person(stage, await stage.by_code("bob@x.example"))
    await bob.register()
    assert [each["name"] for each in await person.passkeys()] == ["first", None]

    def delete(who, passkey_id):
        return stage.passkeys.delete(
            stage.app, token=who.token, passkey_id=passkey_id, caller=CALLER
        )

    await missing(delete(bob, first["id"]), "app-user-passkey")
    await missing(delete(person, NOBODY), "app-user-passkey")
    await delete(person, first["id"])
    await missing(delete(person, first["id"]), "app-user-passkey")
    assert [each["name"] for each in await person.passkeys()] == [None]
    gone = person.authenticator.credentials[0]
    await missing(person.sign_in(credential=gone), "app-user-passkey")
    await person.sign_in()


@pytest.mark.rule("A193")
async def test_a_deleted_user_takes_passkeys_and_challenges_along(stage, person):
    await person.register()
    await person.begin()
    answer = person.authenticator.get(await person.begin_sign_in())
    step = ["delete", "$users", person.user.id]
    await stage.app.database.transact_admin([step], identity=ADMIN)
    assert await stage.rows("$userPasskeys") == []
    assert [row["purpose"] for row in await stage.rows("$passkeyChallenges")] == ["sign-in"]
    await missing(person.finish_sign_in(answer), "app-user-passkey")


@pytest.mark.rule("A194")
async def test_a_user_has_a_bounded_number(person, monkeypatch):
    monkeypatch.setattr(auth_limits, "PASSKEYS_PER_USER_MAX", 2)
    await person.register()
    await person.register()
    with pytest.raises(LimitExceeded) as failure:
        await person.register()
    assert failure.value.code == "parameter-limit-exceeded"


@pytest.mark.rule("A195")
async def test_challenges_are_forgotten_when_over_and_when_there_are_too_many(
    stage, person, monkeypatch
):
    monkeypatch.setattr(auth_limits, "PASSKEY_CHALLENGES_MAX", 5)
    first = await person.begin_sign_in()
    for _ in range(4):
        stage.runtime.advance(1)
        await person.begin_sign_in()
    assert len(await stage.rows("$passkeyChallenges")) == 5
    stage.runtime.advance(1)
    newest = await person.begin_sign_in()
    assert len(await stage.rows("$passkeyChallenges")) == 5
    await person.register()
    oldest = person.authenticator.get(first)
    await missing(person.finish_sign_in(oldest), "app-passkey-challenge")
    await person.finish_sign_in(person.authenticator.get(newest))
    stage.runtime.advance(auth_limits.PASSKEY_CHALLENGE_MS)
    await person.begin_sign_in()
    assert len(await stage.rows("$passkeyChallenges")) == 1


@pytest.mark.rule("A196")
async def test_requests_are_limited_for_a_network_address(person):
    with pytest.raises(LimitExceeded) as failure:
        for _ in range(auth_limits.PASSKEY_REQUESTS_PER_HOUR_OF_IP + 1):
            await person.passkeys()
    assert failure.value.code == "rate-limited"
    person.caller = replace(person.caller, ip="192.0.2.99")
    await person.passkeys()


@pytest.mark.rule("A151")
async def test_everything_is_refused_while_switched_off(stage, person):
    await person.register()
    answer = person.authenticator.get(await person.begin_sign_in())
    made = person.authenticator.create(await person.begin())
    await stage.set(stage.app, has_passkeys=False)
    delete = stage.passkeys.delete(stage.app, token=person.token, passkey_id=NOBODY, caller=CALLER)
    attempts = (person.begin(), person.finish(made), person.begin_sign_in())
    for attempt in (*attempts, person.finish_sign_in(answer), person.passkeys(), delete):
        await refused(attempt, "POST /dash/apps/:app_id/sign-in-methods")
