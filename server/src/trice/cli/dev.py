"""`trice dev`: a server for one project, which puts every change of its files in force.

    files change ──> bundle ──> checked ──> schema, code and rules switch ──> client/ is written
                        └ broken: told, the code in force stays               and so on

The server runs on the loop of this process; the commands that it is asked by (the ones of `deploy`)
run on one thread beside it, which also asks questions.

Exit codes: 0 stopped by Ctrl-C · 1 the server could not run · 2 wrong usage
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import click
import msgspec

from trice.calls.bundles import FOLDER, LEFT_OUT, Manifest
from trice.calls.log_ring import Line
from trice.cli.deploy import (
    apply_steps,
    make_bundle,
    plan_of,
    refuse_what_blocks,
    report_lines,
    send_bundle,
    split_steps,
)
from trice.cli.generate import CLIENT_FILE
from trice.cli.logs import line_texts
from trice.cli.options import file_error, option
from trice.cli.project import DEV_FOLDER, DEV_STATE, Project, Target, find_root, load_project
from trice.cli.push_plan import Plan
from trice.cli.remote import Remote, in_path
from trice.cli.schema_files import RULES_FILES, SCHEMA_FILES, ProjectFiles, read_schema
from trice.cli.terminal import confirm, counted, note, printable

LOOK_S: Final = 0.1
"""How often files are looked at. A look is a `stat` each: 1 ms for 500 files."""

Seen = Mapping[Path, tuple[int, int]]


@click.command("dev")
@click.argument(
    "folder",
    metavar="[DIR]",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    default=".",
)
@option(
    "--port", type=int, default=8888, show_default=True, help="Port of the server; 0: a free one."
)
@option(
    "--debug",
    "is_debug",
    is_flag=True,
    help="Run functions in this process, so that breakpoint() stops here and debuggers attach.",
)
@option("--yes", "-y", "is_agreed", is_flag=True, help="Ask nothing, whatever is lost.")
def dev(*, folder: Path, port: int, is_debug: bool, is_agreed: bool) -> None:
    """Serve the project in DIR, or here, and put every change of its files in force.

    The app and its data are in .trice/ of the project; remove that folder to begin anew. A change
    of the schema that loses values is asked about. When what you save cannot be loaded, the errors
    are shown with file and line, and the code in force goes on.

    What functions write is printed. In another terminal `trice run`, `trice logs` and `trice env`
    mean this server, as long as it runs.

    \b
    Examples: trice dev
              trice dev chat --port 9000
              trice dev --debug          # breakpoint() in a function stops in this terminal
    """
    root = find_root(folder)
    project = load_project(root)
    if not (root / FOLDER).is_dir():
        raise click.UsageError(f"{root} has no folder {FOLDER}. `trice init` makes a project.")
    place = root / DEV_FOLDER
    place.mkdir(exist_ok=True)
    with contextlib.suppress(FileExistsError), (place / ".gitignore").open("x") as ignored:
        ignored.write("*\n")
    watched = Watched(project, is_agreed=is_agreed)
    _serve(watched, port=port, is_debug=is_debug)


# --- changes of files -----------------------------------------------------------------------------


def look(root: Path) -> Seen:
    """Which files of a project there are that matter, and how they look."""
    seen: dict[Path, tuple[int, int]] = {}
    names = (*SCHEMA_FILES, *RULES_FILES, "trice.toml", "uv.lock", "pyproject.toml")
    paths = [root / name for name in names] + list(root.glob("*.py"))
    folders = [root / FOLDER]
    while folders:
        with contextlib.suppress(OSError):
            for entry in os.scandir(folders.pop()):
                if entry.name.startswith(".") or entry.name in LEFT_OUT:
                    continue
                if entry.is_dir(follow_symlinks=False):
                    folders.append(Path(entry.path))
                else:
                    paths.append(Path(entry.path))
    for path in paths:
        with contextlib.suppress(OSError):
            found = path.stat()
            seen[path] = (found.st_mtime_ns, found.st_size)
    return seen


@dataclass(slots=True)
class Watched:
    """A project whose changes are put in force on a server.

    seen      its files when it was looked at last
    deployed  the bundle in force
    planned   its manifest: the schema and rules that the app has
    is_over   set: stop looking
    """

    project: Project
    is_agreed: bool
    seen: Seen = field(default_factory=dict)
    is_over: threading.Event = field(default_factory=threading.Event)
    deployed: str | None = None
    planned: Manifest | None = None
    _read: tuple[Seen, Any] | None = None

    def follow(self, target: Target) -> None:
        """Put changes in force until `is_over` is set. Runs on a thread of its own."""
        while not self.is_over.is_set():
            seen = look(self.project.root)
            if seen != self.seen:
                self.seen = seen
                self.put_in_force(target)
            self.is_over.wait(LOOK_S)

    def put_in_force(self, target: Target) -> bool:
        """Put the files, as they are, in force; False: they cannot be, which is told."""
        try:
            return self._put_in_force(target)
        except click.ClickException as failure:
            for line in failure.message.splitlines():
                note(click.style(line, fg="red"))
            if self.deployed is not None:
                note("The code in force goes on.")
        return False

    def _schema(self, files: ProjectFiles) -> Any:
        """The schema of the project; read again only if a file beside it has changed: a `schema.py`
        is run in a process for that. None: there is none, or it may depend on functions."""
        path = files.schema
        if path is None or FOLDER in path.read_text("utf-8", errors="replace"):
            return None
        key = {each: how for each, how in self.seen.items() if each.parent == self.project.root}
        if self._read is None or self._read[0] != key:
            self._read = (key, read_schema(path))
        return self._read[1]

    def _put_in_force(self, target: Target) -> bool:
        project = load_project(self.project.root)
        target = Target(project, target.app_id, target.remote)
        files = ProjectFiles(project.root, "all", None, None)
        bundle = make_bundle(project, files, schema=self._schema(files))
        if bundle.hash == self.deployed:
            note("The files are as what is in force.")
            return True
        report = send_bundle(target, bundle, files.rules)
        refuse_what_blocks(report, is_forced=True)
        # Most saves change functions only: then there is no schema or rule to plan.
        known, wanted = self.planned, bundle.manifest
        is_same = known is not None and (known.schema, known.rules) == (wanted.schema, wanted.rules)
        plan = Plan() if is_same else plan_of(target, bundle)
        for line in (*report_lines(report), *plan.lines()):
            note(line)
        before, after = split_steps(plan)
        if plan.removed:
            lost = f"{len(plan.removed)} removed from the schema, with all values. Go on?"
            confirm(lost, is_agreed=self.is_agreed)
        apply_steps(target.remote, target.app_id, before)
        path = f"/dash/apps/{in_path(target.app_id)}/deployments"
        target.remote.post(path, {"bundle": bundle.hash, "force": True})
        apply_steps(target.remote, target.app_id, after)
        self.deployed, self.planned = bundle.hash, bundle.manifest
        note(click.style(f"In force: {counted(len(report['functions']), 'function')}.", fg="green"))
        _write_client(project.root)
        return True


def _write_client(root: Path) -> None:
    """Write `client/` anew. It loads the project, so it is a process of its own."""
    path = root / CLIENT_FILE
    before = path.read_bytes() if path.exists() else None
    command = [sys.executable, "-P", "-m", "trice", "generate", "--yes"]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
    if done.returncode:
        told = done.stderr.strip().removeprefix("Error: ")
        lines = [printable(line) for line in told.splitlines()]
        note(click.style("\n".join((f"{CLIENT_FILE} is not written.", *lines)), fg="red"))
    elif path.read_bytes() != before:
        note(f"{CLIENT_FILE} is written.")


# --- the server -----------------------------------------------------------------------------------


def _serve(watched: Watched, *, port: int, is_debug: bool) -> None:
    # Imported here: `--help` needs no server.
    import uvloop

    from trice import log
    from trice.cli.dev_server import DevServer
    from trice.errors import TriceError

    log.set_up("warning", "text")
    root = watched.project.root
    state = root / DEV_FOLDER / DEV_STATE
    data_dir, own = root / DEV_FOLDER / "data", root if is_debug else None
    server = DevServer(data_dir, port=port, root=own, on_line=_print_line)

    def ready(base: str, *_: Any) -> None:
        _save(state, {"app": server.app_id, "server": base, "token": server.token})
        for line in (
            f"trice dev is ready at {base}",
            f"  app {server.app_id}",
            "  `trice run NAME` in another terminal calls a function; Ctrl-C stops.",
        ):
            note(line)
        remote = Remote(base, server.token, "that of `trice dev`")
        target = Target(watched.project, server.app_id, remote)
        threading.Thread(target=watched.follow, args=(target,), daemon=True).start()

    try:
        with contextlib.suppress(KeyboardInterrupt):
            uvloop.run(server.run(on_ready=ready))
    except SystemExit:
        told = f"trice cannot listen on port {port}; choose another --port, or 0 for a free one."
        raise click.ClickException(told) from None
    except TriceError as failure:
        raise click.ClickException(failure.message) from None
    except OSError as failure:
        raise click.ClickException(f"{file_error(failure)}. Does `trice dev` run here?") from None
    finally:
        watched.is_over.set()
        if server.app_id:  # else it is that of another one, which runs here
            state.unlink(missing_ok=True)


def _save(path: Path, known: Mapping[str, str]) -> None:
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        json.dump(known, file)


def _print_line(line: Line) -> None:
    for text in line_texts(**msgspec.to_builtins(line)):
        note(text)
