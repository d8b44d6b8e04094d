"""JSON and YAML files that commands read and write."""

from __future__ import annotations

import contextlib
import json
import os
import re
import tempfile
from pathlib import Path
from typing import Any

import click
import yaml

from trice.cli.options import read_json, read_text


def read_document(path: Path) -> Any:
    """Read a file: JSON if its name says so, else YAML; anything else is wrong usage."""
    if path.suffix == ".json":
        return read_json(path)
    text = read_text(path)
    try:
        return _load_yaml(text)
    except (yaml.YAMLError, ValueError, RecursionError) as failure:
        raise click.UsageError(f"{path} cannot be read: {_yaml_fault(failure)}.") from failure


def write_document(path: Path, document: Any) -> None:
    """Write a file whole or not at all, in the form that its name says. raises   ClickException"""
    if path.suffix == ".json":
        text = json.dumps(document, indent=2, ensure_ascii=False) + "\n"
    else:
        text = yaml.safe_dump(document, sort_keys=False, allow_unicode=True, width=100)
    try:
        mode = path.stat().st_mode & 0o777 if path.exists() else None
        descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                file.write(text)
            os.chmod(name, _usual_mode() if mode is None else mode)
            os.replace(name, path)
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(name)
            raise
    except OSError as failure:
        raise click.ClickException(f"{path}: {failure.strerror}") from None


def _usual_mode() -> int:
    """The mode of a file that this user makes."""
    mask = os.umask(0o077)
    os.umask(mask)
    return 0o666 & ~mask


def _yaml_fault(failure: Exception) -> str:
    """The place where the document is not YAML, in one line."""
    mark = getattr(failure, "problem_mark", None)
    if mark is None:
        return str(failure)
    return f"line {mark.line + 1}, column {mark.column + 1}: {getattr(failure, 'problem', failure)}"


def _load_yaml(text: str) -> Any:
    """Read YAML in which plain words and dates are texts, `on` and `no` too."""

    class Loader(yaml.SafeLoader):
        pass

    Loader.yaml_implicit_resolvers = {
        first: [
            (tag, pattern)
            for tag, pattern in resolvers
            if tag not in ("tag:yaml.org,2002:timestamp", "tag:yaml.org,2002:bool")
        ]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }
    Loader.add_implicit_resolver(
        "tag:yaml.org,2002:bool", re.compile("^(?:true|false)$"), list("tf")
    )
    return yaml.load(text, Loader)
