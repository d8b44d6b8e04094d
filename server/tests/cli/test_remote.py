"""The commands that ask a server: login, apps, data, users, accounts."""

from __future__ import annotations

import json
import os
import re
import subprocess
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner

from support.patience import WAIT_S
from support.remote_cli import Person
from support.serving import TRICE, get, post
from trice.cli.main import main

TODOS = {
    "entities": {
        "todos": {"attrs": {"title": {"valueType": "string"}, "done": {"valueType": "boolean"}}}
    }
}
MILK = "7f3c0a52-6f5e-4a57-9d0c-3f1f5f0e8a11"
UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def bearer(token: str) -> dict[str, str]:
    return {"authorization": f"Bearer {token}"}


# --- login ----------------------------------------------------------------------------------------


@pytest.mark.rule("CLI200")
def test_a_login_is_saved_and_used(ann: Person) -> None:
    outside = ann.signed_out()
    refused = outside.run("whoami")
    assert refused.exit_code == 1
    assert f"You are not signed in to {ann.url}." in refused.stderr
    done = outside.run("login", "--token", "-", typed=f"{ann.token}\n")
    assert done.exit_code == 0 and ann.token not in done.output
    saved = ann.home / "trice" / "logins.json"
    assert saved.stat().st_mode & 0o777 == 0o600
    assert saved.parent.stat().st_mode & 0o777 == 0o700
    assert outside.data("whoami")["email"].startswith("test_a_login_is_saved")
    nowhere = outside.run("whoami", TRICE_URL="")  # the last login's server is meant
    assert nowhere.exit_code == 0 and ann.url in nowhere.stdout
    assert outside.run("whoami", TRICE_TOKEN="per_" + "0" * 64).exit_code == 1
    wrong = outside.run("login", "--token", "per_" + "0" * 64)
    assert wrong.exit_code == 1 and ann.token in saved.read_text()
    other = outside.run("login", "--token", "a-password")
    assert other.exit_code == 1 and "one begins with per_" in other.stderr
    assert outside.run("logout").exit_code == 0
    assert ann.token not in saved.read_text()
    assert get(f"{ann.url}/dash/me", headers=bearer(ann.token)).status_code == 200
    assert outside.run("logout").exit_code == 1
    far = outside.run("login", "--url", "http://0.0.0.0:1", "--token", ann.token)
    assert far.exit_code == 1 and "is not encrypted" in far.stderr


@pytest.mark.rule("CLI200")
def test_a_saved_token_goes_to_its_own_server_only(ann: Person, stranger: Any) -> None:
    outside = ann.signed_out()
    outside.told("login", "--token", ann.token)
    outside.run("apps", "list", "--url", stranger.url)
    outside.run("apps", "list", "--url", ann.url + "/else")
    assert stranger.requests and not any("authorization" in each for each in stranger.requests)
    asked = ann.run("apps", "list", "--url", stranger.url)
    assert asked.exit_code == 1 and stranger.requests[-1]["authorization"].endswith(ann.token)


@pytest.mark.rule("CLI200")
def test_a_damaged_file_of_logins_is_told(ann: Person) -> None:
    saved = ann.home / "trice" / "logins.json"
    saved.parent.mkdir()
    for text in ("{", "[]", '{"servers": 3}', '{"current": null, "servers": {"x": {"y": 1}}}'):
        saved.write_text(text)
        refused = ann.signed_out().run("whoami")
        assert refused.exit_code == 1 and f"{saved} is damaged" in refused.stderr, text
    assert ann.run("apps", "list").exit_code == 0  # needs no saved login


@pytest.mark.rule("CLI201")
@pytest.mark.parametrize("answer", ["claim", "void"])
def test_a_person_confirms_a_login_on_a_page(ann: Person, answer: str) -> None:
    environment = {**os.environ, "XDG_CONFIG_HOME": str(ann.home)}
    environment.pop("TRICE_TOKEN", None)
    with subprocess.Popen(
        [TRICE, "login", "--url", ann.url, "--no-browser"],
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
    ) as process:
        assert process.stderr is not None
        process.stderr.readline()
        page = process.stderr.readline().strip()
        ticket = page.removeprefix(f"{ann.url}/dash?ticket=")
        assert UUID.fullmatch(ticket), page
        body = {"ticket": ticket}
        path = f"{ann.url}/dash/cli/auth/{answer}"
        assert post(path, json=body, headers=bearer(ann.token)).status_code == 200
        told = process.stderr.read()
        assert process.wait(timeout=WAIT_S) == (answer == "void"), told
    outside = ann.signed_out()
    if answer == "void":
        assert told == "Error: The login was refused on the page.\n"
        assert outside.run("whoami").exit_code == 1
        return
    assert outside.data("whoami")["id"] == ann.data("whoami")["id"]
    saved = json.loads((ann.home / "trice" / "logins.json").read_text())
    token = saved["servers"][ann.url]["token"]
    outside.told("logout")
    assert get(f"{ann.url}/dash/me", headers=bearer(token)).status_code == 401


