"""Code checked, put in force, gone back from; secrets."""

from __future__ import annotations

import asyncio

import orjson
import pytest

from support.deploy_stage import DeployStage, bundle_of, signature
from trice import function_limits as limits
from trice.calls.app_secrets import masked
from trice.calls.report import Unfit, load_refusal
from trice.errors import Conflict, InvalidInput, LimitExceeded, NotFound, PermissionDenied
from trice.functions.frames import LoadError

CLOSED = {"notes": {"allow": {"view": "false"}}}
OPEN = {"notes": {"allow": {"view": "true"}}}


@pytest.fixture
async def stage(tmp_path, exits):
    made = DeployStage(tmp_path)
    await made.open()
    exits.push_async_callback(lambda: made.close())
    return made


@pytest.mark.rule("FN270")
async def test_a_report_tells_what_would_change_and_nothing_does(stage):
    assert stage.deployments.current(stage.app.id) is None
    await stage.deploy("messages.recent", "messages.send")
    bundle = bundle_of("messages.recent", "rooms.list", required=("KEY",), rules=OPEN)
    report = await stage.deployments.take(stage.app, bundle.raw)
    assert (report.bundle, report.is_current) == (bundle.hash, False)
    assert (report.added, report.removed, report.changed) == (["rooms.list"], ["messages.send"], [])
    assert report.missing == ["KEY"]
    assert stage.names == ["messages.recent", "messages.send"]
    assert stage.app.row.rules is None
    # It was loaded from the unpacked bundle, which is the one that would be in force.
    assert stage.checker.seen[-1][0].name == bundle.hash


@pytest.mark.rule("FN270")
async def test_a_report_tells_functions_that_callers_see_otherwise(stage, monkeypatch):
    await stage.deploy("a.one", "a.two")
    ready = signature("a.one", doc="other words", line=9), signature("a.two", auth="user")

    async def check(path, env, packages=None):
        from trice.functions.frames import Ready

        return Ready(functions=[*ready, signature("a.three", also=("a.old",))])

    monkeypatch.setattr(stage.checker, "check", check)
    report = await stage.deployments.take(stage.app, bundle_of("x").raw)
    assert report.changed == ["a.two"]
    assert report.added == ["a.three"]


@pytest.mark.rule("FN271")
async def test_faults_are_told_with_file_and_line_and_the_old_code_stays(stage):
    await stage.deploy("messages.recent")
    with pytest.raises(InvalidInput, match="2 faults") as refused:
        await stage.deployments.take(stage.app, bundle_of("a.b", "!one", "!two").raw)
    assert refused.value.hint["errors"] == [
        {"message": "!one is none", "in": ["functions/names.txt", 2]},
        {"message": "!two is none", "in": ["functions/names.txt", 3]},
    ]
    assert stage.names == ["messages.recent"]
    broken = bundle_of("a.b", "!one", "!two")
    with pytest.raises(NotFound, match="was not sent"):
        await stage.deployments.deploy(stage.app, broken.hash)


@pytest.mark.rule("FN271")
async def test_a_refusal_with_many_faults_still_tells_the_first(stage):
    many = [f"!{'x' * 500}{at}" for at in range(300)]
    with pytest.raises(InvalidInput) as refused:
        await stage.deployments.take(stage.app, bundle_of(*many).raw)
    told = refused.value.body()["hint"]
    assert 30 <= len(told["errors"]) <= limits.LOAD_ERRORS_TOLD
    assert told["count"] == 300


@pytest.mark.rule("FN271")
async def test_rules_that_cannot_be_compiled_are_refused_with_the_bundle(stage):
    wrong = {"notes": {"allow": {"view": "data.("}}}
    with pytest.raises(InvalidInput):
        await stage.deployments.take(stage.app, bundle_of("a.b", rules=wrong).raw)


@pytest.mark.rule("FN272")
async def test_code_and_rules_switch_in_one_transaction_and_one_turn(stage):
    commits = []
    stage.apps.platform.on_commits(lambda some: commits.extend(some))
    seen = []
    stage.deployments.on_switch(
        lambda app_id, code: seen.append((code.bundle_hash, stage.app.row.rules))
    )
    made = await stage.deploy("a.b", rules=CLOSED)
    assert len(commits) == 1
    assert seen == [(made.bundle, CLOSED)]
    code = stage.deployments.current(stage.app.id)
    assert (code.bundle_hash, code.version, made.number) == (made.bundle, 1, 1)
    assert stage.switched == [(stage.app.id, code)]


