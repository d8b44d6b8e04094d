"""What an import brings, and what its report says."""

from __future__ import annotations

import asyncio
import hashlib
import uuid
from pathlib import Path
from typing import Any

import msgspec
import pytest

from support.archive_stage import Stage, open_stage, small_shop
from support.archives import Archive
from trice import archive_limits, auth_limits
from trice.archive.report import Report
from trice.auth.oauth.clients import get_client_named
from trice.auth.oauth.sealed import Seal
from trice.auth.tokens import find_by_token
from trice.catalog.system import system_attrs
from trice.database import Look
from trice.errors import InvalidInput, PermissionDenied
from trice.identity import ADMIN
from trice.protocol.ids import AppId
from trice.runtime import new_uuid


def notes(report: Report) -> str:
    return "\n".join(f"{note.what} {note.next or ''}" for note in report.notes)


@pytest.mark.rule("AR1", "AR6", "AR33")
async def test_an_app_is_there_with_all_that_it_had(stage: Stage) -> None:
    shop = small_shop()
    shop.rules = {"goods": {"allow": {"view": "true"}}}
    report = await stage.load(shop)
    assert report.entities == {"$files": 1, "$users": 1, "goods": 2, "tags": 1}
    row = stage.registry.find(AppId(report.app_id))
    assert row is not None and row.id == shop.app_id
    assert (row.title, row.rules, row.expires_ms) == ("A shop", shop.rules, None)
    async with stage.database(report.app_id) as database:
        query = {"goods": {"tags": {}, "owner": {}, "$": {"order": {"title": "asc"}}}}
        found = await database.look(lambda look: look.find(query))
        cup, kettle = found["goods"]
        assert "extra" not in cup and cup["sku"] is None and cup["due"] is None
        assert kettle["extra"] == {"b": [1, None]} and kettle["due"] == "2026-01-02"
        assert kettle["tags"][0]["name"] == "new"
        assert kettle["owner"][0]["email"] == "alice@example.com"
        # The log goes on: two transactions of the import, then this one.
        step = ["update", "goods", cup["id"], {"price": 3}]
        await database.change(lambda change: change.write(step))
        assert database.tx == 10**12 + 3
    ours = small_shop()
    ours.app_id = None
    ours.more = {"trice": {"tx": 70}}
    report = await stage.load(ours)
    async with stage.database(report.app_id) as database:
        assert database.tx == 70 + 10**6 + 2


@pytest.mark.rule("AR3")
async def test_an_app_that_exists_is_not_touched(stage: Stage) -> None:
    shop = small_shop()
    await stage.load(shop)
    before = stage.left()
    with pytest.raises(InvalidInput, match=f"there is an app {shop.app_id} on this server already"):
        await stage.load(shop)
    assert stage.left() == before
    other = await stage.load(shop, app_id=AppId(str(uuid.uuid4())))
    assert other.app_id != shop.app_id
    assert "users sign in again" not in notes(await stage.load(Archive(app_id=None)))


@pytest.mark.rule("AR20")
async def test_an_archive_of_the_older_form_comes(stage: Stage) -> None:
    shop = small_shop()
    shop.app_id = None
    gone = ("backupAt", "isn", "description", "authorizedRedirectOrigins", "counts")
    shop.more = dict.fromkeys((*gone, "tripleCount", "webhooks", "emailTemplates"))
    report = await stage.load(shop)
    assert report.entities["goods"] == 2


@pytest.mark.rule("AR40")
async def test_attrs_are_what_the_schema_says(stage: Stage) -> None:
    report = await stage.load(small_shop())
    async with stage.database(report.app_id) as database:
        catalog = database.catalog
        title, sku = catalog.find_forward("goods", "title"), catalog.find_forward("goods", "sku")
        assert title is not None and title.is_required and title.is_indexed
        assert title.checked_type == "string" and not title.is_unique
        assert sku is not None and sku.is_unique and sku.inferred == 2
        owner = catalog.find_reverse("$users", "goods")
        assert owner is not None and owner.on_delete == "cascade" and owner.cardinality == "one"
        for one in system_attrs():
            assert catalog.by_id[one.id].name == one.name