# --- apps -----------------------------------------------------------------------------------------


@pytest.mark.rule("CLI202")
def test_the_life_of_an_app(ann: Person, tmp_path: Path) -> None:
    (tmp_path / "schema.json").write_text(json.dumps(TODOS))
    (tmp_path / "rules.yaml").write_text("todos: {allow: {view: 'true'}}")
    files = ["--schema", tmp_path / "schema.json", "--rules", tmp_path / "rules.yaml"]
    made = ann.data("apps", "create", "bäkery", *files)
    app_id = made["id"]
    shown = ann.told("apps", "show", app_id).splitlines()
    assert "app           bäkery" in shown and "namespaces    todos (2 attrs)" in shown
    shown = ann.data("apps", "show", app_id)
    assert list(shown["schema"]["entities"]) == ["todos"]
    ann.told("apps", "rename", app_id, "The bakery")
    listed = ann.told("apps", "list").splitlines()
    assert listed[0].split() == ["id", "title", "created", "organisation"]
    assert listed[1].startswith(f"{app_id}  The bakery  ")
    token = ann.told("apps", "token", app_id).strip()
    assert token == made["admin-token"]
    refused = ann.run("apps", "token", app_id, "--renew", typed="n\n")
    assert refused.exit_code == 1 and "stop working" in refused.stderr
    assert ann.told("apps", "token", app_id).strip() == token
    renewed = ann.told("apps", "token", app_id, "--renew", "--yes").strip()
    assert renewed != token and ann.told("apps", "token", app_id).strip() == renewed
    assert ann.run("apps", "delete", app_id, typed="").exit_code == 1
    assert len(ann.data("apps", "list")) == 1
    ann.told("apps", "delete", app_id, typed="y\n")
    assert ann.run("apps", "list").stderr == "There are no apps.\n"
    [deleted] = ann.data("apps", "list", "--deleted")
    assert deleted["id"] == app_id and deleted["ends_at"]
    ann.told("apps", "restore", app_id)
    assert [app["id"] for app in ann.data("apps", "list")] == [app_id]


@pytest.mark.rule("CLI202", "CLI210")
def test_apps_of_an_organisation(ann: Person, new_account: Any) -> None:
    org_id = ann.told("orgs", "create", "Bakers").strip()
    made = ann.data("apps", "create", "shop", "--org", org_id)
    [row] = ann.data("apps", "list")
    assert (row["id"], row["org"]) == (made["id"], "Bakers")
    assert ann.told("apps", "token", made["id"]).strip() == made["admin-token"]
    assert ann.data("orgs", "list")[0]["role"] == "owner"
    ann.told("members", "invite", "bob@bakers.example", "--role", "admin", "--org", org_id)
    listed = ann.told("members", "list", "--org", org_id).splitlines()
    assert [line.split()[1:3] for line in listed[1:]] == [["owner", "member"], ["admin", "invited"]]
    refused = ann.run("members", "role", "bob@bakers.example", "viewer", "--org", org_id)
    assert refused.exit_code == 1 and "is no member" in refused.stderr
    bob = Person(ann.url, ann.home, new_account("bob@bakers.example"))
    [_, invite] = ann.data("members", "list", "--org", org_id)
    accept = f"{ann.url}/dash/invites/accept"
    post(accept, json={"invite-id": invite["id"]}, headers=bearer(bob.token))
    assert [app["id"] for app in bob.data("apps", "list")] == [made["id"]]
    ann.told("members", "role", "bob@bakers.example", "viewer", "--org", org_id)
    assert bob.data("orgs", "list")[0]["role"] == "viewer"
    refused = bob.run("apps", "token", made["id"])
    assert refused.exit_code == 1 and "does not show it" in refused.stderr
    assert bob.run("apps", "delete", made["id"], "--yes").exit_code == 1
    ann.told("members", "remove", "bob@bakers.example", "--org", org_id, typed="y\n")
    assert len(ann.data("members", "list", "--org", org_id)) == 1
    assert bob.data("apps", "list") == []


