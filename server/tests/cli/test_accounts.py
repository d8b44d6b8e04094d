from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from support.serving import get, post, serving
from trice.accounts.operator import door_of
from trice.cli.accounts import accounts


def run(data_dir: Path, *args: str) -> Result:
    return CliRunner().invoke(accounts, [*args, "--data-dir", str(data_dir)])


def said(data_dir: Path, *args: str) -> str:
    """What a command that succeeds prints."""
    result = run(data_dir, *args)
    assert result.exit_code == 0, result.output
    return result.stdout


def bearer(token: str) -> dict[str, str]:
    return {"authorization": f"Bearer {token}"}


@pytest.mark.rule("AC60")
def test_a_directory_that_was_not_there_is_told_of(tmp_path: Path) -> None:
    folder = tmp_path / "mistyped"
    assert "is a new data directory" in run(folder, "create", "ann@example.com").stderr
    assert run(folder, "create", "bob@example.com").stderr == ""


@pytest.mark.rule("AC60")
def test_accounts_are_made_on_a_directory_without_a_server(tmp_path: Path) -> None:
    assert said(tmp_path, "list") == "No accounts.\n"
    token = said(tmp_path, "create", "ann@example.com", "--print-token").splitlines()[-1]
    assert token.startswith("per_") and len(token) == 68
    assert said(tmp_path, "create", "bob@example.com") == "bob@example.com has an account now.\n"
    again = run(tmp_path, "create", "ANN@example.com")
    assert again.exit_code == 1
    assert again.stderr == "Error: There is an account with the address ann@example.com already.\n"
    lines = said(tmp_path, "list").splitlines()
    assert [line.split()[:3] for line in lines] == [
        ["email", "apps", "tokens"],
        ["ann@example.com", "0", "1"],
        ["bob@example.com", "0", "0"],
    ]
    assert json.loads(said(tmp_path, "list", "--json"))[0]["email"] == "ann@example.com"
    flags = ["--name", "ci", "--scope", "apps-read", "--days", "3"]
    said(tmp_path, "tokens", "create", "bob@example.com", *flags)
    [kept] = json.loads(said(tmp_path, "tokens", "list", "bob@example.com", "--json"))
    assert (kept["name"], kept["scopes"]) == ("ci", ["apps-read"])
    assert "apps-read" in said(tmp_path, "tokens", "list", "bob@example.com")
    revoke = ["tokens", "revoke", "bob@example.com", kept["id"]]
    for asked in (revoke, ["remove", "bob@example.com"]):
        left = run(tmp_path, *asked)
        assert left.exit_code == 1 and "With --yes nothing is asked." in left.output
    said(tmp_path, *revoke, "--yes")
    assert said(tmp_path, "tokens", "list", "bob@example.com") == "No tokens.\n"
    password = ["password", "bob@example.com", "--data-dir", str(tmp_path)]
    piped = CliRunner().invoke(accounts, password, input="tr1ce battery\n")
    assert piped.exit_code == 0 and piped.output == "bob@example.com has a new password.\n"
    assert said(tmp_path, *password[:2], "--none").endswith("has no password.\n")
    said(tmp_path, "remove", "bob@example.com", "--yes")
    assert run(tmp_path, "remove", "bob@example.com", "--yes").exit_code == 1
    assert not door_of(tmp_path).exists()


@pytest.mark.rule("AC53", "AC60", "AC61")
def test_a_running_server_knows_a_token_at_once(tmp_path: Path) -> None:
    with serving(tmp_path, "--port", "0") as (process, url):
        assert process.stdout is not None
        line = process.stdout.readline()
        assert f"make the first one: {url}/dash?first=" in line
        assert door_of(tmp_path).stat().st_mode & 0o777 == 0o600
        token = said(tmp_path, "create", "ann@example.com", "--print-token").splitlines()[-1]
        made = post(f"{url}/superadmin/apps", json={"title": "shop"}, headers=bearer(token))
        app_id = made.json()["app"]["id"]
        again = run(tmp_path, "create", "ann@example.com")
        assert again.exit_code == 1 and "already" in again.stderr
        refused = run(tmp_path, "remove", "ann@example.com", "--yes")
        assert refused.exit_code == 1 and "--give-apps-to" in refused.stderr
        heir = said(tmp_path, "create", "bob@example.com", "--print-token").splitlines()[-1]
        said(tmp_path, "remove", "ann@example.com", "--give-apps-to", "bob@example.com", "--yes")
        assert get(f"{url}/dash/me", headers=bearer(token)).status_code == 400
        listed = get(f"{url}/superadmin/apps", headers=bearer(heir)).json()["apps"]
        assert [app["id"] for app in listed] == [app_id]
        process.terminate()
        process.wait()
    assert not door_of(tmp_path).exists()
    assert said(tmp_path, "list").splitlines()[1].split()[:2] == ["bob@example.com", "1"]


@pytest.mark.rule("AC60")
def test_what_uses_the_directory_without_answering_is_told(tmp_path: Path) -> None:
    with serving(tmp_path, "--port", "0"):
        door = door_of(tmp_path)
        door.write_text('{"url": "http://127.0.0.1:1", "secret": "s"}')
        for text in (None, "{", "{}", "[]"):
            if text is not None:
                door.write_text(text)
            result = run(tmp_path, "list")
            assert result.exit_code == 1
            assert "does not answer as a server does" in result.stderr
        door.unlink()
        assert run(tmp_path, "list").exit_code == 1
