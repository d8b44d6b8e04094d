"""JSON and YAML files that commands read and write."""

from __future__ import annotations

import contextlib
import json
import os
import re
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
import yaml

from trice import schema_limits
from trice.cli.options import read_json, read_text


def read_document(path: Path) -> Any:
    """Read a file: JSON if its name says so, else YAML; anything else is wrong usage."""
    if path.suffix == ".json":
        return read_json(path)
    return parse_yaml(path, read_text(path))


def parse_yaml(path: Path, text: str) -> Any:
    """Read the YAML of a file; anything else is wrong usage."""
    try:
        return _load_yaml(text)
    except (yaml.YAMLError, ValueError, RecursionError) as failure:
        raise click.UsageError(f"{path} cannot be read: {_yaml_fault(failure)}.") from failure


def in_form(path: Path, document: Any) -> str:
    """A document as the text of a file: JSON if its name says so, else YAML."""
    if path.suffix == ".json":
        return json.dumps(document, indent=2, ensure_ascii=False) + "\n"
    return yaml.safe_dump(document, sort_keys=False, allow_unicode=True, width=100)


def write_text(path: Path, text: str) -> None:
    """Write a file whole or not at all. raises   ClickException"""
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


def line_of(text: str, path: Sequence[Any]) -> int | None:
    """The line of a JSON or YAML text on which a key stands; of the last key that is there.

    returns  None if the text is neither, or the path is empty
    """
    try:
        _check_depth(text)
        node: Any = yaml.compose(text, _Loader)
    except (yaml.YAMLError, ValueError, RecursionError):
        return None
    line: int | None = None
    for part in path:
        if isinstance(node, yaml.MappingNode):
            found = next((each for each in node.value if each[0].value == part), None)
        elif isinstance(node, yaml.SequenceNode) and isinstance(part, int):
            found = (node.value[part],) * 2 if part < len(node.value) else None
        else:
            found = None
        if found is None:
            return line
        line, node = found[0].start_mark.line + 1, found[1]
    return line


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


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """Reads YAML in which plain words and dates are texts, `on` and `no` too."""


_Loader.yaml_implicit_resolvers = {
    first: [
        (tag, pattern)
        for tag, pattern in resolvers
        if tag.rpartition(":")[2] not in ("timestamp", "bool", "value")
    ]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver("tag:yaml.org,2002:bool", re.compile("^(?:true|false)$"), list("tf"))


def _load_yaml(text: str) -> Any:
    _check_depth(text)
    loader = _Loader(text)
    try:
        node = loader.get_single_node()
        if node is None:
            return None
        _check_nodes(node)
        return loader.construct_document(node)
    finally:
        loader.dispose()


def _check_depth(text: str) -> None:
    """Refuse what is nested deeply: the parser in C calls itself a level, and ends the process."""
    depth = 0
    for event in yaml.parse(text, _Loader):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        if depth > schema_limits.YAML_DEPTH_MAX:
            told = f"it is nested more than {schema_limits.YAML_DEPTH_MAX} levels deep"
            raise _fault(told, event.start_mark)


def _check_nodes(top: yaml.Node) -> None:
    """Refuse a key that stands twice, and aliases that stand for more than can be held."""
    waiting, count = [top], 0
    while waiting:
        node = waiting.pop()
        count += 1
        if count > schema_limits.YAML_NODES_MAX:
            told = (
                f"it has more than {schema_limits.YAML_NODES_MAX:,} values, with those of aliases"
            )
            raise _fault(told, top.start_mark)
        if isinstance(node, yaml.SequenceNode):
            waiting += node.value
        elif isinstance(node, yaml.MappingNode):
            seen = set[str]()
            for key, value in node.value:
                if isinstance(key, yaml.ScalarNode):
                    if key.value in seen:
                        told = f"the key {key.value!r} stands twice"
                        raise _fault(told, key.start_mark)
                    seen.add(key.value)
                waiting += (key, value)


def _fault(told: str, mark: Any) -> yaml.YAMLError:
    return yaml.MarkedYAMLError(problem=told, problem_mark=mark)