@pytest.mark.rule("CLI210")
def test_tokens_are_made_listed_and_revoked(ann: Person) -> None:
    made = ann.told("tokens", "create", "ci", "--scope", "apps-read", "--days", "3").strip()
    reader = Person(ann.url, ann.home, made)
    assert reader.data("apps", "list") == []
    refused = reader.run("apps", "create", "x")
    assert refused.exit_code == 1 and "apps-write" in refused.stderr
    found = {each["name"]: each for each in ann.data("tokens", "list")}
    assert found["ci"]["scopes"] == ["apps-read"] and "token" not in found["ci"]
    assert " ci " in ann.told("tokens", "list") and made not in ann.told("tokens", "list")
    assert ann.run("tokens", "revoke", found["ci"]["id"], typed="n\n").exit_code == 1
    ann.told("tokens", "revoke", found["ci"]["id"], "--yes")
    admin = Person(ann.url, ann.home, ann.data("apps", "create", "x")["admin-token"])
    refused = admin.run("tokens", "list")
    assert refused.exit_code == 1 and "an app's admin token is none" in refused.stderr
    ended = reader.run("apps", "list")
    assert ended.exit_code == 1 and "Sign in with `trice login`" in ended.stderr


# --- data -----------------------------------------------------------------------------------------


@pytest.mark.rule("CLI207", "CLI211")
def test_data_is_written_and_read(ann: Person, data_dir: Path) -> None:
    ann = ann.with_app(schema=TODOS)
    done = ann.run("transact", json.dumps(["create", "todos", MILK, {"title": "milk"}]))
    assert (done.exit_code, done.stdout) == (0, "")
    assert re.fullmatch(r"Done, as transaction \d+\.\n", done.stderr)
    typed = json.dumps([["update", "todos", MILK, {"done": True}]])
    ann.told("transact", "-", typed=typed)
    query = '{"todos": {"$": {"where": {"title": "milk"}}}}'
    table = ann.told("query", query)
    assert table == f"{'id':36}  done  title\n{MILK}  true  milk\n"
    answer = ann.data("query", query)
    assert answer == {"todos": [{"id": MILK, "title": "milk", "done": True}]}
    assert ann.told("query", '{"todos": {"$": {"aggregate": "count"}}}') == '{"count": 1}\n'
    from_folder = ["--data-dir", data_dir]
    assert ann.told("query", query, *from_folder) == table
    assert ann.told("schema", *from_folder) == ann.told("schema")
    assert ann.data("schema", *from_folder) == ann.data("schema")
    of_folder = ann.data("apps", "show", ann.app_id, *from_folder)
    assert (
        ann.data("apps", "show", ann.app_id).items()
        >= {
            key: of_folder[key] for key in ("id", "title", "creator_id", "created_at", "schema")
        }.items()
    )
    listed = ann.data("apps", "list", *from_folder)
    assert ann.data("apps", "list")[0]["id"] in [app["id"] for app in listed]
    refused = ann.run("transact", "[]", *from_folder)
    assert refused.exit_code == 1 and "Stop it first" in refused.stderr
    twice = ann.run("query", query, "--url", ann.url, *from_folder)
    assert twice.exit_code == 2 and "not both" in twice.stderr
    for wrong in ("", "x", "../x", "\x1b"):
        refused = ann.run("apps", "show", wrong)
        assert refused.exit_code == 2 and "is no id of an app" in refused.stderr
    empty = ann.run("query", query, "--data-dir", ann.home)
    assert empty.exit_code == 1 and "is no data directory of trice" in empty.stderr
    unknown = ann.run("query", query, "--app", MILK, *from_folder)
    assert unknown.exit_code == 1 and f"There is no app {MILK}" in unknown.stderr


@pytest.mark.rule("CLI207")
def test_a_stopped_servers_data_is_written(ann: Person, data_dir: Path, tmp_path: Path) -> None:
    stopped = tmp_path / "stopped"
    archive = tmp_path / "app.zip"
    app_id = ann.with_app(schema=TODOS).app_id
    words = ["export", str(archive), "--app", app_id, "--data-dir", str(data_dir)]
    assert CliRunner().invoke(main, words).exit_code == 0
    words = ["import", str(archive), "--data-dir", str(stopped)]
    assert CliRunner().invoke(main, words).exit_code == 0
    there = ["--app", app_id, "--data-dir", stopped]
    written = ann.data("transact", json.dumps([["create", "todos", MILK, {}]]), *there)
    assert written["tx-id"] > 0
    assert ann.data("query", '{"todos": {}}', *there)["todos"][0]["id"] == MILK
    wrong = ann.run("transact", '[["create", "todos", "x", {}]]', *there)
    assert wrong.exit_code == 1 and wrong.stderr.startswith("Error: ")


