"""`trice.toml`: what it may say, and which app on which server is meant."""

from __future__ import annotations

import json
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from support.remote_cli import Person
from trice.cli.main import main
from trice.cli.project import find_root, load_project

APP = "11111111-1111-4111-8111-111111111111"
OTHER = "22222222-2222-4222-8222-222222222222"


def project(root: Path, text: str) -> Path:
    (root / "trice.toml").write_text(text)
    return root


@pytest.mark.rule("FN290")
def test_every_key_may_be_left_out(tmp_path):
    assert load_project(tmp_path).place.app is None
    assert load_project(project(tmp_path, "")).required == ()


@pytest.mark.rule("FN290")
def test_what_a_file_says(tmp_path):
    said = load_project(
        project(
            tmp_path,
            f"""
            app = "{APP.upper()}"
            memory_mb = 256
            [env]
            required = ["STRIPE_KEY"]
            [env.prod]
            server = "https://API.example.com/"
            app = "{OTHER}"
            [generate]
            dates = "string"
            """,
        )
    )
    assert (said.place.app, said.place.server, said.memory_mb) == (APP, None, 256)
    assert said.required == ("STRIPE_KEY",)
    assert said.environments["prod"].app == OTHER
    assert said.environments["prod"].server == "https://api.example.com"


@pytest.mark.rule("FN290")
@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("\napp = 7", "line 2: app is 7. Accepted: the id of an app"),
        ("ap = 'x'", "line 1: ap is not known. Accepted: app, server, memory_mb, env, generate."),
        ("server = 'ftp://x'", 'line 1: server is "ftp://x". Accepted: a URL'),
        ("server = 7", "line 1: server is 7. Accepted: a URL"),
        ("memory_mb = 12", "line 1: memory_mb is 12. Accepted: a whole number from 128 to 2,048."),
        ("memory_mb = true", "memory_mb is true. Accepted: a whole number"),
        ("env = 1", "line 1: env is 1. Accepted: a table, [env]."),
        ("[env]\nrequired = 'A'", 'line 2: env.required is "A". Accepted: a list of names'),
        ("[env]\nrequired = ['a b']", 'line 2: env.required is "a b". Accepted: a list'),
        ("[env]\nprod = 1", "line 2: env.prod is not known. Accepted: `required`, and tables"),
        ("[env.Prod]\n", "line 1: env.Prod is not known. Accepted: `required`, and tables"),
        ("#\n[env.prod]\n\nurl = 1", "line 4: env.prod.url is not known. Accepted: app, server."),
        ("[generate]\ndates = 'x'", 'line 2: generate.dates is "x". Accepted: "string"'),
        ("[generate]\ndates = 'Date'", '"Date" is not built yet'),
        ("a = = b", "is no TOML: Invalid value (at line 1"),
    ],
)
def test_a_fault_names_key_line_and_what_is_accepted(tmp_path, text, told):
    with pytest.raises(click.UsageError) as refused:
        load_project(project(tmp_path, text))
    assert str(refused.value).startswith(f"{tmp_path}/trice.toml")
    assert told in str(refused.value)


@pytest.mark.rule("FN291")
def test_a_folder_of_a_project_is_in_it(tmp_path):
    inner = project(tmp_path, "") / "functions" / "billing"
    inner.mkdir(parents=True)
    assert find_root(inner) == tmp_path.resolve()
    other = tmp_path / "functions"
    project(other, "")
    assert find_root(inner) == other.resolve()


def asked(person: Person, root: Path, *words: str, **variables: str) -> str:
    """The server that `trice deployments` asks, as its refusal tells."""
    done = person.run("deployments", "--dir", str(root), *words, **variables)
    assert done.exit_code != 0
    return done.output


@pytest.mark.rule("FN291")
def test_what_is_meant(tmp_path):
    """No server is there: each refusal names the one that was asked."""
    root = project(
        tmp_path,
        f"""
        app = "{APP}"
        server = "http://localhost:1"
        [env.prod]
        app = "{OTHER}"
        server = "http://localhost:2"
        """,
    )
    nobody = Person("", tmp_path)
    assert "http://localhost:1 does not answer" in asked(nobody, root)
    variable = {"TRICE_URL": "http://localhost:3"}
    assert "http://localhost:3 does not answer" in asked(nobody, root, **variable)
    assert "http://localhost:2 does not answer" in asked(nobody, root, "--env", "prod", **variable)
    words = ("--env", "prod", "--url", "http://localhost:4")
    assert "http://localhost:4 does not answer" in asked(nobody, root, *words)
    told = asked(nobody, root, "--env", "staging")
    assert "trice.toml has no [env.staging]. It has prod." in told


@pytest.mark.rule("FN291")
@pytest.mark.parametrize("words", [("query", "{}"), ("transact", "[]"), ("diff",)])
def test_commands_on_data_mean_the_project_they_are_in(tmp_path, monkeypatch, words):
    nobody = Person("", tmp_path)
    monkeypatch.chdir(project(tmp_path, f'app = "{APP}"\nserver = "http://localhost:1"'))
    (tmp_path / "rules.json").write_text("{}")
    assert "http://localhost:1 does not answer" in nobody.run(*words).output
    named = nobody.run(*words, "--url", "http://localhost:2")
    assert "http://localhost:2 does not answer" in named.output
    (tmp_path / "trice.toml").write_text("")
    assert "No app is named" in nobody.run(*words).output


@pytest.mark.rule("FN291")
def test_without_an_app_a_running_dev_is_meant(tmp_path):
    nobody = Person("", tmp_path)
    assert "No app is named" in asked(nobody, tmp_path)
    (tmp_path / ".trice").mkdir()
    known = {"app": APP, "server": "http://localhost:5", "token": OTHER}
    (tmp_path / ".trice" / "dev.json").write_text(json.dumps(known))
    assert "http://localhost:5 does not answer" in asked(nobody, tmp_path)
    project(tmp_path, f'app = "{OTHER}"\nserver = "http://localhost:1"')
    assert "http://localhost:1 does not answer" in asked(nobody, tmp_path)


@pytest.mark.rule("FN292")
def test_init_writes_a_project_and_overwrites_nothing(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "My Chat").mkdir()
    (tmp_path / "My Chat" / "schema.py").write_text("mine")
    done = CliRunner().invoke(main, ["init", "My Chat"])
    assert done.exit_code == 0, done.output
    assert "schema.py is there already, and stays." in done.output
    root = tmp_path / "My Chat"
    assert (root / "schema.py").read_text() == "mine"
    assert 'name = "my-chat"' in (root / "pyproject.toml").read_text()
    again = CliRunner().invoke(main, ["init", "My Chat"])
    assert "Nothing was to be written." in again.output
