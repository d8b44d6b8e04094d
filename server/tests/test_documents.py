"""README and docs/ as people follow them: what they print is run, or looked up."""

from __future__ import annotations

import asyncio
import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import click
import httpx
import pytest

from support.patience import WAIT_S
from support.serving import TRICE, post, serving
from trice.cli.main import main
from trice.cli.rule_suite import run_suite
from trice.rules.explain.testing import parse_suite
from trice.runtime import SystemRuntime

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
OPERATING = (ROOT / "docs" / "operating.md").read_text(encoding="utf-8")
DOCKERFILE = (ROOT / "Dockerfile").read_text(encoding="utf-8")
DOCUMENTS = (
    *(ROOT / "README.md", ROOT / "Dockerfile"),
    *sorted((ROOT / "docs").iterdir()),
    *sorted((ROOT / "deploy").iterdir()),
)


def blocks(text: str, language: str) -> list[str]:
    """The fenced blocks of a document."""
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.DOTALL | re.MULTILINE)


def commands(text: str) -> list[list[str]]:
    """The commands of a shell block, in words; a line that ends in a backslash goes on."""
    joined = text.replace("\\\n", " ")
    return [shlex.split(line, comments=True) for line in joined.splitlines() if line.strip()]


# --- rules ----------------------------------------------------------------------------------------


def case(who: str, op: str, expect: Any, **more: Any) -> dict[str, Any]:
    return {"as": who, "op": op, "expect": expect, **more}


@pytest.mark.rule("CLI111")
def test_the_rules_of_the_readme_close_what_they_seem_to_close() -> None:
    documents = [json.loads(text) for text in blocks(README, "json")]
    (rules,) = [document for document in documents if "todos" in document]
    field = {"valueType": "string", "required": False, "config": {"unique": False}}
    schema = {
        "entities": {"todos": {"attrs": {"title": field, "note": field}}},
        "links": {
            "owner": {
                "forward": {"on": "todos", "has": "one", "label": "owner"},
                "reverse": {"on": "$users", "has": "many", "label": "todos"},
            }
        },
    }
    milk, new = {"on": "todos/milk"}, {"on": "todos/new"}
    to_bob = {"link": {"owner": "@bob"}}
    made = {"set": {"title": "New"}}
    cases = [
        case("guest", "view", "deny", **milk),
        case("bob", "view", "allow", **milk),
        case("bob", "view", "deny", **milk, field="note"),
        case("ann", "view", "allow", **milk, field="note"),
        case("ann", "create", "allow", **new, **made, link={"owner": "@ann"}),
        case("ann", "create", "deny", **new, **made),
        case("ann", "create", "deny", **new, **made, **to_bob),
        case("guest", "create", "deny", **new, **made),
        case("ann", "update", "allow", **milk, **made),
        case("bob", "update", "deny", **milk, **made),
        case("guest", "update", "deny", **milk, **made),
        case("ann", "link", "deny", **milk, **to_bob),
        case("bob", "link", "deny", **milk, **to_bob),
        case("guest", "link", "deny", **milk, **to_bob),
        case("ann", "unlink", "deny", **milk, link={"owner": "@ann"}),
        case("bob", "unlink", "deny", **milk, link={"owner": "@ann"}),
        case("bob", "delete", "deny", **milk),
        case("guest", "delete", "deny", **milk),
        case("ann", "delete", "allow", **milk),
        case("ann", "transact", "deny", steps=[["update", "todos", "@todos/milk", {"colour": 1}]]),
        case("ann", "create", "deny", on="others/new", set={"title": "x"}),
        case("ann", "view", "deny", on="others/thing"),
    ]
    document = {
        "schema": schema,
        "rules": rules,
        "open": True,
        "cases": cases,
        "users": {"ann": {"email": "ann@example.com"}, "bob": {"email": "bob@example.com"}},
        "data": {
            "todos": {"milk": {"title": "Milk", "note": "two", "owner": "@ann"}},
            "others": {"thing": {"title": "x"}},
        },
    }
    outcomes, _, _ = asyncio.run(run_suite(parse_suite(document), runtime=SystemRuntime()))
    assert [outcome for outcome in outcomes if not outcome.is_passed] == []