@pytest.mark.rule("CLI208")
def test_somebody_else_acts(ann: Person) -> None:
    rules = {"todos": {"allow": {"view": "auth.email == 'bob@example.com'", "create": "false"}}}
    ann = ann.with_app(schema=TODOS, perms=rules)
    ann.told("transact", json.dumps([["create", "todos", MILK, {}]]))
    headers = {**bearer(ann.token), "app-id": ann.app_id}
    body = {"email": "bob@example.com"}
    bob = post(f"{ann.url}/admin/refresh_tokens", json=body, headers=headers).json()["user"]
    query = '{"todos": {}}'
    assert len(ann.data("query", query)["todos"]) == 1
    assert ann.data("query", query, "--as-guest") == {"todos": []}
    assert len(ann.data("query", query, "--as-email", "bob@example.com")["todos"]) == 1
    assert len(ann.data("query", query, "--as-token", bob["refresh_token"])["todos"]) == 1
    steps = json.dumps([["create", "todos", MILK[:-1] + "2", {}]])
    refused = ann.run("transact", steps, "--as-email", "bob@example.com")
    assert refused.exit_code == 1 and "Permission denied" in refused.stderr
    both = ann.run("query", query, "--as-guest", "--as-email", "bob@example.com")
    assert both.exit_code == 2 and "Name one caller" in both.stderr
    odd = ann.run("query", query, "--as-email", "bob@example.com\n")
    assert odd.exit_code == 2 and "\\n" in odd.stderr


@pytest.mark.rule("CLI209")
def test_users_are_listed_shown_and_deleted(ann: Person) -> None:
    ann = ann.with_app()
    emails = [f"user{number}@example.com" for number in range(3)]
    for email in emails:
        headers = {**bearer(ann.token), "app-id": ann.app_id}
        post(f"{ann.url}/admin/refresh_tokens", json={"email": email}, headers=headers)
    assert [user["email"] for user in ann.data("users", "list")] == emails
    page = ann.run("users", "list", "--limit", "2")
    assert page.stderr == "There are more: --offset 2.\n" and len(page.stdout.splitlines()) == 3
    last = ann.run("users", "list", "--limit", "2", "--offset", "2")
    assert last.stderr == "" and emails[2] in last.stdout
    shown = ann.data("users", "show", emails[0].upper())
    assert ann.data("users", "show", shown["id"]) == shown
    assert f"email  {emails[0]}" in re.sub(" +", "  ", ann.told("users", "show", emails[0]))
    assert ann.run("users", "delete", emails[0], typed="").exit_code == 1
    ann.told("users", "delete", emails[0], "--yes")
    gone = ann.run("users", "show", emails[0])
    assert gone.exit_code == 1 and gone.stderr == f"Error: This app has no user {emails[0]}.\n"


# --- help -----------------------------------------------------------------------------------------


def leaves(command: Any, path: tuple[str, ...] = ()) -> list[tuple[tuple[str, ...], Any]]:
    import click

    if not isinstance(command, click.Group):
        return [(path, command)]
    context = click.Context(command)
    return [
        found
        for name in command.list_commands(context)
        for found in leaves(command.get_command(context, name), (*path, name))
    ]


@pytest.mark.rule("CLI216")
def test_each_help_has_an_example() -> None:
    found = list(leaves(main))
    assert len(found) > 90
    for path, command in found:
        example = re.search(r"Examples?:\s.*?\btrice (.*)", command.help or "", re.DOTALL)
        assert example is not None, path
        assert example[1].startswith(" ".join(path)), path
        for parameter in command.params:
            is_told = not isinstance(parameter, click.Option) or parameter.help or parameter.hidden
            assert is_told, (path, parameter.name)


@pytest.mark.rule("CLI216")
def test_shells_complete_commands() -> None:
    variables = {
        "_TRICE_COMPLETE": "bash_complete",
        "COMP_WORDS": "trice apps re",
        "COMP_CWORD": "2",
    }
    done = subprocess.run(
        [TRICE], capture_output=True, text=True, env={**os.environ, **variables}, timeout=WAIT_S
    )
    assert done.stdout.split() == ["plain,rename", "plain,restore"], done.stderr