@pytest.mark.rule("FN272")
async def test_what_is_in_force_survives_a_restart_and_lost_code_is_unpacked_again(stage):
    await stage.deployments.change_secrets(stage.app, {"KEY": "s3cret"}, [])
    made = await stage.deploy("a.b", rules=CLOSED)
    import shutil

    shutil.rmtree(stage.deployments.current(stage.app.id).path)
    await stage.reopen()
    code = stage.deployments.current(stage.app.id)
    assert (code.bundle_hash, code.version, code.env) == (made.bundle, 2, {"KEY": "s3cret"})
    assert stage.names == ["a.b"]
    from pathlib import Path

    assert (Path(code.path) / "functions" / "names.txt").read_text() == "a.b"


@pytest.mark.rule("FN272")
async def test_a_caller_who_leaves_does_not_undo_half_of_a_deploy(stage):
    bundle = bundle_of("a.b", rules=CLOSED)
    await stage.deployments.take(stage.app, bundle.raw)
    task = asyncio.create_task(stage.deployments.deploy(stage.app, bundle.hash))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await stage.deployments.close()
    assert stage.names == ["a.b"]
    assert stage.app.row.rules == CLOSED


@pytest.mark.rule("FN273")
async def test_a_bundle_without_rules_leaves_those_of_the_app(stage):
    await stage.apps.set_rules(stage.app.id, OPEN)
    await stage.deploy("a.b")
    assert stage.app.row.rules == OPEN


@pytest.mark.rule("FN274")
async def test_work_that_no_longer_fits_blocks_unless_it_is_forced(stage):
    async def unfit(app, functions):
        has = {each.name for each in functions}
        return () if "jobs.send" in has else (Unfit("jobs.send", 3, "the function is gone"),)

    stage.deployments.find_unfit = unfit
    await stage.deploy("jobs.send")
    bundle = bundle_of("a.b")
    report = await stage.deployments.take(stage.app, bundle.raw)
    assert [each.name for each in report.unfit] == ["jobs.send"]
    with pytest.raises(Conflict, match=r"jobs.send \(3\): the function is gone") as refused:
        await stage.deployments.deploy(stage.app, bundle.hash)
    assert refused.value.code == "deploy-blocked"
    assert stage.names == ["jobs.send"]
    await stage.deployments.deploy(stage.app, bundle.hash, is_forced=True)
    assert stage.names == ["a.b"]
    await stage.deployments.roll_back(stage.app)
    assert stage.names == ["jobs.send"]


@pytest.mark.rule("FN275")
async def test_rollback_switches_code_and_rules_and_no_data(stage):
    first = await stage.deploy("a.one", rules=CLOSED)
    second = await stage.deploy("a.two", rules=OPEN)
    tx = stage.app.database.tx
    assert await stage.deployments.roll_back(stage.app) == first
    assert (stage.names, stage.app.row.rules) == (["a.one"], CLOSED)
    assert stage.app.database.tx == tx
    assert stage.deployments.current(stage.app.id).version == 3
    current, kept = await stage.deployments.listed(stage.app)
    assert (current, [each.number for each in kept]) == (1, [2, 1])
    with pytest.raises(NotFound, match="no deployment to go back to"):
        await stage.deployments.roll_back(stage.app)
    with pytest.raises(InvalidInput, match="in force already"):
        await stage.deployments.roll_back(stage.app, 1)
    assert await stage.deployments.roll_back(stage.app, 2) == second
    # A number is never given twice.
    assert (await stage.deploy("a.three")).number == 3


@pytest.mark.rule("FN276")
async def test_rollback_is_refused_if_that_code_names_attrs_that_are_gone(stage):
    schema = {
        "entities": {"notes": {"attrs": {"text": {"valueType": "string"}}}},
        "links": {
            "notesAuthor": {
                "forward": {"on": "notes", "label": "author", "has": "one"},
                "reverse": {"on": "$users", "label": "notes", "has": "many"},
            }
        },
    }
    await stage.deploy("a.one", schema=schema)
    await stage.deploy("a.two")
    with pytest.raises(Conflict, match=r"notes, notes\.author, notes\.text") as refused:
        await stage.deployments.roll_back(stage.app)
    assert refused.value.hint["gone"][0] == "$users.notes"
    assert stage.names == ["a.two"]


@pytest.mark.rule("FN277")
async def test_the_newest_deployments_are_kept_with_their_bundles(stage, monkeypatch):
    monkeypatch.setattr(limits, "DEPLOYMENTS_KEPT", 3)
    made = [await stage.deploy(f"a.f{at}") for at in range(9)]
    _, kept = await stage.deployments.listed(stage.app)
    assert [each.number for each in kept] == [9, 8, 7]
    bundles = stage.folder / "functions" / stage.app.id / "bundles"
    hashes = {path.name.partition(".")[0] for path in bundles.iterdir()}
    # Four that were taken lately may still be deployed.
    assert hashes == {each.bundle for each in made[-4:]}
    with pytest.raises(NotFound, match="kept no more"):
        await stage.deployments.roll_back(stage.app, 1)