@pytest.mark.rule("CLI112")
def test_explain_and_test_rules_do_what_the_readme_shows(tmp_path: Path) -> None:
    (block,) = [text for text in blocks(README, "sh") if "trice explain" in text]
    explain, suite = commands(block)
    assert [explain.pop(0), suite.pop(0)] == [".venv/bin/trice"] * 2
    passed = subprocess.run([TRICE, *suite], cwd=ROOT, capture_output=True, text=True, check=True)
    assert passed.stdout.startswith("passed")

    sample = tmp_path / "examples" / "sign-in"
    (sample / "dist").mkdir(parents=True)
    rules = (ROOT / "examples" / "sign-in" / "rules.json").read_bytes()
    (sample / "rules.json").write_bytes(rules)
    with serving(tmp_path / "data", "--port", "0") as (_, url):
        body = {"title": "sign-in", "rules": {"code": json.loads(rules)}}
        app = post(f"{url}/dash/apps/ephemeral", json=body).json()["app"]
        given = {"http://localhost:8888": url, "APP-ID": app["id"]}
        given["ADMIN-TOKEN"] = app["admin-token"]
        words = [given.pop(word, word) for word in explain]
        assert not given
        denied = subprocess.run([TRICE, *words], capture_output=True, text=True, check=False)
        assert denied.returncode == 1, denied.stderr
        assert "notes.allow.create" in denied.stdout
        assert "auth.id" in denied.stdout


@pytest.mark.rule("CLI218")
def test_the_command_line_does_what_the_readme_shows(tmp_path: Path) -> None:
    (block,) = [text for text in blocks(README, "sh") if "trice login" in text]
    lines = [words for words in commands(block) if words[0] == ".venv/bin/trice"]
    names = ["login", "apps", "pull", "diff", "push", "transact", "query"]
    assert [words[1] for words in lines] == names
    with serving(tmp_path / "data", "--port", "0") as (_, url):
        account = ["accounts", "create", "ann@example.com", "--print-token"]
        token = trice(tmp_path, *account, "--data-dir", str(tmp_path / "data")).split()[-1]
        login, create, *others = (words[1:] for words in lines)
        trice(
            tmp_path, *("login", "--token", token), *(url if "8888" in w else w for w in login[1:])
        )
        made = re.search("[0-9a-f-]{36}", trice(tmp_path, *create))
        assert made is not None
        printed = [trice(tmp_path, *words, TRICE_APP=made[0]) for words in others]
        assert "Sacher" in printed[-1]
        assert {path.name for path in tmp_path.glob("*.json")} == {"schema.json", "rules.json"}


