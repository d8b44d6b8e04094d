"""Wrong inputs to every route and op: each is refused in words of JSON, and located.

One table: the inputs, and what they are put into. Nothing here looks at single answers; tests of
the routes do.
"""

from __future__ import annotations

import re

import orjson
import pytest

from trice.api import admin_users, auth, dash_auth, dash_settings, debug, oauth, passkeys, passwords

ENTITY = "e1000000-0000-4000-8000-000000000001"

PYTHON = re.compile(
    r"\b(None|True|False|NoneType|dict|tuple|float|int|str|bool|bytes object|Traceback)\b"
    r"|<class|<object|0x[0-9a-f]{6,}|Expected `"
)
"""What only Python says. English words that it shares, as "list", are not in here."""

WRONG = (
    b"null",
    b"true",
    b"false",
    b"0",
    b"-0.5",
    b"1e22",
    b"9007199254740993",
    b"9" * 40,
    b'""',
    b'"  "',
    b'"x"',
    '"\\u2028💥é"'.encode(),
    b'"\\u0000"',
    b'"%b"' % (b"x" * 5_000),
    b'"E1000000-0000-4000-8000-00000000000A"',
    b"[]",
    b"[null,true,1e22]",
    b"[[[[]]]]",
    b"{}",
    b'{"a":null,"b":[true]}',
    b'{"a":%b,"b":true}' % (b"9" * 40),
    b'{"a":1,"a":null}',
)
NO_JSON = (
    b"{",
    b'{"a":1,}',
    b"{'a':1}",
    b'{"a":NaN}',
    b'{"a":1e999}',
    b'{"a":"\\ud83d"}',
    b'{"a":"\xe9"}',
    b"\xef\xbb\xbf{}",
    '{"a":1}'.encode("utf-16"),
    b"[" * 2_000 + b"]" * 2_000,
    b"null",
    b"true",
    b"5",
    b'"x"',
    b"[]",
    b"  ",
)

BODIES: dict[str, tuple[str, ...]] = {
    "/runtime/auth/verify_magic_code": ("app-id", "email", "code", "refresh-token", "extra-fields"),
    "/runtime/signout": ("app_id", "refresh_token"),
    "/runtime/oauth/token": ("app_id", "code", "code_verifier", "refresh_token", "extra_fields"),
    "/runtime/oauth/id_token": ("app_id", "id_token", "client_name", "nonce"),
    "/runtime/auth/password/change": ("app-id", "refresh-token", "password", "new-password"),
    "/runtime/auth/passkey/register/finish": ("app-id", "refresh-token", "credential", "name"),
    "/runtime/auth/passkey/register/begin": ("app-id", "refresh-token", "rp-id"),
    "/admin/users/password": ("id", "email", "password"),
    "/admin/refresh_tokens": ("id", "email", "extra-fields"),
    "/dash/apps/{app_id}/oauth_service_providers": ("provider_name",),
    "/dash/apps/{app_id}/oauth_clients": ("provider_id", "client_name", "client_id", "meta"),
    "/dash/apps/{app_id}/authorized_redirect_origins": ("service", "params"),
    "/dash/apps/{app_id}/email_templates": ("subject", "body", "email-type", "sender-email"),
    "/dash/apps/{app_id}/test_users": ("email", "code"),
    "/dash/apps/{app_id}/set-magic-code-expiry": ("expiry",),
    "/dash/apps/{app_id}/sign-in-methods": ("passwords", "passkeys"),
    "/dash/apps/{app_id}/rules": ("code",),
    "/dash/apps/ephemeral": ("title", "schema", "rules"),
    "/admin/query_perms_check": ("query", "rules-override", "ip-override", "origin-override"),
    "/admin/transact_perms_check": ("steps", "rules-override"),
    "/admin/sse/push": ("session_id", "sse_token", "messages"),
    "/runtime/framework/query": ("query",),
}
"""The keys of bodies, by route."""