@pytest.mark.rule("AR41")
async def test_writes_queued_under_the_old_attr_ids_are_taken(stage: Stage) -> None:
    shop = small_shop()
    ids = [str(uuid.uuid4()) for _ in range(4)]
    known = [
        {"id": ids[0], "forward-identity": [ids[1], "goods", "title"]},
        {
            "id": ids[2],
            "forward-identity": [ids[3], "goods", "tags"],
            "reverse-identity": [str(uuid.uuid4()), "tags", "goods"],
        },
        {"id": "no uuid", "forward-identity": [ids[1], "goods", "price"]},
        "nothing",
    ]
    report = await stage.load(shop, attrs=known)
    assert "--attrs" not in notes(report)
    async with stage.database(report.app_id) as database:
        title = database.catalog.find_forward("goods", "title")
        assert title is not None and (title.id, title.forward.id) == (ids[0], ids[1])
        tags = database.catalog.find_forward("goods", "tags")
        assert tags is not None and tags.id == ids[2]
        good = shop.lines["goods"][0][0]["id"]
        steps = [["add-triple", good, ids[0], "Renamed offline"]]
        await database.transact(steps, identity=ADMIN)
        found = await database.look(
            lambda look: look.find({"goods": {"$": {"where": {"id": good}}}})
        )
        assert found["goods"][0]["title"] == "Renamed offline"


@pytest.mark.rule("AR50")
async def test_users_stay_signed_in(stage: Stage) -> None:
    shop = small_shop()
    user = shop.lines["$users"][0][0]["id"]
    token = str(uuid.uuid4())
    hashed = hashlib.sha256(uuid.UUID(token).bytes).hexdigest()
    shop.add("$userRefreshTokens", {"hashedToken": hashed, "$user": user})
    shop.add("$users", {"email": "Bob@Example.com"})
    report = await stage.load(shop)
    async with stage.database(report.app_id) as database:
        found = await database.look(lambda look: find_by_token(look, token))
        assert found is not None and found.id == user
    assert "1 sign-ins came with their users: clients that keep the app id stay" in notes(report)
    assert "1 users have an e-mail address that nobody can sign in with" in notes(report)
    assert "Bob@Example.com" in notes(report)


@pytest.mark.rule("AR51", "AR52", "FN562")
async def test_oauth_clients_come_without_secrets(stage: Stage, tmp_path: Path) -> None:
    shop = small_shop()
    provider = shop.add("$oauthProviders", {"name": "google"})
    made = shop.add(
        "$oauthClients",
        {
            "$oauthProvider": provider,
            "name": "google-web",
            "clientId": "abc.apps.example",
            "encryptedClientSecret": "00aa11bb",
            "discoveryEndpoint": "https://accounts.google.com/.well-known/openid-configuration",
            "meta": {"appType": "web"},
        },
    )
    shop.add(
        "$oauthClients",
        {
            "$oauthProvider": provider,
            "name": "easy",
            "clientId": None,
            "useSharedCredentials": True,
        },
    )
    shop.add("$magicCodes", {"codeHash": "aa", "email": "alice@example.com"})
    shop.add("$oauthRedirects", {"stateHash": "aa", "cookieHash": "bb", "$oauthClient": made})
    shop.add("$hooks", {"name": "a.b", "state": "active", "place": 7})  # in a log that stays behind
    report = await stage.load(shop)
    assert "$hooks" not in report.entities
    assert "$magicCodes" not in report.entities and "$oauthRedirects" not in report.entities
    told = notes(report)
    assert f"POST /dash/apps/{shop.app_id}/oauth_clients/{made} " in told
    assert "used Instant's own credentials: easy" in told
    async with stage.database(report.app_id) as database:
        client = await database.look(lambda look: get_client_named(look, "google-web"))
        assert (client.client_id, client.provider_name) == ("abc.apps.example", "google")
        assert client.sealed_secret is not None
        seal = Seal(tmp_path, secret_key="a" * 64, runtime=stage.runtime)
        with pytest.raises(PermissionDenied, match="Enter the secret again"):
            seal.open(client.sealed_secret, holder=client.id)
        codes = await database.look(lambda look: look.find({"$magicCodes": {}}))
        assert codes == {"$magicCodes": []}


