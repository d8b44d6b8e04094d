"""Answers of authenticators that must not be believed."""

from __future__ import annotations

import asyncio
import contextlib
import random
from dataclasses import replace

import cbor2
import pytest

from support.account_stage import CALLER, ORIGIN, generic_origin
from support.authenticator import USER_PRESENT, USER_VERIFIED, decode, encode
from support.passkey_holder import Person, missing, refused
from trice.errors import Conflict, InvalidInput, NotFound
from trice.identity import Identity
from trice.protocol.ids import find_uuid_bytes


@pytest.mark.rule("A181")
async def test_a_challenge_is_bound_to_purpose_user_and_app(stage, person):
    await person.register()
    registering = await person.begin()
    as_request = {"challenge": registering["challenge"], "rpId": "app.example"}
    bad = person.authenticator.get(as_request)
    await missing(person.finish_sign_in(bad), "app-passkey-challenge")
    requested = await person.begin_sign_in()
    bad = person.authenticator.create({**registering, "challenge": requested["challenge"]})
    await missing(person.finish(bad), "app-passkey-challenge")
    bob = Person(stage, await stage.by_code("bob@x.example"))
    bad = bob.authenticator.create(await person.begin())
    await refused(bob.finish(bad), "another user")
    other_app = await stage.make_app()
    good = person.authenticator.get(await person.begin_sign_in())
    elsewhere = stage.passkeys.finish_sign_in(other_app, credential=good, caller=CALLER)
    await missing(elsewhere, "app-passkey-challenge")
    stage.apps.give_back(other_app)
    assert len(await stage.rows("$userPasskeys")) == 1


@pytest.mark.rule("A182")
@pytest.mark.parametrize(
    ("bent", "reason"),
    [
        ({"client": {"origin": "https://evil.example"}}, "origin"),
        ({"client": {"origin": "http://app.example"}}, "origin"),
        ({"client": {"origin": "https://app.example.evil.example"}}, "origin"),
        ({"client": {"crossOrigin": True}}, "frame"),
        ({"client": {"type": "webauthn.other"}}, "type"),
        ({"rp_id": "evil.example"}, "RP ID"),
        ({"flags": USER_PRESENT}, "verif"),
        ({"flags": USER_VERIFIED}, "resent"),
    ],
)
async def test_answers_of_other_places_are_refused(stage, person, bent, reason):
    await refused(person.register(**bent), reason)
    assert await stage.rows("$userPasskeys") == []
    await person.register()
    await refused(person.sign_in(**bent), reason)
    assert (await person.sign_in()).user.id == person.user.id


@pytest.mark.rule("A183")
async def test_another_users_passkey_signs_nobody_in(stage, person):
    await person.register()
    bob = Person(stage, await stage.by_code("bob@x.example"))
    await bob.register()
    handle = find_uuid_bytes(bob.user.id)
    await refused(person.sign_in(handle=handle), "another user")
    await refused(person.sign_in(handle=None), "another user")
    # Bob's key over Ann's credential id.
    key = bob.authenticator.credentials[-1].key
    await refused(person.sign_in(key=key), "signature")
    unknown = replace(person.authenticator.credentials[-1], id=b"somebody else's")
    await missing(person.sign_in(credential=unknown), "app-user-passkey")


@pytest.mark.rule("A184")
async def test_a_counter_that_does_not_rise_is_refused(person):
    await person.register()
    await person.sign_in(count=7)
    for count in (7, 6, 0):
        await refused(person.sign_in(count=count), "sign count")
    await person.sign_in(count=8)
    # Two answers of one count, checked at the same time: a cloned key.
    answers = [person.authenticator.get(await person.begin_sign_in(), count=9) for _ in range(2)]
    outcomes = await asyncio.gather(
        *(person.finish_sign_in(answer) for answer in answers), return_exceptions=True
    )
    assert sum(isinstance(each, InvalidInput) for each in outcomes) == 1


@pytest.mark.rule("A185")
async def test_registering_again_is_refused_and_told_to_authenticators(stage, person):
    await person.register()
    credential = person.authenticator.credentials[-1]
    options = await person.begin()
    assert options["excludeCredentials"] == [{"id": encode(credential.id), "type": "public-key"}]
    bob = Person(stage, await stage.by_code("bob@x.example"))
    options = await bob.begin()
    forged = bob.authenticator.create(options)
    with pytest.raises(Conflict):
        await bob.finish(_with_id(forged, credential.id))
    assert len(await stage.rows("$userPasskeys")) == 1


def _with_id(made, credential_id):
    """The answer to a creation, for another credential id."""
    attestation = cbor2.loads(decode(made["response"]["attestationObject"]))
    data = attestation["authData"]
    attestation["authData"] = data[:55] + credential_id + data[55 + len(credential_id) :]
    response = {**made["response"], "attestationObject": encode(cbor2.dumps(attestation))}
    return {**made, "response": response}


@pytest.mark.rule("A186")
async def test_attestation_is_not_looked_at(person):
    await person.register(format="packed", statement={"alg": -7, "sig": b"x", "x5c": [b"y"]})
    await person.sign_in()