GOOD = {
    "email": "ann@example.com",
    "code": "123456",
    "extra-fields": {},
    "title": "t",
    "refresh-token": ENTITY,
    "refresh_token": ENTITY,
    "password": "correct horse battery",
    "new-password": "another horse battery",
    "client_name": "google",
    "id_token": "a.b.c",
    "machine_id": ENTITY,
    "session_id": ENTITY,
    "sse_token": "x",
    "messages": [],
    "query": {"todos": {}},
    "steps": [],
    "provider_name": "google",
    "provider_id": ENTITY,
    "service": "generic",
    "params": ["example.com"],
    "expiry": 10,
    "passwords": False,
    "subject": "{code}",
    "body": "{code}",
    "email-type": "magic-code",
}

QUERIES = (
    "%b",
    '{"todos":%b}',
    '{"todos":{"$":%b}}',
    '{"todos":{"owner":%b}}',
    '{"todos":{},"$$ruleParams":%b}',
    *(
        f'{{"todos":{{"$":{{"{option}":%b}}}}}}'
        for option in ("where", "order", "limit", "offset", "after", "fields", "aggregate")
    ),
    *(
        f'{{"todos":{{"$":{{"where":{{"{path}":%b}}}}}}}}'
        for path in ("title", "rank", "due", "done", "owner", "id", "owner.name", "or", "nothing")
    ),
    *(
        f'{{"todos":{{"$":{{"where":{{"title":{{"{op}":%b}}}}}}}}}}'
        for op in ("$in", "$not", "$gt", "$isNull", "$like", "$ilike", "$unknown")
    ),
    '{"todos":{"$":{"order":{"rank":%b}}}}',
    f'{{"todos":{{"$":{{"order":{{"rank":"asc"}},"after":["{ENTITY}",%b,1,1]}}}}}}',
    '{"todos":{"$":{"aggregate":{"sum":%b,"count":true}}}}',
)
STEPS = (
    "%b",
    "[%b]",
    "[[%b]]",
    f'[["update",%b,"{ENTITY}",{{}}]]',
    '[["update","todos",%b,{"title":"x"}]]',
    f'[["update","todos","{ENTITY}",%b]]',
    f'[["update","todos","{ENTITY}",{{"title":"x"}},%b]]',
    *(
        f'[["{op}","todos","{ENTITY}",{{"{label}":%b}}]]'
        for op in ("update", "merge", "link")
        for label in ("title", "rank", "due", "done", "owner")
    ),
    '[["update","todos",["title",%b],{"rank":1}]]',
    '[["add-attr",%b]]',
    '[["delete-attr",%b]]',
)
MESSAGES = (
    '{"op":%b}',
    '{"op":"add-query","q":%b}',
    '{"op":"add-query","q":{"todos":{}},"return-type":%b}',
    '{"op":"add-query","q":{"todos":{}},"held":%b}',
    '{"op":"remove-query","q":%b}',
    '{"op":"transact","tx-steps":%b}',
    '{"op":"transact","tx-steps":[["add-triple",%b,"a",1]]}',
    f'{{"op":"transact","tx-steps":[["add-triple","{ENTITY}",%b,1]]}}',
    '{"op":"transact","tx-steps":[["add-attr",%b]]}',
    '{"op":"init","app-id":%b}',
    '{"op":"join-room","room-id":%b}',
    '{"op":"add-query","q":{"nowhere":{}},"client-event-id":%b}',
)

SCHEMA = {
    "entities": {
        "todos": {
            "attrs": {
                label: {"valueType": kind, "config": {"indexed": True, "unique": False}}
                for label, kind in {
                    "title": "string",
                    "rank": "number",
                    "due": "date",
                    "done": "boolean",
                }.items()
            }
        },
        "people": {"attrs": {}},
    },
    "links": {
        "owners": {
            "forward": {"on": "todos", "has": "one", "label": "owner"},
            "reverse": {"on": "people", "has": "many", "label": "todos"},
        }
    },
}


def check_error(error, story):
    """An answer that says what was wrong, for people and for programs."""
    assert error["type"] != "unknown", story
    assert isinstance(error["hint"], dict), story
    message = error["message"]
    assert len(message) > 10 and len(message) < 2_000, story
    told = orjson.dumps({key: value for key, value in error.items() if key != "original-event"})
    assert not PYTHON.search(told.decode()), (story, told[:500])