@pytest.mark.rule("AR53")
async def test_settings_come_and_the_rest_is_told(stage: Stage) -> None:
    shop = small_shop()
    shop.more = {
        "emailTemplates": [
            {
                "type": "magic-code",
                "subject": "{code}",
                "body": "<b>{code}</b>",
                "name": "Shop",
                "email": "hi@shop.example",
            }
        ],
        "authorizedRedirectOrigins": [
            {"service": "generic", "params": ["shop.example.com"]},
            {"service": "custom-scheme", "params": ["javascript:"]},
        ],
    }
    report = await stage.load(shop)
    row = stage.registry.find(AppId(report.app_id))
    assert row is not None
    assert [origin.params for origin in row.settings.origins] == [("shop.example.com",)]
    template = row.settings.email_template
    assert template is not None and template.sender == "hi@shop.example"
    told = notes(report)
    assert "javascript" in told and "Test users" in told and "hi@shop.example" in told

    spoilt = small_shop()
    spoilt.app_id = None
    spoilt.more = {"emailTemplates": [{"subject": "no code\n", "body": "{code}"}, 5]}
    told = notes(await stage.load(spoilt))
    assert told.count("The e-mail template did not come") == 2


@pytest.mark.rule("AR54", "AR55")
async def test_rules_come_as_they_are(stage: Stage) -> None:
    open_shop = small_shop()
    open_shop.rules = {"tags": {"allow": {"view": "nonsense((", "update": "false"}}}
    report = await stage.load(open_shop)
    row = stage.registry.find(AppId(report.app_id))
    assert row is not None and row.is_open and row.rules == open_shop.rules
    assert "anybody may read and write what no rule speaks about: goods." in notes(report)
    assert "parts of them have faults" in notes(report) and "tags.allow" in notes(report)

    closed = await stage.load(open_shop, app_id=AppId(new_uuid(stage.runtime)), is_open=False)
    row = stage.registry.find(AppId(closed.app_id))
    assert row is not None and not row.is_open
    assert "anybody may" not in notes(closed)


@pytest.mark.rule("AR56")
async def test_the_admin_token_is_new_or_given(stage: Stage) -> None:
    first = await stage.load(small_shop())
    assert first.admin_token is not None and stage.registry.has_token(first.admin_token)
    kept = str(uuid.uuid4())
    second = await stage.load(Archive(app_id=None), admin_token=kept)
    assert second.admin_token is None and stage.registry.has_token(kept)


@pytest.mark.rule("AR42")
async def test_bytes_of_files_come(stage: Stage) -> None:
    shop = small_shop()
    shop.file("$stream/s1/0", b"streamed text")
    report = await stage.load(shop)
    assert (report.files, report.file_bytes) == (2, 5017)
    async with stage.database(report.app_id) as database:

        def work(look: Look) -> list[Any]:
            return look.find({"$files": {}})["$files"]

        for row in await database.look(work):
            data = shop.files[row["location-id"]]
            assert row["content-hash"] == hashlib.sha256(data).hexdigest()
            path = stage.storage.blobs.path(AppId(report.app_id), row["content-hash"])
            assert path is not None and path.read_bytes() == data


@pytest.mark.rule("AR31", "AR32", "AR35")
async def test_what_is_left_out_is_counted(stage: Stage) -> None:
    shop = small_shop()
    shop.namespace("notes")
    shop.add("notes", {"odd": 1})
    shop.add("notes", {"odd": 2})
    shop.lines["notes"].append(({"odd": 3}, 0))
    shop.add("$users", {"shoeSize": 43})
    shop.add("$later", {"x": 1})
    with pytest.raises(InvalidInput, match=r"entities/notes.jsonl line \d: `odd` is in no schema"):
        await stage.load(shop)
    report = await stage.load(shop, drops_unknown=True)
    told = notes(report)
    assert "1 values of `$users.shoeSize` did not come" in told
    assert "2 values of `notes.odd` did not come" in told
    assert "1 lines of entities/notes.jsonl have no `id`" in told
    assert "1 entities of $later did not come" in told
    assert report.entities["notes"] == 2

    short = small_shop()
    short.app_id = None
    short.more = {"counts": {"goods": 3, "tags": 1}}
    with pytest.raises(InvalidInput, match=r"it has 2 lines, but config\.json counts 3"):
        await stage.load(short)
    await stage.load(short, ignores_counts=True)