def trice(folder: Path, *words: str, **variables: str) -> str:
    """What a command prints, which succeeds in a folder."""
    environment = {**os.environ, "XDG_CONFIG_HOME": str(folder / "home"), **variables}
    done = subprocess.run(
        [TRICE, *words], cwd=folder, capture_output=True, text=True, env=environment, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


# --- commands and settings ------------------------------------------------------------------------


def every_command(command: click.Command) -> list[click.Command]:
    """A command and those in it."""
    if not isinstance(command, click.Group):
        return [command]
    context = click.Context(command)
    names = command.list_commands(context)
    found = [command.get_command(context, name) for name in names]
    return [inner for each in found if each is not None for inner in every_command(each)]


@pytest.mark.rule("CLI113")
def test_commands_and_variables_exist() -> None:
    offered = {
        str(option.envvar)
        for command in every_command(main)
        for option in command.params
        if option.envvar is not None
    }
    offenders = []
    for path in DOCUMENTS:
        text = path.read_text(encoding="utf-8")
        found = set(re.findall(r"\bTRICE_[A-Z_]+\b", text))
        offenders += [f"{path.name}: {name}" for name in sorted(found - offered)]
        for arguments in re.findall(r"bin/trice((?: [^\s'\"`\\]+)+)", text.replace("\\\n", " ")):
            words = arguments.split()
            command: click.Command = main
            while isinstance(command, click.Group) and words:
                name = words.pop(0)
                found_command = command.get_command(click.Context(command), name)
                assert found_command is not None, f"{path.name}: {arguments}"
                command = found_command
            flags = {flag for option in command.params for flag in option.opts}
            offenders += [
                f"{path.name}: {word}" for word in words if word[:2] == "--" and word not in flags
            ]
    assert offenders == []


@pytest.mark.rule("CLI113")
def test_links_between_documents_lead_somewhere() -> None:
    offenders = []
    for path in DOCUMENTS:
        if path.suffix == ".md":
            for target in re.findall(r"\]\(([^)#:]+)\)", path.read_text(encoding="utf-8")):
                if not (path.parent / target).exists():
                    offenders.append(f"{path.name}: {target}")
    assert offenders == []


# --- operating ------------------------------------------------------------------------------------


@pytest.fixture
def tools(tmp_path: Path) -> dict[str, str]:
    """An environment with `sqlite3`, whether or not this machine has one: here Python's."""
    tool = tmp_path / "bin" / "sqlite3"
    tool.parent.mkdir()
    tool.write_text(
        f"#!{sys.executable}\n"
        "import sqlite3, sys\n"
        "path, sql = [word for word in sys.argv[1:] if word not in ('-readonly', '-box')]\n"
        "connection = sqlite3.connect(f'file:{path}?mode=ro', uri=True)\n"
        "print(connection.execute(sql).fetchall())\n"
    )
    tool.chmod(0o700)
    return {**os.environ, "PATH": f"{tool.parent}:{TRICE.parent}:{os.environ['PATH']}"}


@pytest.mark.rule("CLI114")
def test_copies_of_a_running_server(tmp_path: Path, tools: dict[str, str]) -> None:
    (copy,) = [text for text in blocks(OPERATING, "sh") if "trice backup verify" in text]
    *while_it_runs, restore = copy.replace("/mnt/backups", "backups").splitlines()
    assert restore.startswith("trice restore backups --data-dir trice-data")
    (look,) = [text for text in blocks(OPERATING, "sh") if "todos_view" in text]
    query = {"query": {"todos": {}}}
    with serving(tmp_path / "trice-data", "--port", "0") as (_, url):
        app = post(f"{url}/dash/apps/ephemeral", json={"title": "x"}).json()["app"]
        headers = {"app-id": app["id"], "authorization": f"Bearer {app['admin-token']}"}
        todo = "00000000-0000-4000-8000-000000000001"
        steps = [["update", "todos", todo, {"title": "Milk", "done": True}]]
        written = post(f"{url}/admin/transact", json={"steps": steps}, headers=headers)
        assert written.status_code == 200
        upload = f"{url}/admin/storage/upload"
        httpx.put(upload, content=b"a file", headers={**headers, "path": "a"}).raise_for_status()
        assert (tmp_path / "trice-data" / "apps" / f"{app['id']}.db-wal").stat().st_size > 0
        shown = look.replace("APP-ID", app["id"])
        for script in ("\n".join(while_it_runs), shown):
            done = subprocess.run(
                ["sh", "-eu", "-c", script],
                cwd=tmp_path,
                env=tools,
                capture_output=True,
                text=True,
                timeout=WAIT_S,
                check=False,
            )
            assert done.returncode == 0, done.stderr
        assert todo in done.stdout
    (tmp_path / "trice-data").rename(tmp_path / "lost")
    subprocess.run(
        ["sh", "-eu", "-c", restore], cwd=tmp_path, env=tools, check=True, timeout=WAIT_S
    )
    with serving(tmp_path / "trice-data", "--port", "0") as (_, url):
        found = post(f"{url}/admin/query", json=query, headers=headers).json()
        assert found == {"todos": [{"id": todo, "title": "Milk", "done": True}]}
        query = {"query": {"$files": {}}}
        (file,) = post(f"{url}/admin/query", json=query, headers=headers).json()["$files"]
        assert httpx.get(file["url"]).content == b"a file"


@pytest.mark.rule("CLI115")
def test_the_image_is_what_the_document_says() -> None:
    last = DOCKERFILE.rpartition("\nFROM ")[2]
    assert "--require-hashes -r requirements.lock" in DOCKERFILE
    assert re.search(r"^USER [1-9]\d*$", last, re.MULTILINE)
    assert "\nVOLUME /data\n" in last and "TRICE_DATA_DIR=/data" in last
    assert '\nENTRYPOINT ["trice"]\nCMD ["serve"]\n' in last
    ignored = (ROOT / ".dockerignore").read_text(encoding="utf-8").split()
    for line in re.findall(r"^COPY (?!--from)(.*) \S+$", DOCKERFILE, re.MULTILINE):
        for source in line.split():
            assert (ROOT / source).exists(), source
            assert f"!{source}" in ignored, source


@pytest.mark.rule("CLI115")
def test_the_health_check_of_the_image_tells(tmp_path: Path) -> None:
    found = re.search(r"HEALTHCHECK .*?CMD (\[.*?\])$", DOCKERFILE, re.DOTALL | re.MULTILINE)
    assert found is not None
    python, *arguments = json.loads(found[1])
    assert python == "python"

    def check(port: str) -> int:
        env = {**os.environ, "TRICE_PORT": port}
        command = [sys.executable, *arguments]
        return subprocess.run(command, env=env, capture_output=True, check=False).returncode

    with serving(tmp_path, "--port", "0") as (_, url):
        port = url.rpartition(":")[2]
        assert check(port) == 0
    assert check(port) == 1