@pytest.mark.rule("FN277")
async def test_the_deployment_in_force_is_kept_however_old_it_is(stage, monkeypatch):
    monkeypatch.setattr(limits, "DEPLOYMENTS_KEPT", 3)
    await stage.deploy("a.first")
    await stage.deploy("a.second")
    await stage.deployments.roll_back(stage.app)
    for at in range(6):
        bundle = bundle_of(f"a.f{at}")
        await stage.deployments.take(stage.app, bundle.raw)
    await stage.reopen()
    assert stage.names == ["a.first"]


@pytest.mark.rule("FN278")
async def test_a_throw_away_app_gets_no_code(stage):
    app, _ = await stage.apps.create(title="y", life_ms=1_000_000)
    for refused in (
        stage.deployments.take(app, bundle_of("a.b").raw),
        stage.deployments.deploy(app, bundle_of("a.b").hash),
        stage.deployments.roll_back(app),
        stage.deployments.change_secrets(app, {"A": "b"}, []),
    ):
        with pytest.raises(PermissionDenied, match="throw-away"):
            await refused
    stage.apps.give_back(app)


@pytest.mark.rule("FN277")
async def test_a_bundle_that_is_checked_while_another_is_deployed_stays(stage, monkeypatch):
    monkeypatch.setattr(limits, "DEPLOYMENTS_KEPT", 1)
    for at in range(3):
        await stage.deploy(f"a.f{at}")
    real, gate, has_begun = stage.checker.check, asyncio.Event(), asyncio.Event()

    async def slow(path, env, packages=None):
        has_begun.set()
        await gate.wait()
        return await real(path, env)

    monkeypatch.setattr(stage.checker, "check", slow)
    late = bundle_of("a.late")
    taking = asyncio.create_task(stage.deployments.take(stage.app, late.raw))
    await has_begun.wait()
    monkeypatch.setattr(stage.checker, "check", real)
    await stage.deploy("a.other")
    gate.set()
    await taking
    await stage.deployments.deploy(stage.app, late.hash)
    assert stage.names == ["a.late"]


@pytest.mark.rule("FN272")
async def test_a_disk_that_keeps_old_bundles_fails_no_deploy(stage, monkeypatch, caplog):
    def full(app_id, hashes):
        raise OSError(5, "Input/output error")

    monkeypatch.setattr("trice.calls.bundle_store.BundleStore.keep_only", staticmethod(full))
    await stage.deploy("a.b")
    assert stage.names == ["a.b"]
    assert "old bundles stay" in caplog.text


@pytest.mark.rule("FN279")
async def test_what_is_kept_of_a_deleted_app_is_removed(stage):
    app, _ = await stage.apps.create(title="y")
    bundle = bundle_of("a.b")
    await stage.deployments.take(app, bundle.raw)
    await stage.deployments.deploy(app, bundle.hash)
    await stage.deploy("a.b")
    stage.apps.give_back(app)
    await stage.apps.delete(app.id)
    await stage.deployments.sweep()
    assert stage.switched[-1] == (app.id, None)
    assert [path.name for path in (stage.folder / "functions").iterdir()] == [stage.app.id]
    await stage.reopen()
    assert stage.deployments.current(app.id) is None
    assert stage.names == ["a.b"]


@pytest.mark.rule("FN284")
async def test_secrets_are_sealed_and_a_change_is_a_new_version(stage):
    await stage.deploy("a.b")
    await stage.deployments.change_secrets(stage.app, {"KEY": "geheim-öffne", "B": "2"}, [])
    code = stage.deployments.current(stage.app.id)
    assert (code.version, code.env) == (2, {"KEY": "geheim-öffne", "B": "2"})
    await stage.deployments.change_secrets(stage.app, {"B": "3"}, ["KEY"])
    assert stage.deployments.current(stage.app.id).env == {"B": "3"}
    assert len(stage.switched) == 3
    await stage.close()
    kept = b"".join(p.read_bytes() for p in stage.folder.rglob("*") if p.is_file())
    assert b"geheim" not in kept
    await stage.open()


@pytest.mark.rule("FN287")
async def test_secrets_are_left_out_of_logs(stage):
    mask = stage.deployments.mask
    assert mask(stage.app.id, "sk_live_1234") == "sk_live_1234"
    await stage.deployments.change_secrets(
        stage.app, {"KEY": "sk_live_1234", "LONGER": "sk_live_1234567", "SHORT": "seven77"}, []
    )
    await stage.deploy("a.b")
    text = "sk_live_1234 sk_live_1234567 seven77"
    assert mask(stage.app.id, text) == "*** *** seven77"