@pytest.mark.rule("AR1")
async def test_nobody_finds_the_app_before_all_is_there(stage: Stage) -> None:
    seen = []

    def look(*told: Any) -> None:
        listed = stage.registry.find(AppId(small_shop().app_id or ""))
        seen.append((listed, list((stage.folder / "apps").iterdir())))

    stage.ears.read = stage.ears.indexed = look  # type: ignore[method-assign]
    await stage.load(small_shop())
    assert len(seen) > 4 and all(each == (None, []) for each in seen)


@pytest.mark.rule("AR70")
async def test_a_comparison_names_what_differs(stage: Stage, tmp_path: Path) -> None:
    shop = small_shop()
    given = shop.write(tmp_path / "given.zip")
    report = await stage.load(given)
    cup = shop.lines["goods"][1][0]["id"]
    kettle = shop.lines["goods"][0][0]["id"]
    tag = shop.lines["tags"][0][0]["id"]
    async with stage.database(report.app_id) as database:
        await database.change(
            lambda change: change.write(
                ["update", "goods", cup, {"title": "Mug"}],
                ["unlink", "goods", kettle, {"tags": tag}],
                ["delete", "tags", tag],
            )
        )
    await stage.registry.set_rules(AppId(report.app_id), {"goods": {}})
    blobs = stage.storage.blobs
    await blobs.delete_app(AppId(report.app_id))
    compared = await stage.compare(report.app_id, given)
    goods, tags = (each for each in compared.namespaces if each.etype in ("goods", "tags"))
    assert sorted(goods.differing) == sorted(
        [f"{cup}: `title` differs", f"{kettle}: `tags` differs"]
    )
    assert (tags.in_archive, tags.here) == (1, 0) and tags.differing == [f"{tag}: missing here"]
    assert compared.problems == [
        "The rules differ.",
        "The bytes of the file photos/kettle.png are missing.",
    ]
    assert not compared.is_equal


@pytest.mark.rule("AR2")
async def test_what_was_published_but_not_listed_is_completed(tmp_path: Path) -> None:
    """The moment between the rename of the file and the row in the list of apps."""
    shop = small_shop()
    folder = tmp_path / "data"
    async with open_stage(folder) as stage:
        report = await stage.load(shop)
        row = stage.registry.find(AppId(report.app_id))
        await stage.registry.delete(AppId(report.app_id))
    (folder / "loading" / f"{shop.app_id}.made").write_bytes(msgspec.json.encode(row))
    (folder / "loading" / "half.db").write_bytes(b"half")
    (folder / "loading" / "copy-x").mkdir()
    for _ in range(2):
        async with open_stage(folder) as stage:
            assert list((folder / "loading").iterdir()) == []
            assert stage.registry.find(AppId(report.app_id)) == row
            async with stage.database(report.app_id) as database:
                assert database.tx == 10**12 + 2


def damage(path: Path) -> None:
    path.write_bytes(b"damaged")


@pytest.mark.rule("AR7")
async def test_an_app_is_replaced_as_a_whole(stage: Stage, tmp_path: Path) -> None:
    old, new = small_shop(), small_shop()
    old.rules = {"goods": {"allow": {"view": "false"}}}
    old.file("old.txt", b"only in the old one")
    new.title, new.files = "Another shop", {}
    new.lines = {"tags": [({"id": str(uuid.uuid4()), "name": "other"}, 5)]}
    first = await stage.load(old)
    token = first.admin_token or ""
    async with stage.database(first.app_id) as database:
        latest = database.tx
    before = stage.left()
    broken = small_shop().write(tmp_path / "broken.zip", lambda entries: entries[:-1])
    with pytest.raises(InvalidInput, match="the bytes are missing"):
        await stage.load(broken, replaces=True)
    assert stage.left() == before
    given = new.write(tmp_path / "new.zip")
    report = await stage.load(given, replaces=True)
    assert report.admin_token is None and stage.registry.has_token(token)
    row = stage.registry.find(AppId(report.app_id))
    assert row is not None and (row.title, row.rules) == ("Another shop", None)
    assert (await stage.compare(report.app_id, given)).is_equal
    async with stage.database(report.app_id) as database:
        assert database.tx > latest
    damage(Path(stage.engines.place(row.id)))
    await stage.load(given, replaces=True)
    assert (await stage.compare(report.app_id, given)).is_equal
    await stage.registry.end(AppId(report.app_id))
    with pytest.raises(InvalidInput, match="ends by itself; it cannot be replaced"):
        await stage.load(given, replaces=True)


