"""The project that is tested: loaded once, with an empty app of which each test gets a copy."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any

import click

from trice.cli.documents import line_of
from trice.cli.schema_files import find_rules_file, find_schema_file, read_rules, read_schema
from trice.database import Database
from trice.errors import InvalidInput
from trice.functions.frames import LoadError
from trice.functions.loading import LoadErrors, load_program
from trice.functions.program import Program
from trice.query.encode import UrlOf
from trice.rules.document import Rules
from trice.runtime import Runtime
from trice.schema.document import for_server
from trice.server import open_scratch_engine
from trice.testing.clock import Clock


class Project:
    """Functions, schema and rules of a project, and the file of an app that has them.

    folder    for files of apps; whoever made this removes it
    """

    def __init__(self, root: Path, folder: Path) -> None:
        """Load it. raises   LoadErrors"""
        self.root = root
        self.folder = folder
        self.program: Program = load_program(root, {}, is_anew=False)
        self._schema = self._read_schema()
        self.rules = self._read_rules()
        self._numbers = count(1)
        self._template: Path | None = None

    async def open_database(
        self, runtime: Runtime, *, app_id: str, url_of: UrlOf | None = None
    ) -> tuple[Database, Path]:
        """A new app, and its file, which is to be removed when it is closed.

        url_of as `Database.open` has it
        cost   3 ms; the first of a project 60 ms
        """
        if self._template is None:
            template = self.folder / "template.db"
            made = await self._open(template, Clock(), app_id="", schema=self._schema)
            await made.close()
            self._template = template
        path = self.folder / f"{next(self._numbers)}.db"
        shutil.copyfile(self._template, path)
        return await self._open(path, runtime, app_id=app_id, url_of=url_of), path

    async def _open(
        self,
        path: Path,
        runtime: Runtime,
        *,
        app_id: str,
        schema: Any = None,
        url_of: UrlOf | None = None,
    ) -> Database:
        return await Database.open(
            lambda attrs: open_scratch_engine(path, attrs, runtime=runtime),
            runtime=runtime,
            rules=self.rules,
            app_id=app_id,
            schema=schema,
            url_of=url_of,
        )

    def _read_schema(self) -> Any:
        document = self.program.schema
        try:
            source = find_schema_file(self.root)
            if document is None and source is not None:
                document = read_schema(source)
        except click.UsageError as failure:
            raise _broken("schema", failure.message) from None
        return None if document is None else for_server(document)

    def _read_rules(self) -> Rules:
        source = None
        try:
            source = find_rules_file(self.root)
            document = None if source is None else read_rules(source)
            return Rules.parse(document or None)
        except click.UsageError as failure:
            raise _broken("rules" if source is None else source.name, failure.message) from None
        except InvalidInput as failure:
            assert source is not None, "no rules have no fault"
            raise LoadErrors(list(_rules_faults(source, failure))) from None


def _broken(file: str, message: str) -> LoadErrors:
    return LoadErrors([LoadError(file=file, line=None, message=message)])


def _rules_faults(source: Path, failure: InvalidInput) -> Iterator[LoadError]:
    """Every mistake in a file of rules; those of one in TypeScript have no lines."""
    text = "" if source.suffix == ".ts" else source.read_text("utf-8")
    for fault in failure.hint["errors"]:
        line = line_of(text, fault.get("in", ()))
        yield LoadError(file=source.name, line=line, message=fault["message"])


def remove_database(path: Path) -> None:
    """Remove the file of an app that is closed, and what lies beside it."""
    for suffix in ("", "-wal", "-shm"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)
