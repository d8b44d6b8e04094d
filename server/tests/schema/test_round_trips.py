"""Schemas and rules from one kind of file to another and back."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from random import Random
from types import ModuleType
from typing import Any

import pytest

from support.schema_documents import random_rules, random_schema
from support.seeds import seeds
from trice.cli.schema_files import read_rules, read_schema, rules_text, schema_text
from trice.schema.document import canonical
from trice.schema.python import write_python
from trice.schema.reading import read_schema as read_classes
from trice.schema.rules import canonical_rules

KINDS = ("schema.json", "schema.py", "instant.schema.ts")
RULES = ("rules.json", "rules.yaml", "instant.perms.ts")
NODE_MODULES = Path(__file__).resolve().parents[3] / "node_modules"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A folder of a project in which packages are installed."""
    (tmp_path / "node_modules").symlink_to(NODE_MODULES)
    return tmp_path


def declared(text: str) -> dict[str, Any]:
    """What a `schema.py` declares, run here instead of in a process of its own."""
    module = ModuleType("written_schema")
    sys.modules["written_schema"] = module
    try:
        exec(compile(text, "schema.py", "exec", dont_inherit=True), vars(module))
        return read_classes(module.Db)
    finally:
        del sys.modules["written_schema"]


@pytest.mark.rule("SF1", "SF3")
def test_what_is_written_for_python_is_read_as_it_was() -> None:
    for seed in seeds(range(400)):
        schema = random_schema(Random(seed))
        assert canonical(json.loads(json.dumps(schema))) == schema, f"seed {seed}"
        text = write_python(schema)
        assert declared(text) == schema, f"seed {seed}\n{text}"
        assert write_python(declared(text)) == text, f"seed {seed}"


@pytest.mark.rule("SF1")
@pytest.mark.parametrize("source", KINDS)
@pytest.mark.parametrize("target", KINDS)
def test_a_schema_survives_each_kind_of_file_and_the_way_back(
    project: Path, source: str, target: str
) -> None:
    for seed in range(4):
        schema = random_schema(Random(seed), is_plain=True)
        path, other = project / source, project / target
        path.write_text(schema_text(path, schema))
        other.write_text(schema_text(other, read_schema(path)))
        assert read_schema(other) == schema, f"seed {seed}\n{other.read_text()}"


@pytest.mark.rule("SF46")
@pytest.mark.parametrize("source", RULES)
@pytest.mark.parametrize("target", RULES)
def test_rules_survive_each_kind_of_file_and_the_way_back(
    project: Path, source: str, target: str
) -> None:
    for seed in range(4):
        rules = random_rules(Random(seed))
        path, other = project / source, project / target
        path.write_text(rules_text(path, rules))
        other.write_text(rules_text(other, read_rules(path)))
        assert read_rules(other) == canonical_rules(rules), f"seed {seed}\n{other.read_text()}"


@pytest.mark.rule("SF3")
def test_a_written_file_passes_a_strict_check_of_types(tmp_path: Path) -> None:
    for seed in range(12):
        (tmp_path / f"schema_{seed}.py").write_text(write_python(random_schema(Random(seed))))
    command = [sys.executable, "-m", "mypy", "--strict", "--cache-dir", tmp_path / "cache", "."]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