async def refused(stage, path, body, headers, story):
    """Send a body; what comes back is right, or an error in words of JSON. 1 for an error."""
    answer = await stage.ask("POST", path, body, headers)
    assert answer.status < 500, (story, answer.body[:500])
    if answer.status == 200:
        return 0
    check_error(answer.json(), (story, answer.body[:500]))
    return 1


@pytest.mark.rule("H63")
@pytest.mark.parametrize("path", sorted(BODIES))
async def test_wrong_bodies_are_refused_in_words_of_json(stage, path):
    count = 0
    target = path.replace("{app_id}", stage.app_id)
    good = {**GOOD, "app-id": stage.app_id, "app_id": stage.app_id}
    for key in BODIES[path]:
        others = b"".join(
            b",%b:%b" % (orjson.dumps(name), orjson.dumps(good[name]))
            for name in {*BODIES[path], "machine_id"} - {key}
            if name in good
        )
        headers = stage.admin(**{"as-guest": "1"} if "perms_check" in path else {})
        for value in WRONG:
            body = b"{%b:%b%b}" % (orjson.dumps(key), value, others)
            count += await refused(stage, target, body, headers, (path, key, value[:60]))
    assert count > 5


@pytest.mark.rule("H63")
async def test_what_is_no_json_object_is_refused_by_every_route(stage):
    routes = {
        route.path
        for module in (
            *(auth, oauth, passwords, passkeys, admin_users, dash_auth, dash_settings),
            debug,
        )
        for route in module.ROUTES
        if "POST" in (route.methods or ())
    } - {"/runtime/oauth/callback"}
    routes |= {"/admin/query", "/admin/transact", "/admin/subscribe-query", "/runtime/sse"}
    for path in sorted(routes):
        target = path.replace("{app_id}", stage.app_id).replace("{id}", ENTITY)
        for body in NO_JSON:
            headers = stage.admin(**{"as-guest": "1"} if "perms_check" in path else {})
            story = (path, body[:60])
            assert await refused(stage, target, body, headers, story) == 1, story


async def prepared(stage):
    """An app with a schema in the place of the first one; one todo."""
    made = await stage.ask("POST", "/dash/apps/ephemeral", {"title": "t", "schema": SCHEMA})
    app = made.json()["app"]
    stage.app_id, stage.token = app["id"], app["admin-token"]
    steps = {"steps": [["update", "todos", ENTITY, {"title": "a"}]]}
    assert (await stage.ask("POST", "/admin/transact", steps, stage.admin())).status == 200


@pytest.mark.rule("H63")
@pytest.mark.parametrize(
    ("path", "key", "forms"),
    [("/admin/query", "query", QUERIES), ("/admin/transact", "steps", STEPS)],
)
async def test_wrong_queries_and_steps_are_refused_in_words_of_json(stage, path, key, forms):
    await prepared(stage)
    count = 0
    for form in forms:
        for value in WRONG:
            body = b'{"%b":%b}' % (key.encode(), form.encode() % value)
            count += await refused(stage, path, body, stage.admin(), (form, value[:60]))
    assert count > len(forms) * len(WRONG) / 2


@pytest.mark.rule("H63")
async def test_wrong_messages_are_refused_in_words_of_json(stage):
    await prepared(stage)
    events = stage.start("GET", f"/runtime/sse?app_id={stage.app_id}")
    first = await events.event(0)
    place = {
        "machine_id": first["machine-id"],
        "session_id": first["session-id"],
        "sse_token": first["sse-token"],
    }

    async def send(raw):
        body = orjson.dumps(place)[:-1] + b',"messages":[%b]}' % raw
        answer = await stage.ask("POST", f"/runtime/sse?app_id={stage.app_id}", body)
        assert answer.json() == {}

    await send(orjson.dumps({"op": "init", "app-id": stage.app_id}))
    seen, errors = 2, 0
    assert (await events.event(1))["op"] == "init-ok"
    for form in MESSAGES:
        for value in WRONG:
            await send(form.encode() % value)
            answer = await events.event(seen)
            seen = len(events.events())
            if answer["op"] == "error":
                check_error(answer, (form, value[:60], answer))
                errors += 1
    assert errors > len(MESSAGES) * len(WRONG) / 2
    await events.hang_up()
