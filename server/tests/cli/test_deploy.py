"""`trice deploy`, `deployments` and `env`, with a server and its workers."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from click.testing import CliRunner

import trice
from support.function_server import serving_functions
from support.patience import WAIT_S
from support.remote_cli import Person
from trice.cli.main import main

MESSAGES = "functions/messages.py"


@pytest.fixture(scope="module")
def server_url(data_dir: Path) -> Iterator[str]:
    with serving_functions(data_dir) as url:
        yield url


@pytest.fixture
def chat(ann: Person, tmp_path: Path):
    root = tmp_path / "chat"
    done = CliRunner().invoke(main, ["init", str(root)])
    assert done.exit_code == 0, done.output
    return Chat(ann.with_app(), root)


class Chat:
    """A new project, and an app to deploy it to."""

    def __init__(self, person: Person, root: Path) -> None:
        self.person = person
        self.root = root

    def run(self, *words: str, typed: str | None = None):
        command, *rest = words
        return self.person.run(command, *rest, "--dir", str(self.root), typed=typed)

    def done(self, *words: str, typed: str | None = None) -> str:
        ran = self.run(*words, typed=typed)
        assert ran.exit_code == 0, ran.output
        return ran.output

    def refused(self, *words: str, typed: str | None = None) -> str:
        ran = self.run(*words, typed=typed)
        assert ran.exit_code == 1, ran.output
        return ran.output

    def change(self, file: str, old: str, new: str) -> None:
        text = (self.root / file).read_text()
        assert old in text
        (self.root / file).write_text(text.replace(old, new))

    @property
    def in_force(self) -> str:
        found = re.search(r"^(\d+) +yes ", self.done("deployments"), re.MULTILINE)
        return "" if found is None else found[1]

    def schema(self) -> str:
        return self.person.told("schema", "show")


@pytest.mark.rule("FN293")
def test_a_new_project_is_deployed_and_what_changes_is_told_first(chat):
    assert "Nothing is deployed yet" in chat.done("deployments")
    told = chat.done("deploy")
    for line in (
        "  + messages.recent",
        "  + messages.send",
        "  + messages          namespace",
        "  + $default.allow.$default  false",
    ):
        assert line in told
    assert "Deployment 1 is in force: 2 functions." in told
    assert chat.in_force == "1"
    assert "text     string, required" in chat.schema()
    assert chat.person.run("diff", "--dir", str(chat.root)).exit_code == 0
    again = chat.done("deploy")
    assert "Nothing changed: deployment 1 is in force." in again
    assert chat.in_force == "1", "no deployment was made"


@pytest.mark.rule("FN271")
def test_code_that_cannot_be_loaded_is_told_with_its_lines(chat):
    chat.done("deploy")
    chat.change(MESSAGES, "text: Annotated[str, MaxLen(4000)]", "text")
    chat.change(MESSAGES, "limit: Annotated[int, Le(100)] = 20", "limit=20")
    told = chat.refused("deploy")
    assert "It has 2 faults." in told
    assert len(re.findall(rf"  {MESSAGES}, line \d+: ", told)) == 2
    assert chat.in_force == "1"


@pytest.mark.rule("FN293")
def test_rules_that_cannot_be_compiled_are_told_with_their_line(chat):
    (chat.root / "rules.yaml").write_text("messages:\n  allow:\n    view: 'data.('\n")
    told = chat.refused("deploy")
    assert f"{chat.root}/rules.yaml, line 3" in told
    assert chat.in_force == ""


@pytest.mark.rule("FN293")
def test_what_the_schema_has_no_more_is_removed_after_the_switch_if_that_is_agreed_to(chat):
    chat.change("schema.py", "    text: str\n", "    text: str\n    topic: str | None\n")
    chat.done("deploy")
    chat.change("schema.py", "    topic: str | None\n", "    likes: int | None\n")
    told = chat.refused("deploy", typed="n\n")
    assert "1 removed from the schema, with all values. Go on?" in told
    assert (chat.in_force, "topic" in chat.schema(), "likes" in chat.schema()) == ("1", True, False)
    chat.done("deploy", "--no-delete")
    assert (chat.in_force, "topic" in chat.schema(), "likes" in chat.schema()) == ("2", True, True)
    chat.done("deploy", typed="y\n")
    assert (chat.in_force, "topic" in chat.schema()) == ("3", False)


@pytest.mark.rule("FN294")
def test_a_schema_that_rows_contradict_stops_a_deploy_before_the_switch(chat):
    chat.done("deploy")
    steps = (
        '[["update","messages","11111111-1111-4111-8111-111111111111",{"text":"a","sent_at":1}]]'
    )
    chat.person.told("transact", steps)
    chat.person.told("transact", steps.replace('111111111111"', '111111111112"'))
    chat.change("schema.py", "    text: str\n", "    text: Annotated[str, Unique]\n")
    chat.change("schema.py", "import Indexed,", "import Indexed, Unique,")
    told = chat.refused("deploy")
    assert "A job of the schema failed. The code in force stays" in told
    assert chat.in_force == "1"


@pytest.mark.rule("FN275", "FN276")
def test_rollback_goes_back_to_the_code_before(chat):
    chat.done("deploy")
    chat.change(MESSAGES, "async def send(", "async def post(")
    assert "  - messages.send" in chat.done("deploy")
    assert "Deployment 1 is in force again: 2 functions." in chat.done("deploy", "--rollback")
    assert chat.in_force == "1"
    assert "no deployment to go back to" in chat.refused("deploy", "--rollback")
    assert "in force again" in chat.done("deploy", "--rollback", "--to", "2")
    assert "no deployment 7" in chat.refused("deploy", "--rollback", "--to", "7")
    chat.change("schema.py", "    text: str\n", "    words: str\n")
    chat.change(MESSAGES, "text: str", "words: str")
    chat.change(MESSAGES, "create(text=text", "create(words=text")
    chat.done("deploy", "--yes")
    told = chat.refused("deploy", "--rollback")
    assert "names what the app has no more: messages.text" in told


@pytest.mark.rule("FN285")
def test_a_secret_that_is_required_is_asked_for_before_anything_changes(chat):
    (chat.root / "trice.toml").write_text('[env]\nrequired = ["STRIPE_KEY"]\n')
    told = chat.refused("deploy")
    assert "Secrets that the code needs are not set: STRIPE_KEY" in told
    assert "messages" not in chat.schema()
    assert "STRIPE_KEY is required by trice.toml, and not set." in chat.done("env", "list")
    chat.done("env", "set", "STRIPE_KEY", typed="sk_live\n")
    chat.done("deploy")
    assert "The code in force needs STRIPE_KEY" in chat.refused("env", "remove", "STRIPE_KEY", "-y")


@pytest.mark.rule("FN284")
def test_secrets_are_set_listed_and_removed_and_never_shown(chat):
    chat.done("env", "set", "A=1", "B=two=2")
    chat.done("env", "set", "PEM", "--stdin", typed="line\nline\n")
    listed = chat.done("env", "list")
    assert re.findall(r"^(\w+)  ", listed, re.MULTILINE) == ["name", "A", "B", "PEM"]
    assert "two" not in listed
    assert "Nothing was done" in chat.refused("env", "remove", "A", typed="n\n")
    chat.done("env", "remove", "A", "B", typed="y\n")
    assert re.findall(r"^(\w+)  ", chat.done("env", "list"), re.MULTILINE) == ["name", "PEM"]


@pytest.mark.rule("FN284")
def test_a_changed_secret_is_seen_by_the_next_call(chat):
    chat.change(
        MESSAGES,
        "@query\n",
        "@query\nasync def mode(ctx: Query[Db]) -> str:\n    return ctx.env['MODE']\n\n\n@query\n",
    )
    chat.done("env", "set", "MODE=test")
    chat.done("deploy")
    assert '"test"' in chat.done("run", "messages.mode")
    chat.done("env", "set", "MODE=live")
    assert '"live"' in chat.done("run", "messages.mode")


@pytest.mark.rule("FN299")
def test_nothing_fails_while_code_switches_under_load(chat):
    """The code goes forth and back: each caller is answered, by old or new code."""
    chat.done("deploy")
    answers: list[tuple[int, str]] = []
    is_over = threading.Event()

    def call(name: str, args: dict[str, str]) -> None:
        headers = {"app-id": chat.person.app_id, "authorization": f"Bearer {chat.person.token}"}
        url = f"{chat.person.url}/runtime/functions/{name}"
        with httpx.Client(timeout=WAIT_S) as client:
            while not is_over.is_set():
                answer = client.post(url, json={"args": args}, headers=headers)
                answers.append((answer.status_code, answer.text[:200]))

    callers = [
        threading.Thread(target=call, args=each)
        for each in (("messages.recent", {}), ("messages.send", {"text": "hi"})) * 4
    ]
    for each in callers:
        each.start()
    try:
        for at in range(4):
            chat.change(MESSAGES, "The newest messages", f"The newest messages ({at})")
            chat.done("deploy")
            chat.done("deploy", "--rollback")
            chat.done("env", "set", f"MODE={at}")
    finally:
        is_over.set()
        for each in callers:
            each.join()
    assert len(answers) > 50
    assert [each for each in answers if each[0] != 200] == []


@pytest.mark.rule("FN304")
def test_a_log_is_followed(chat):
    chat.change(MESSAGES, '    """Send a message."""\n', "    print('sending', text)\n")
    chat.done("deploy")
    chat.done("run", "messages.send", '{"text": "one"}')
    path = str(Path(trice.__file__).parents[1])
    told = {"TRICE_URL": chat.person.url, "TRICE_TOKEN": chat.person.token}
    process = subprocess.Popen(
        [sys.executable, "-m", "trice", "logs", "--follow", "--app", chat.person.app_id],
        env={**os.environ, **told, "PYTHONPATH": path, "PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        assert "sending one" in process.stdout.readline()
        chat.done("run", "messages.send", '{"text": "two"}')
        assert "sending two" in process.stdout.readline()
    finally:
        process.kill()
        process.communicate()


@pytest.mark.rule("FN293")
def test_a_folder_without_functions_is_no_project(ann, tmp_path):
    done = ann.with_app().run("deploy", "--dir", str(tmp_path))
    assert done.exit_code == 2
    assert "`trice init` makes a project that runs" in done.output
