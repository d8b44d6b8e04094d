"""The routes of code and secrets: what they take and answer."""

from __future__ import annotations

import pytest

from support.account_http import bearer
from support.deploy_stage import FakeChecker, bundle_of


@pytest.fixture
async def asked(stage):
    """Asks a route of the app of the stage, as its developer."""
    stage.asgi.state.deployments.checker = FakeChecker()

    async def ask(method, rest, body=None):
        kind = {"content-type": "application/zip"} if isinstance(body, bytes) else {}
        path = f"/dash/apps/{stage.app_id}/{rest}"
        return await stage.ask(method, path, body, {**bearer(stage.token), **kind})

    return ask


@pytest.mark.rule("FN270", "FN275")
async def test_code_is_sent_deployed_listed_and_gone_back_from(asked):
    first, second = bundle_of("a.one"), bundle_of("a.two")
    report = (await asked("POST", "bundles", first.raw)).json()["report"]
    assert report == {
        "bundle": first.hash,
        "size_bytes": len(first.raw),
        "is_current": False,
        "functions": ["a.one"],
        "endpoints": {},
        "added": ["a.one"],
        "removed": [],
        "changed": [],
        "missing": [],
        "unfit": [],
        "hooks": {"added": [], "removed": [], "changed": []},
        "warnings": [],
        "packages": [],
        "imports": [],
    }
    assert (await asked("GET", "deployments")).json() == {"current": None, "deployments": []}
    made = (await asked("POST", "deployments", {"bundle": first.hash})).json()["deployment"]
    assert made["number"] == 1
    assert made["created_at"].endswith("Z")
    await asked("POST", "bundles", second.raw)
    await asked("POST", "deployments", {"bundle": second.hash})
    back = (await asked("POST", "deployments/rollback", {})).json()["deployment"]
    assert back == made
    listed = (await asked("GET", "deployments")).json()
    assert (listed["current"], [each["number"] for each in listed["deployments"]]) == (1, [2, 1])


@pytest.mark.rule("FN264")
async def test_what_is_no_bundle_is_refused(asked):
    refused = await asked("POST", "bundles", b"no zip")
    assert (refused.status, refused.json()["hint"]["data-type"]) == (400, "bundle")
    refused = await asked("POST", "deployments", {"bundle": "../../x"})
    assert refused.json()["hint"]["record-type"] == "bundle"
    refused = await asked("POST", "deployments", {"bundle": None, "force": "yes"})
    assert refused.json()["hint"]["in"] == ["body", "force"]
    refused = await asked("POST", "deployments/rollback", {"to": "1"})
    assert refused.json()["hint"]["in"] == ["body", "to"]


@pytest.mark.rule("FN284")
async def test_secrets_are_named_and_never_told(asked):
    answer = await asked("POST", "env", {"set": {"KEY": "s3cret"}})
    assert [each["name"] for each in answer.json()["env"]] == ["KEY"]
    assert "s3cret" not in (await asked("GET", "env")).body.decode()
    refused = await asked("POST", "env", {"set": {"K EY": "s3cret"}})
    assert refused.status == 400
    assert "s3cret" not in refused.body.decode()
    assert (await asked("POST", "env", {"remove": ["KEY"]})).json() == {"env": []}


@pytest.mark.rule("FN301")
async def test_a_log_is_read_from_a_place_on(stage, asked):
    logs = stage.asgi.state.function_logs
    given = {"function": "a.b", "trace": "t", "level": "info"}
    logs.note(stage.app_id, text="one", **given)
    page = (await asked("GET", "logs")).json()
    at = stage.runtime.now_ms()
    assert page["lines"] == [{"at": at, "text": "one", **given}]
    logs.note(stage.app_id, text="two", **given)
    page = (await asked("GET", f"logs?after={page['place']}")).json()
    assert [line["text"] for line in page["lines"]] == ["two"]
    assert (await asked("GET", "logs?level=error")).json()["lines"] == []
    assert (await asked("GET", "logs?level=loud")).json()["hint"]["in"] == ["params", "level"]
    assert (await asked("GET", "logs?after=-1")).json()["hint"]["in"] == ["params", "after"]


@pytest.mark.rule("FN278")
@pytest.mark.parametrize(("who", "status"), [("off", 501), ("admins", 400)])
async def test_who_may_deploy_is_a_setting(open_stage, who, status):
    stage = await open_stage(functions=who, functions_admins="ops@example.com")
    path = f"/dash/apps/{stage.app_id}/bundles"
    refused = await stage.ask("POST", path, bundle_of("a.b").raw, bearer(stage.token))
    assert refused.status == status
