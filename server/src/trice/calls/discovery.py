"""What callers may know of an app's functions: a list for programs and agents, and OpenAPI 3.1.
No I/O.

JSON Schemas of functions are of 2020-12, which OpenAPI 3.1 takes as they are. Only their `$defs`
move: a document has one place for all of them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

from trice.functions.signature import Signature
from trice.protocol.errors import CODES

PATH: Final = "/runtime/functions"

_NO_COMPONENT: Final = re.compile(r"[^A-Za-z0-9._-]")
_DEFS: Final = "#/$defs/"


def visible(signatures: Iterable[Signature], *, is_admin: bool) -> list[Signature]:
    """The functions that a caller may know of: internal ones are for admins."""
    return [each for each in signatures if is_admin or not each.is_internal]


def listed(signature: Signature, hook_states: Mapping[str, str] | None = None) -> dict[str, Any]:
    """One function, as `http_bodies.ListedFunction` says.

    hook_states   of those that follow changes, by name
    """
    told: dict[str, Any] = {
        "name": signature.name,
        "kind": signature.kind,
        "auth": signature.auth or "none",
        "doc": signature.doc,
        "args": signature.args,
        "result": signature.result,
    }
    if signature.rate is not None:
        told["rate"] = signature.rate
    if signature.also:
        told["also"] = list(signature.also)
    if signature.is_internal:
        told["internal"] = True
    if signature.route is not None:
        told["method"] = signature.route.method
        told["path"] = signature.route.path
    if signature.hook is not None:
        state = (hook_states or {}).get(signature.name, "active")
        follows = {"namespace": signature.hook.namespace, "of": signature.hook.text()}
        told["follows"] = {**follows, "state": state}
    return told


def openapi(
    signatures: Iterable[Signature], *, title: str, base_url: str, app_id: str
) -> dict[str, Any]:
    """The functions as an OpenAPI 3.1 document.

    base_url   of the server, without a slash at its end
    """
    schemas: dict[str, Any] = {"Error": _ERROR}
    paths: dict[str, Any] = {}
    for each in signatures:
        if each.route is None:
            paths[f"{PATH}/{each.name}"] = {"post": _operation(each, schemas)}
        else:
            place = paths.setdefault(f"/http/{app_id}{each.route.path}", {})
            place[each.route.method.lower()] = _endpoint(each, schemas)
    return {
        "openapi": "3.1.0",
        "jsonSchemaDialect": "https://json-schema.org/draft/2020-12/schema",
        "info": {"title": title, "version": "1"},
        "servers": [{"url": base_url}],
        "security": [{"token": []}, {}],
        "paths": paths,
        "components": {
            "schemas": schemas,
            "parameters": {
                "app-id": {
                    "name": "app-id",
                    "in": "header",
                    "required": True,
                    "schema": {"const": app_id},
                },
                "Idempotency-Key": {
                    "name": "Idempotency-Key",
                    "in": "header",
                    "description": "Sent again with it, the call returns what it returned.",
                    "schema": {"type": "string"},
                },
            },
            "securitySchemes": {
                "token": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "A user's refresh token, or the app's admin token.",
                }
            },
        },
    }


def _operation(signature: Signature, schemas: dict[str, Any]) -> dict[str, Any]:
    is_mutation = signature.kind == "mutation"
    answer: dict[str, Any] = {
        "type": "object",
        "properties": {"value": _moved(signature.result, f"{signature.name}.result", schemas)},
        "required": ["value"],
    }
    if is_mutation:
        answer["properties"]["tx"] = {"type": "integer", "minimum": 0}
    parameters = [{"$ref": "#/components/parameters/app-id"}]
    if is_mutation:
        parameters.append({"$ref": "#/components/parameters/Idempotency-Key"})
    first, _, _ = signature.doc.strip().partition("\n")
    args = _moved(signature.args, f"{signature.name}.args", schemas)
    body = {
        "type": "object",
        "properties": {"args": args},
        "required": ["args"] if signature.args.get("required") else [],
    }
    return {
        "operationId": signature.name,
        "tags": [signature.name.rpartition(".")[0]],
        **({"summary": first} if first else {}),
        **({"description": signature.doc} if signature.doc else {}),
        "x-kind": signature.kind,
        "x-auth": signature.auth or "none",
        "parameters": parameters,
        "requestBody": {"required": True, "content": _json(body)},
        "responses": {
            "200": {"description": "What it returned.", "content": _json(answer)},
            "default": {
                "description": "It failed; `type` is the code.",
                "content": _json({"$ref": "#/components/schemas/Error"}),
            },
        },
    }


def _endpoint(signature: Signature, schemas: dict[str, Any]) -> dict[str, Any]:
    """An endpoint: its request and answer are what its function says, which no hint tells."""
    first, _, _ = signature.doc.strip().partition("\n")
    args = _moved(signature.args, f"{signature.name}.args", schemas)
    told: dict[str, Any] = {
        "operationId": signature.name,
        "tags": [signature.name.rpartition(".")[0]],
        **({"summary": first} if first else {}),
        **({"description": signature.doc} if signature.doc else {}),
        "x-kind": signature.kind,
        "x-auth": signature.auth or "none",
        "parameters": [
            {"name": name, "in": "path", "required": True, "schema": schema}
            for name, schema in args.get("properties", {}).items()
        ],
        "responses": {"default": {"description": "What the endpoint answers."}},
    }
    if signature.auth == "none":
        told["security"] = [{}]
    if signature.route is not None and signature.route.method in ("POST", "PUT", "PATCH"):
        told["requestBody"] = {"content": {"*/*": {}}}
    return told


def _json(schema: dict[str, Any]) -> dict[str, Any]:
    return {"application/json": {"schema": schema}}


def _moved(schema: dict[str, Any], prefix: str, schemas: dict[str, Any]) -> Any:
    """A schema whose `$defs` are in `schemas`, with the names of the place before theirs."""

    def name_of(definition: str) -> str:
        return _NO_COMPONENT.sub("_", f"{prefix}.{definition}")

    def walk(value: Any) -> Any:
        if isinstance(value, list):
            return [walk(each) for each in value]
        if not isinstance(value, dict):
            return value
        found = {key: walk(each) for key, each in value.items() if key != "$defs"}
        target = found.get("$ref")
        if isinstance(target, str) and target.startswith(_DEFS):
            found["$ref"] = f"#/components/schemas/{name_of(target.removeprefix(_DEFS))}"
        return found

    for name, definition in schema.get("$defs", {}).items():
        schemas[name_of(name)] = walk(definition)
    return walk(schema)


_ERROR: Final = {
    "type": "object",
    "properties": {
        "type": {"enum": sorted(CODES)},
        "message": {"type": "string"},
        "hint": {"type": "object"},
        "trace-id": {"type": "string", "format": "uuid"},
    },
    "required": ["type", "message", "trace-id"],
}