@pytest.mark.rule("A187")
@pytest.mark.parametrize(
    "cose",
    [
        {1: 2, 3: -7, -1: 1, -2: bytes(32), -3: bytes(32)},
        {1: 2, 3: -7, -1: 1},
        {1: 3, 3: -257, -1: b"\x01" * 3000, -2: b"\x01\x00\x01"},
        {1: 4, 3: -65535},
        "no map",
    ],
)
async def test_keys_that_cannot_check_signatures_are_refused(stage, person, cose):
    await refused(person.register(cose=cose), "not accepted")
    assert await stage.rows("$userPasskeys") == []


@pytest.mark.rule("A188")
@pytest.mark.parametrize(
    ("origin", "accepted"),
    [
        (ORIGIN, True),
        ("http://localhost:3000", True),
        ("https://localhost:3000", True),
        ("http://app.example", False),
        ("https://app.example:444", False),
        ("https://evil.example", False),
        ("https://sub.app.example", False),
        ("https://app.example/", False),
        ("https://app.example?x", False),
        ("https://user@app.example", False),
        ("myapp://app.example", False),
        ("null", False),
        ("", False),
    ],
)
async def test_ceremonies_begin_at_authorized_secure_origins_only(stage, origin, accepted):
    hosts = ("app.example", "localhost:3000")
    await stage.set(stage.app, origins=tuple(generic_origin(host) for host in hosts))
    caller = Identity("guest", ip="192.0.2.1", origin=origin)
    elsewhere = Person(stage, await stage.by_code("bob@x.example"), caller=caller)
    if accepted:
        await elsewhere.register()
        await elsewhere.sign_in()
    else:
        await refused(elsewhere.begin(), "Authorize the address")
        await refused(elsewhere.begin_sign_in(), "Authorize the address")


@pytest.mark.rule("A182")
@pytest.mark.parametrize(
    "credential",
    [
        {},
        {"response": None},
        {"response": {"clientDataJSON": 5}},
        {"response": {"clientDataJSON": "!!"}},
        {"response": {"clientDataJSON": encode(b"[]")}},
        {"response": {"clientDataJSON": encode(b"{}")}},
        {"response": {"clientDataJSON": encode(b'{"challenge":5,"origin":"x"}')}},
        {"response": {"clientDataJSON": encode(b'{"challenge":"AAAA","origin":5}')}},
        {"response": {"clientDataJSON": encode(b"[" * 2000)}},
    ],
)
async def test_what_is_no_answer_at_all_is_malformed(person, credential):
    await refused(person.finish_sign_in(credential), code="param-malformed")
    await refused(person.finish(credential), code="param-malformed")


@pytest.mark.rule("A182")
@pytest.mark.parametrize(
    "bend",
    [
        lambda answer: {**answer, "id": encode(b"other")},
        lambda answer: {**answer, "rawId": 5},
        lambda answer: {**answer, "type": "password"},
        lambda answer: _respond(answer, attestationObject=None),
        lambda answer: _respond(answer, attestationObject="AAAA"),
        lambda answer: _respond(answer, attestationObject=encode(b"\x81" * 3000)),
        lambda answer: _respond(answer, attestationObject=encode(b"\xa1\x68authData\x41\x00")),
    ],
)
async def test_broken_creation_answers_are_refused(person, bend):
    answer = person.authenticator.create(await person.begin())
    await refused(person.finish(bend(answer)), "not accepted")


@pytest.mark.rule("A182")
@pytest.mark.parametrize(
    "bend",
    [
        lambda answer: {**answer, "rawId": encode(b"other")},
        lambda answer: {**answer, "type": 5},
        lambda answer: _respond(answer, authenticatorData=encode(b"short")),
        lambda answer: _respond(answer, authenticatorData=None),
        lambda answer: _respond(answer, signature=encode(b"\x30" * 100)),
        lambda answer: _respond(answer, signature=7),
    ],
)
async def test_broken_sign_in_answers_are_refused(person, bend):
    await person.register()
    answer = person.authenticator.get(await person.begin_sign_in())
    await refused(person.finish_sign_in(bend(answer)), "not accepted")


@pytest.mark.rule("A182")
@pytest.mark.parametrize("seed", range(20))
async def test_no_byte_of_an_answer_may_differ(person, seed):
    chance = random.Random(seed)

    def bend(answer, part):
        raw = bytearray(decode(answer["response"][part]))
        raw[chance.randrange(len(raw))] ^= 1 << chance.randrange(8)
        return _respond(answer, **{part: encode(bytes(raw))})

    await person.register()
    for part in ("clientDataJSON", "authenticatorData", "signature"):
        answer = person.authenticator.get(await person.begin_sign_in())
        with pytest.raises((InvalidInput, NotFound)):
            await person.finish_sign_in(bend(answer, part))
    # A creation is not signed: what differs may be believed, but is never a server error.
    for part in ("clientDataJSON", "attestationObject"):
        answer = person.authenticator.create(await person.begin())
        with contextlib.suppress(InvalidInput, NotFound):
            await person.finish(bend(answer, part))


def _respond(answer, **changed):
    return {**answer, "response": {**answer["response"], **changed}}
