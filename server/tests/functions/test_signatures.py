"""What is known of functions without running them: JSON Schema, types with names, lists."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from support.function_stage import PROJECTS, write_project
from trice.functions.loading import load_program
from trice.functions.signature import Signature

ID = "^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$"


def signatures(path: Path) -> dict[str, Signature]:
    return {each.name: each for each in load_program(path, {}).signatures}


@pytest.mark.rule("FN110")
def test_arguments_and_results_have_json_schemas() -> None:
    found = signatures(PROJECTS / "chat")
    channel = {"type": "string", "format": "uuid", "pattern": ID, "x-namespace": "channels"}
    assert found["messages.recent"].args == {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "type": "object",
        "properties": {
            "channel": channel,
            "limit": {"type": "integer", "maximum": 100, "default": 50},
        },
        "required": ["channel"],
        "additionalProperties": False,
    }
    assert found["messages.recent"].doc == "The newest messages of a channel, newest first."
    result = found["messages.recent"].result
    assert result["type"] == "array" and result["items"] == {"$ref": "#/$defs/MessageView"}
    assert set(result["$defs"]) == {"MessageView", "AuthorView", "Kind"}
    paged = found["messages.history"].args
    assert paged["properties"]["page"] == {"$ref": "#/$defs/Paged"}
    assert set(paged["$defs"]) == {"Paged"}
    assert found["channels.join"].result["type"] == "null"
    msgspec.json.encode(list(found.values()))


@pytest.mark.rule("FN111")
def test_types_have_names_for_generators() -> None:
    types = signatures(PROJECTS / "chat")["messages.history"].types
    assert types["args"] == [
        {"name": "channel", "type": {"is": "id", "of": "channels"}, "optional": False},
        {"name": "page", "type": {"is": "paged"}, "optional": False},
    ]
    assert types["result"] == {"is": "page", "of": {"is": "named", "key": "messages.MessageView"}}
    author = {"is": "named", "key": "messages.AuthorView"}
    assert types["names"]["messages.MessageView"] == {
        "is": "object",
        "name": "MessageView",
        "namespace": "messages",
        "fields": [
            {"name": "id", "type": {"is": "id", "of": "messages"}, "optional": False},
            {"name": "text", "type": {"is": "string"}, "optional": False},
            {"name": "kind", "type": {"is": "named", "key": "schema.Kind"}, "optional": False},
            {"name": "sent_at", "type": {"is": "datetime"}, "optional": False},
            {
                "name": "author",
                "type": {"is": "union", "of": [author, {"is": "null"}]},
                "optional": False,
            },
        ],
    }
    assert types["names"]["schema.Kind"] == {
        "is": "enum",
        "name": "Kind",
        "values": ["text", "image"],
    }


TYPES: list[tuple[str, Any]] = [
    ("int | None", {"is": "union", "of": [{"is": "integer"}, {"is": "null"}]}),
    ("int | Annotated[int, Le(3)]", {"is": "integer"}),
    ("Literal['a', 2]", {"is": "literal", "values": ["a", 2]}),
    ("list[float]", {"is": "list", "of": {"is": "number"}}),
    ("tuple[int, str]", {"is": "tuple", "items": [{"is": "integer"}, {"is": "string"}]}),
    ("tuple[int, ...]", {"is": "list", "of": {"is": "integer"}}),
    ("dict[str, bool]", {"is": "map", "of": {"is": "boolean"}}),
    ("dict", {"is": "map", "of": {"is": "any"}}),
    ("Any", {"is": "any"}),
    ("bytes", {"is": "bytes"}),
    ("Decimal", {"is": "decimal"}),
    ("UUID", {"is": "uuid"}),
    ("date", {"is": "date"}),
    ("Id[Any]", {"is": "id", "of": ""}),
    ("Annotated[int, Le(3)]", {"is": "integer"}),
    ("Name", {"is": "string"}),
    ("Tree", {"is": "named", "key": "a.Tree"}),
]


@pytest.mark.rule("FN111")
@pytest.mark.parametrize(("hint", "described"), TYPES)
def test_each_type_has_its_description(hint: str, described: Any, tmp_path: Path) -> None:
    text = (
        "from __future__ import annotations\n"
        "from dataclasses import dataclass\nfrom datetime import date\n"
        "from decimal import Decimal\n"
        "from typing import Annotated, Any, Literal, NewType\nfrom uuid import UUID\n"
        "from trice.functions import Id, Le, Query, query\n"
        "Name = NewType('Name', str)\n"
        "@dataclass\nclass Tree:\n    '''A tree.'''\n"
        "    id: str\n    below: list[Tree]\n    n: int = 1\n"
        f"@query\nasync def f(ctx: Query, v: {hint}) -> {hint}: ...\n"
    )
    (found,) = signatures(write_project(tmp_path, {"functions/a.py": text})).values()
    assert found.types["result"] == found.types["args"][0]["type"] == described
    if hint == "Tree":
        assert found.types["names"]["a.Tree"] == {
            "is": "object",
            "name": "Tree",
            "doc": "A tree.",
            "fields": [
                {"name": "id", "type": {"is": "string"}, "optional": False},
                {"name": "below", "type": {"is": "list", "of": described}, "optional": False},
                {"name": "n", "type": {"is": "integer"}, "optional": True},
            ],
        }


@pytest.mark.rule("FN112")
def test_lists_of_things_with_ids_have_paths(tmp_path: Path) -> None:
    chat = signatures(PROJECTS / "chat")
    assert chat["messages.recent"].lists == ("",)
    assert chat["messages.history"].lists == ("items",)
    assert chat["channels.with_messages"].lists == ("messages",)
    assert chat["messages.send"].lists == ()
    text = (
        "from typing import TypedDict\nfrom trice.functions import Query, query\n"
        "class Item(TypedDict):\n    id: str\n    parts: list['Item']\n"
        "class Box(TypedDict):\n    big: list[Item]\n    names: list[str]\n"
        "    inner: 'Box | None'\n"
        "@query\nasync def f(ctx: Query) -> Box | None: ...\n"
        "@query\nasync def g(ctx: Query) -> dict[str, list[Item]]: ...\n"
    )
    found = signatures(write_project(tmp_path, {"functions/a.py": text}))
    assert found["a.f"].lists == ("big",)
    assert found["a.g"].lists == ()