@pytest.mark.rule("FN287")
def test_a_secret_is_masked_by_lines_and_where_it_is_cut() -> None:
    key = "-----BEGIN KEY-----\nMIIEvQIBADANBg\nshort\nxyzzyxyzzy\n-----END KEY-----"
    for line in key.splitlines():
        assert masked(f"<{line}>", [key]) == ("<short>" if line == "short" else "<***>")
    assert masked(repr(key), [key]).count("xyzzy") == 0
    for cut in range(8, 20):
        assert masked("at the end sk_live_1234567890ab"[: 11 + cut], ["sk_live_1234567890ab"]) == (
            "at the end ***"
        )
    assert masked("sk_live_12 and on", ["sk_live_1234567890ab"]) == "sk_live_12 and on"


@pytest.mark.rule("FN285")
async def test_code_without_a_secret_that_it_needs_is_not_deployed(stage):
    bundle = bundle_of("a.b", required=("KEY", "OTHER"))
    await stage.deployments.take(stage.app, bundle.raw)
    with pytest.raises(InvalidInput, match=r"KEY, OTHER\. Set them with `trice env set KEY`"):
        await stage.deployments.deploy(stage.app, bundle.hash)
    await stage.deployments.change_secrets(stage.app, {"KEY": "x", "OTHER": "y"}, [])
    await stage.deployments.deploy(stage.app, bundle.hash)
    with pytest.raises(InvalidInput, match="The code in force needs KEY"):
        await stage.deployments.change_secrets(stage.app, {}, ["KEY"])


@pytest.mark.rule("FN286")
@pytest.mark.parametrize(
    ("put", "removed", "told"),
    [
        ({"1A": "x"}, [], "no name of a secret"),
        ({"A-B": "x"}, [], "no name of a secret"),
        ({"A" * 129: "x"}, [], "no name of a secret"),
        ({"A": ""}, [], "A must be a text"),
        ({"A": 7}, [], "A must be a text"),
        ({"A": "x\0"}, [], "A must be a text"),
        ({"A": "\ud800"}, [], "half of a character"),
        ({"A": "x" * 32_769}, [], "Accepted are 32 KiB"),
        ({}, ["A"], "There is no secret 'A'"),
        ([], [], "Accepted is"),
        ({}, "A", "Accepted is"),
    ],
)
async def test_secrets_that_are_not_accepted(stage, put, removed, told):
    with pytest.raises(InvalidInput, match=told) as refused:
        await stage.deployments.change_secrets(stage.app, put, removed)
    assert refused.value.hint["input"] is None
    assert stage.deployments.secrets(stage.app) == {}


@pytest.mark.rule("FN286")
async def test_secrets_are_bounded(stage):
    with pytest.raises(LimitExceeded, match="at most 100"):
        await stage.deployments.change_secrets(stage.app, {f"A{at}": "x" for at in range(101)}, [])
    with pytest.raises(LimitExceeded, match="256 KiB"):
        big = {f"A{at}": "x" * 32_000 for at in range(9)}
        await stage.deployments.change_secrets(stage.app, big, [])
    orjson.dumps(dict(stage.deployments.secrets(stage.app)))


@pytest.mark.rule("FN271")
def test_a_fault_without_a_file_has_no_place():
    refusal = load_refusal([LoadError(file="", line=None, message="It ended the process.")])
    assert refusal.hint["errors"] == [{"message": "It ended the process.", "in": []}]


@pytest.mark.rule("FN659")
async def test_where_admins_deploy_only_named_accounts_do(stage):
    await stage.deploy("a.one")
    await stage.reopen(who="admins", admins=("ops@example.com",))
    bundle = bundle_of("a.two")
    for by, told in ((None, "admin token"), ("dev@example.com", "not dev@example.com")):
        with pytest.raises(PermissionDenied, match=told):
            await stage.deployments.take(stage.app, bundle.raw, by=by)
        with pytest.raises(PermissionDenied, match=told):
            await stage.deployments.deploy(stage.app, bundle.hash, by=by)
        with pytest.raises(PermissionDenied, match=told):
            await stage.deployments.roll_back(stage.app, by=by)
        with pytest.raises(PermissionDenied, match=told):
            await stage.deployments.change_secrets(stage.app, {"A": "b"}, [], by=by)
    await stage.deployments.take(stage.app, bundle.raw, by="Ops@example.com")
    await stage.deployments.deploy(stage.app, bundle.hash, by="ops@example.com")
    assert stage.names == ["a.two"]
