"""`trice dev`: a server for one project, which follows its files."""

from __future__ import annotations

import json
import os
import queue
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

import trice
from support.patience import WAIT_S
from support.remote_cli import Person
from trice.cli.dev import look
from trice.cli.main import main

MESSAGES = "functions/messages.py"


class Dev:
    """`trice dev` as a process; what it prints, line by line."""

    def __init__(self, root: Path, *words: str) -> None:
        self.root = root
        path = str(Path(trice.__file__).parents[1])
        self.process = subprocess.Popen(
            [sys.executable, "-m", "trice", "dev", str(root), "--port", "0", *words],
            env={**os.environ, "PYTHONPATH": path, "NO_COLOR": "1", "PYTHONUNBUFFERED": "1"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.lines: queue.Queue[str] = queue.Queue()
        self.seen: list[str] = []
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def __enter__(self) -> Dev:
        return self

    def __exit__(self, *failure: object) -> None:
        self.process.kill()
        self.process.wait()
        self._reader.join()
        for pipe in (self.process.stdin, self.process.stdout):
            assert pipe is not None
            pipe.close()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.put(line.rstrip("\n"))

    def until(self, words: str) -> str:
        """The first new line with these words."""
        while True:
            try:
                line = self.lines.get(timeout=WAIT_S)
            except queue.Empty:
                pytest.fail(f"{words!r} did not come; there was:\n" + "\n".join(self.seen))
            self.seen.append(line)
            if words in line:
                return line

    def change(self, file: str, old: str, new: str) -> None:
        text = (self.root / file).read_text()
        assert old in text
        (self.root / file).write_text(text.replace(old, new))

    def told(self, *words: str) -> str:
        """What a command in another terminal prints."""
        nobody = Person("", self.root)
        command, *rest = words
        done = nobody.run(command, *rest, "--dir", str(self.root))
        assert done.exit_code == 0, done.output
        return done.output

    def type(self, text: str) -> None:
        """Answer a question, or a debugger."""
        assert self.process.stdin is not None
        self.process.stdin.write(text + "\n")
        self.process.stdin.flush()

    def stop(self) -> int:
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(timeout=WAIT_S)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    done = CliRunner().invoke(main, ["init", str(tmp_path / "chat")])
    assert done.exit_code == 0, done.output
    return tmp_path / "chat"


@pytest.fixture
def dev(root: Path) -> Iterator[Dev]:
    with Dev(root) as made:
        made.until("In force: 2 functions.")
        yield made


@pytest.mark.rule("FN295")
def test_changes_are_put_in_force_and_broken_ones_leave_the_old_code(dev):
    known = json.loads((dev.root / ".trice" / "dev.json").read_text())
    assert known["server"].startswith("http://")
    assert (dev.root / ".trice" / "dev.json").stat().st_mode & 0o777 == 0o600
    dev.until("client/api.ts is written.")
    dev.change(MESSAGES, "async def send(", "async def post(")
    dev.until("+ messages.post")
    dev.until("In force: 2 functions.")
    dev.until("client/api.ts is written.")
    assert "post" in (dev.root / "client" / "api.ts").read_text()
    before = dev.told("deployments")
    dev.change(MESSAGES, "async def post(", "async def post(((")
    dev.until(f"{MESSAGES}, line ")
    dev.until("The code in force goes on.")
    assert dev.told("deployments") == before
    dev.change(MESSAGES, "async def post(((", "async def send(")
    dev.until("+ messages.send")
    dev.until("In force: 2 functions.")
    assert dev.stop() == 0
    assert not (dev.root / ".trice" / "dev.json").exists()


@pytest.mark.rule("FN295")
def test_schema_and_rules_follow_and_a_loss_is_asked_about(dev):
    dev.change("schema.py", "    text: str\n", "    text: str\n    topic: str | None\n")
    dev.until("+ messages.topic  string")
    dev.until("In force")
    dev.change("schema.py", "    topic: str | None\n", "")
    dev.until("- messages.topic  with its values")
    dev.type("n")
    dev.until("Nothing was done.")
    dev.change("schema.py", "    text: str\n", "    text: str\n    topic: str | None\n")
    dev.until("The files are as what is in force.")
    (dev.root / "rules.yaml").write_text("messages:\n  allow:\n    view: 'data.('\n")
    dev.until("rules.yaml, line 3")
    dev.until("The code in force goes on.")


@pytest.mark.rule("FN295")
def test_another_dev_of_a_project_says_that_one_runs_already(dev):
    with Dev(dev.root) as other:
        other.until("another trice server is using")
        assert other.process.wait(timeout=WAIT_S) == 1
    assert (dev.root / ".trice" / "dev.json").exists()


@pytest.mark.rule("FN295")
def test_data_and_app_are_there_after_a_restart(root):
    with Dev(root) as first:
        first.until("In force")
        app = json.loads((root / ".trice" / "dev.json").read_text())["app"]
        assert first.stop() == 0
    with Dev(root) as again:
        again.until("In force")
        assert json.loads((root / ".trice" / "dev.json").read_text())["app"] == app
        assert re.search(r"^\d+ +yes", again.told("deployments"), re.MULTILINE)


MINE = "@query\nasync def mine(ctx: Query[Db]) -> str:\n    return ctx.me.email or ''\n"
EMAIL = ("--as-email", "al@example.com")


@pytest.mark.rule("FN296")
def test_functions_are_called_from_another_terminal(dev):
    told = dev.told("run", "messages.send", '{"text": "hi"}')
    assert "transaction " in told
    assert json.loads(dev.told("run", "messages.recent", '{"limit": 1}'))[0]["text"] == "hi"
    dev.change(
        MESSAGES,
        '    """Send a message."""\n',
        '    print("to be sent")\n    raise OSError("no")\n\n\n' + MINE,
    )
    dev.until("In force")
    nobody = Person("", dev.root)
    for more, told in (((), "as-email EMAIL` calls as one"), (EMAIL, "record-not-found")):
        refused = nobody.run("run", "messages.mine", "--dir", str(dev.root), *more)
        assert (refused.exit_code, told in refused.output) == (1, True), refused.output
    words = ("messages.send", '{"text": "hi"}', "--dir", str(dev.root))
    failed = nobody.run("run", *words)
    assert failed.exit_code == 1
    assert "function-failed: messages.send failed." in failed.output
    assert "messages.send" in dev.until("to be sent")
    dev.until("OSError: no")
    trace = re.findall(r"trice logs --trace (\w{32})", failed.output)
    shown = dev.told("logs", "--trace", *trace)
    assert "to be sent" in shown
    assert f'{MESSAGES}", line ' in shown
    assert "to be sent" not in dev.told("logs", "--level", "error", "--function", "messages.send")
    assert dev.told("logs", "--function", "messages.nope") == "No lines.\n"
    assert "At" not in nobody.run("run", "messages.send", "[]", "--dir", str(dev.root)).stdout


OUTSIDE = """
from typing import Any

from trice.functions import Action, action

@action
async def reach(ctx: Action[Any], url: str) -> list[Any]:
    answer = await ctx.http.get(url)
    kept = await ctx.files.upload("a.txt", answer.content)
    async with ctx.stream() as out:
        await out.write("one")
    await ctx.mail.send("al@example.com", subject="To Al", text="the text")
    same = await ctx.files.read("a.txt") == answer.content
    return [answer.status_code, kept.size, same, out.id]
"""


@pytest.mark.rule("FN501", "FN506", "FN507", "FN510")
def test_actions_reach_out_and_mail_goes_to_the_log(dev):
    """Through a real server, its worker and its loopback."""
    (dev.root / "functions/outside.py").write_text(OUTSIDE)
    dev.until("In force: 3 functions.")
    url = json.loads((dev.root / ".trice/dev.json").read_text())["server"]
    told = dev.told("run", "outside.reach", json.dumps({"url": f"{url}/health"}))
    status, size, is_same, stream = json.loads(told)
    assert status == 200 and size > 0 and is_same and len(stream) == 36
    assert "To Al" in dev.until("e-mail to al@example.com, which goes nowhere else")
    dev.until("the text")


@pytest.mark.rule("FN297")
def test_a_breakpoint_in_a_function_stops_in_the_terminal(root):
    with Dev(root, "--debug") as dev:
        dev.until("In force: 2 functions.")
        dev.change(MESSAGES, '    """Send a message."""\n', "    breakpoint()\n")
        dev.until("In force: 2 functions.")
        results: list[str] = []
        call = threading.Thread(
            target=lambda: results.append(dev.told("run", "messages.send", '{"text": "hi"}'))
        )
        call.start()
        # The line is one of the project itself, where an editor shows it.
        dev.until(f"> {root / MESSAGES}(")
        dev.type("p 'text is ' + text")
        dev.until("text is hi")
        dev.type("c")
        call.join()
        assert "transaction" in results[0]
        # What cannot be loaded leaves the code in force in this process, too.
        dev.change(MESSAGES, "    breakpoint()\n", "    breakpoint(\n")
        dev.until("The code in force goes on.")
        assert "hi" in dev.told("run", "messages.recent")


@pytest.mark.rule("FN298")
def test_a_shell_asks_the_app(dev):
    nobody = Person("", dev.root)
    typed = """
made = run("messages.send", text="hi")
for each in run("messages.recent"):
    print(each["text"], each["id"] == made)

print(query({"messages": {"$": {"fields": ["text"]}}})["messages"][0]["text"])
table(query({"messages": {"$": {"fields": ["text"]}}}))
table([{"id": "row 1", "size": 7}])
functions()
run("messages.nope")
"""
    done = nobody.run("shell", "--dir", str(dev.root), typed=typed)
    assert "hi True\nhi\n" in done.stdout
    lines = [line.split() for line in done.stdout.splitlines()]
    assert ["id", "text"] in lines and ["row", "1", "7"] in lines
    assert "mutation  messages.send  Send a message." in done.output
    assert "There is no function 'messages.nope' here." in done.output
    assert "Traceback" not in done.output


def test_a_look_sees_what_matters(root):
    before = look(root)
    assert {path.relative_to(root).as_posix() for path in before} == {
        *("schema.py", "rules.yaml", "trice.toml", "pyproject.toml", MESSAGES),
    }
    (root / "functions" / "__pycache__").mkdir()
    (root / "functions" / "__pycache__" / "x.pyc").write_text("")
    (root / "tests" / "test_more.py").write_text("")
    assert look(root) == before
    (root / "functions" / "rooms.py").write_text("")
    assert look(root) != before
