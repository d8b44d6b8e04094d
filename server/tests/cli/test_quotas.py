"""`trice apps usage`, `trice apps quota`, `trice accounts quota`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from support.serving import post, serving
from trice.cli.main import main


def run(*args: str) -> Result:
    return CliRunner().invoke(main, args)


def said(*args: str) -> str:
    """What a command that succeeds prints."""
    result = run(*args)
    assert result.exit_code == 0, result.output
    return result.stdout


def rows_of(table: str) -> dict[str, list[str]]:
    """Cells of a table, by the first of each row."""
    return {line.split("  ")[0].strip(): line.split() for line in table.splitlines()[1:]}


@pytest.mark.rule("QT22", "QT23")
def test_quotas_are_set_and_shown_beside_a_running_server(tmp_path: Path) -> None:
    here = ("--data-dir", str(tmp_path))
    token = said("accounts", "create", "ann@example.com", "--print-token", *here).splitlines()[-1]
    with serving(tmp_path) as (_, url):
        at = ("--url", url, "--token", token)
        app = json.loads(said("apps", "create", "shop", "--json", *at))
        app_id = app["id"]
        shown = said("apps", "quota", app_id, "--rows", "1k", "--bytes", "64MiB", *here)
        assert rows_of(shown)["rows"] == ["rows", "1,000", "app"]
        assert rows_of(shown)["bytes"] == ["bytes", "67,108,864", "app"]
        assert rows_of(shown)["sockets"] == ["sockets", "unlimited", "-"]
        limits = ("--rows", "5", "--sockets", "9", "--apps", "3")
        shown = said("accounts", "quota", "ann@example.com", *limits, *here)
        assert rows_of(shown)["apps"] == ["apps", "3"]
        answer = json.loads(said("apps", "quota", app_id, "--bytes", "none", "--json", *here))
        assert answer["quotas"] == {"rows": 1000}
        assert answer["allowed"]["sockets"] == {"allowed": 9, "set_by": "account"}
        steps = [["update", "todos", "e1000000-0000-4000-8000-000000000001", {"n": 1}]]
        headers = {"app-id": app_id, "authorization": f"Bearer {app['admin-token']}"}
        post(f"{url}/admin/transact", json={"steps": steps}, headers=headers)
        shown = said("apps", "usage", app_id, *at)
        assert rows_of(shown)["rows"][:6] == ["rows", "1", "1,000", "0", "%", "app"]
        assert rows_of(shown)["requests a minute"][:4] == ["requests", "a", "minute", "1"]
        [told] = json.loads(said("apps", "usage", "--json", *at))
        assert told["rows"] == {"used": 1, "allowed": 1000, "set_by": "app"}
        assert "1 of 1,000" in said("apps", "usage", *at)
    again = json.loads(said("apps", "quota", app_id, "--json", *here))
    assert again["quotas"] == {"rows": 1000}, "without a server"


@pytest.mark.rule("QT23")
def test_what_cannot_be_set_is_told(tmp_path: Path) -> None:
    app_id = "7f3c0a52-6f5e-4a57-9d0c-3f1f5f0e8a11"
    missing = run("apps", "quota", app_id, "--rows", "5", "--data-dir", str(tmp_path))
    assert (missing.exit_code, "no platform.db" in missing.stderr) == (1, True)
    assert list(tmp_path.iterdir()) == []
    said("accounts", "create", "ann@example.com", "--data-dir", str(tmp_path))
    here = ("--data-dir", str(tmp_path))
    unknown = run("apps", "quota", app_id, "--rows", "5", *here)
    assert (unknown.exit_code, "no app with this id" in unknown.stderr) == (1, True)
    for wrong in ("-1", "1.5", "many", "9" * 17, "5TB"):
        result = run("apps", "quota", app_id, f"--rows={wrong}", *here)
        assert result.exit_code == 2 and "64MiB; unlimited; none" in result.stderr
    assert run("accounts", "quota", "bob@example.com", "--rows", "5", *here).exit_code == 1
    assert run("accounts", "quota", app_id, "--rows", "5", *here).exit_code == 1
    nothing = run("accounts", "quota", "ann@example.com", *here)
    assert nothing.stderr == "Nothing is set for ann@example.com.\n"
    result = run("apps", "usage", "shop")
    assert (result.exit_code, "no id of an app" in result.stderr) == (2, True)
