"""The routes that clients are generated for are those of the server."""

from __future__ import annotations

import re

import pytest

from trice.protocol import http_bodies

FOR_CLIENTS = re.compile(r"(GET|POST|DELETE) /(admin|runtime/auth)/")
FOR_PEOPLE = {f"POST /admin/{subject}_perms_check" for subject in ("query", "transact", "room")}
"""What explains rules answers in words."""


@pytest.mark.rule("P203")
async def test_routes_that_are_described_are_there_and_no_others(stage):
    offered = {
        f"{method} {route.path}"
        for route in stage.asgi.routes
        for method in getattr(route, "methods", None) or ()
    }
    assert offered >= http_bodies.ROUTES.keys()
    for_clients = {route for route in offered if FOR_CLIENTS.match(route)}
    assert for_clients - http_bodies.ROUTES.keys() == FOR_PEOPLE