@pytest.mark.rule("AR2", "AR100")
@pytest.mark.parametrize("part", ["read", "indexed"])
@pytest.mark.parametrize("has_id", [True, False])
async def test_an_import_that_is_given_up_shows_nothing(
    stage: Stage, part: str, has_id: bool
) -> None:
    loop = asyncio.get_running_loop()
    shop = small_shop()
    shop.app_id = shop.app_id if has_id else None
    importing = asyncio.ensure_future(stage.load(shop))

    def give_up(*told: Any) -> None:
        loop.call_soon_threadsafe(importing.cancel)

    setattr(stage.ears, part, give_up)
    with pytest.raises(asyncio.CancelledError):
        await importing
    # Without an id the next import is of another app, and has nothing to go on with.
    left = {Path(name).parts[0] for name in stage.left()}
    assert left <= {"loading", "files"} if has_id else left == set()
    assert await stage.registry.rows() == []
    del stage.ears.__dict__[part]
    report = await stage.load(shop)
    assert {Path(name).parts[0] for name in stage.left()} == {"apps", "files"}
    assert stage.registry.find(AppId(report.app_id)) is not None


@pytest.mark.rule("AR53", "AR55")
async def test_settings_are_held_to_the_bounds_of_their_routes(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(auth_limits, "ORIGINS_MAX", 2)
    monkeypatch.setattr(auth_limits, "TEST_USERS_MAX", 1)
    users = [
        {"id": str(uuid.uuid4()), "email": f"{n}@example.com", "code": code, "created_ms": 1}
        for n, code in enumerate(("12345", "123456", "123457"))
    ]
    shop = small_shop()
    shop.title = "t" * 10_000
    shop.more = {
        "authorizedRedirectOrigins": [
            {"service": "generic", "params": [f"{n}.example.com"]} for n in range(3)
        ],
        "trice": {"settings": {"test_users": users, "code_expiry_minutes": 10**9}},
    }
    report = await stage.load(shop)
    row = stage.registry.find(AppId(report.app_id))
    assert row is not None and len(row.title) == 200
    assert len(row.settings.origins) == 2 and "2.example.com" in notes(report)
    assert [user.code for user in row.settings.test_users] == ["123456"]
    assert row.settings.code_expiry_minutes == auth_limits.CODE_EXPIRY_MINUTES
    shop.app_id = None
    shop.rules = {"goods": {"allow": {"view": "true" + " || true" * 50_000}}}
    with pytest.raises(InvalidInput, match=r"config\.json: .*bytes of JSON; at most"):
        await stage.load(shop)


@pytest.mark.rule("AR70")
async def test_samples_are_compared_and_all_are_counted(
    stage: Stage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archive_limits, "SAMPLES_PER_NAMESPACE", 5)
    for counts in (True, False):
        shop = small_shop()
        shop.app_id = None
        for number in range(200):
            shop.add("tags", {"name": f"tag {number}" + "x" * 200})
        if not counts:
            shop.more = {"counts": None}
        given = shop.write(tmp_path / "given.zip")
        report = await stage.load(given)
        compared = await stage.compare(report.app_id, given, is_whole=False)
        (tags,) = (each for each in compared.namespaces if each.etype == "tags")
        assert (tags.in_archive, tags.here) == (201, 201) and 5 <= tags.compared <= 11
        assert compared.is_equal
