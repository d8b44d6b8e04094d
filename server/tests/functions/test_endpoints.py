"""What endpoints are written with: paths, requests, responses, and what is wrong with them."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import msgspec
import pytest

from support.function_stage import write_project
from trice.endpoint_limits import ANSWER_BYTES_MAX, HEADERS_BYTES_MAX, HEADERS_MAX
from trice.functions import RefusedError, Request, Response
from trice.functions.frames import HttpRequest
from trice.functions.http_headers import checked_headers
from trice.functions.loading import LoadErrors, load_program
from trice.functions.paths import PathTable, are_ambiguous, parse_path
from trice.functions.python_api import write_python_api
from trice.functions.typescript import write_api

WORDS = (
    "from trice.functions import Action, Mutation, Request, Response, action, http, internal\n"
    "import trice.functions\n"
)


def told(folder: Path, *functions: str) -> list[tuple[int | None, str]]:
    """What is wrong with functions that stand below each other, from line 3 on."""
    text = WORDS + "".join(f"{each}\n" for each in functions)
    with pytest.raises(LoadErrors) as raised:
        load_program(write_project(folder, {"functions/hooks.py": text}), {})
    assert {each.file for each in raised.value.errors} == {"functions/hooks.py"}
    return [(each.line, each.message) for each in raised.value.errors]


def endpoint(
    decorator: str, arguments: str = "", returns: str = "Response", name: str = "f"
) -> str:
    return (
        f"@http.{decorator}\n"
        f"async def {name}(ctx: Action, request: Request{arguments}) -> {returns}: ..."
    )


@pytest.mark.rule("FN520", "FN521")
def test_everything_that_is_wrong_is_told_with_its_line(tmp_path: Path) -> None:
    found = told(
        tmp_path,
        endpoint('post("/a")', name="a"),
        endpoint('post("b", auth="none")', name="b"),
        endpoint('get("/c/{item}", auth="none")', name="c"),
        endpoint('get("/d", auth="none")', ", item: int", name="d"),
        endpoint('get("/e", auth="none")', returns="str", name="e"),
        '@http.get("/g", auth="none")\nasync def g(ctx: Action) -> Response: ...',
        '@http.get("/h", auth="none")\n'
        "async def h(ctx: Mutation, request: Request) -> Response: ...",
        endpoint('get("/i", auth="none", retry=3)', name="i"),
        endpoint('get("/j", auth="none", cors=["shop.example/"])', name="j"),
        endpoint('get("/k", auth="all")', name="k"),
        endpoint('get("/l/{x}", auth="none")', ", x", name="l"),
        endpoint('get("/m/{x}x", auth="none")', name="m"),
        endpoint('get(auth="none")', name="n"),
        endpoint('get("/o/{one}/b", auth="none")', ", one: str", name="o"),
        endpoint('get("/o/a/{two}", auth="none")', ", two: str", name="p"),
        endpoint('get("/o/{other}/b", auth="none")', ", other: str", name="q"),
        endpoint('get("/r", auth="none")', name="r"),
        endpoint('get("/s", auth="none")', name="r"),
    )
    assert [line for line, _ in found] == [*range(4, 30, 2), 32, 34, 38]
    expected = (
        *("auth= has no default", "'b' is no path", "{item} of its path is no argument"),
        *("item is not in its path", "returns a Response", "takes its request after ctx"),
        *("takes ctx: Action[Db]", "retry= is unknown", "is no origin", "auth='all' is none"),
        *("x has no type hint", "'{x}x' is no segment", "None is no path"),
        "GET /o/a/{two} and /o/{one}/b may both be meant by one request",
        "GET /o/{other}/b is also hooks.o, of functions/hooks.py:30",
        "r is defined in line 36 already",
    )
    assert [each for each, (_, text) in zip(expected, found, strict=True) if each not in text] == []


@pytest.mark.rule("FN521")
def test_the_more_exact_path_is_found_and_none_is_as_exact() -> None:
    """Random tables: what is found is what a search through all rows finds, and it is one."""
    source = random.Random(7)
    for _ in range(300):
        paths = []
        for _ in range(source.randint(1, 12)):
            parts = source.choices(("a", "b", "{}"), k=source.randint(0, 3))
            named = [part.replace("{}", f"{{n{place}}}") for place, part in enumerate(parts)]
            path = parse_path("/" + "/".join(named))
            if not any(are_ambiguous(path, other) for other in paths):
                paths.append(path)
        table = PathTable(("GET", path, path) for path in paths)
        asked = source.choices(("a", "b", "c", ""), k=source.randint(0, 3))
        fits = [
            path
            for path in paths
            if len(path.segments) == len(asked)
            and all(w == g or (w is None and g) for w, g in zip(path.segments, asked, strict=True))
        ]
        found = table.find(asked)
        assert bool(found) == bool(fits)
        if found:
            path, values = found["GET"]
            assert all(path.segments.count(None) <= each.segments.count(None) for each in fits)
            assert [*values] == [
                given for given, part in zip(asked, path.segments, strict=True) if part is None
            ]


@pytest.mark.rule("FN520", "FN521")
@pytest.mark.parametrize(
    "text",
    [
        *("", "a", "/a//b", "/a/", "/..", "/./a", "/a?b", "/a#b", "/%41", "/é", "/{a-b}", "/{}"),
        *("/{a}/{a}", "/{a:path}", "/" + "a" * 600, "/a" * 17, "/a b", "/{a", None, 5),
    ],
)
def test_what_is_no_path(text: Any) -> None:
    with pytest.raises(ValueError, match=r"path|segment|name|twice"):
        parse_path(text)


@pytest.mark.rule("FN536")
def test_clients_are_not_generated_with_endpoints(tmp_path: Path) -> None:
    text = WORDS + endpoint('get("/{item}", auth="none", rate="1/minute per item")', ", item: int")
    text += "\n@action\nasync def act(ctx: Action) -> None: ...\n"
    program = load_program(write_project(tmp_path, {"functions/hooks.py": text}), {})
    made, other = program.signatures
    assert (made.kind, made.route and made.route.path, other.route) == ("endpoint", "/{item}", None)
    assert made.args["properties"] == {"item": {"type": "integer"}}
    for write in (write_api, write_python_api):
        api = write(program.signatures, None)
        assert "act" in api and "item" not in api


@pytest.mark.rule("FN526")
def test_what_a_response_is() -> None:
    made = Response("é", status=201, headers=[("X-A", "1"), ("x-a", " 2\t")])
    assert (made.body, made.headers) == (
        b"\xc3\xa9",
        [("x-a", "1"), ("x-a", "2"), ("content-type", "text/plain; charset=utf-8")],
    )
    assert Response(b"x").headers == [("content-type", "application/octet-stream")]
    assert Response("x", headers={"Content-Type": "text/css"}).headers == [
        ("content-type", "text/css")
    ]
    assert Response("x", headers={"content-type": "a/b"}, media_type="text/html").headers == [
        ("content-type", "text/html")
    ]
    assert (Response(status=204).headers, Response.json({"a": None}).body) == ([], b'{"a":null}')
    with pytest.raises(RefusedError, match="bytes at most"):
        Response(b"x" * (ANSWER_BYTES_MAX + 1))
    for wrong in (
        lambda: Response({"a": 1}),  # type: ignore[arg-type]
        lambda: Response("x", status=204),
        lambda: Response(status=101),
        lambda: Response(status=600),
        lambda: Response(status=True),
        lambda: Response.stream([b"x"]),  # type: ignore[arg-type]
        lambda: Response(media_type="a/b\r\nx: y"),
    ):
        with pytest.raises((ValueError, TypeError)):
            wrong()


@pytest.mark.rule("FN526")
@pytest.mark.parametrize(
    ("name", "text"),
    [
        *(("x-a", "b\r\nx-c: d"), ("x-a", "\n"), ("x-a", "\0"), ("x-a", "€"), ("x a", "b")),
        *(("x-a:", "b"), ("", "b"), ("x-a", 5), ("é", "b"), ("x-a\r\n", "b")),
        *(("Set-Cookie", "a=b"), ("Connection", "close"), ("transfer-encoding", "chunked")),
        *(("Content-Length", "5"), ("clear-site-data", '"*"'), ("upgrade", "h2c")),
        *(("access-control-allow-origin", "*"), ("service-worker-allowed", "/"), ("NEL", "{}")),
        *(("strict-transport-security", "max-age=0"), ("x-content-type-options", "x")),
        *(("X-Accel-Redirect", "/files/"), ("x-sendfile", "/etc/passwd"), ("set-login", "x")),
    ],
)
def test_headers_that_no_answer_has(name: str, text: Any) -> None:
    with pytest.raises((ValueError, TypeError)):
        checked_headers({name: text})


@pytest.mark.rule("FN526")
def test_headers_of_an_answer_are_bounded() -> None:
    checked_headers([("a", "b")] * HEADERS_MAX)
    for given in ([("a", "b")] * (HEADERS_MAX + 1), [("a", "b" * HEADERS_BYTES_MAX)]):
        with pytest.raises(ValueError, match="headers"):
            checked_headers(given)


@pytest.mark.rule("FN522")
def test_what_a_request_is() -> None:
    class Event(msgspec.Struct):
        id: int

    def request(body: bytes, url: str = "https://x.test/http/a/b?q=1&q=2&e=") -> Request:
        headers = [("x-a", "1"), ("x-a", "2")]
        return Request(HttpRequest(method="POST", url=url, path="/b", headers=headers, body=body))

    made = request(b'{"id": 5}')
    assert made.json() == {"id": 5}
    assert made.json(Event) == Event(5)
    assert (made.headers["X-A"], made.headers.getall("x-A"), "X-a" in made.headers) == (
        *("1", ["1", "2"]),
        True,
    )
    assert (made.query["q"], made.query.getall("q"), made.query["e"]) == ("1", ["1", "2"], "")
    assert (made.query.get("Q"), made.query.getall("n"), len(made.query)) == (None, [], 2)
    for body, read in (
        (b'{"id": "x"}', lambda each: each.json(Event)),
        (b"{", lambda each: each.json()),
        (b"\xff", lambda each: each.text()),
        (b'"\xff"', lambda each: each.json()),
        (b"[" * 100_000, lambda each: each.json()),
    ):
        with pytest.raises(RefusedError) as refused:
            read(request(body))
        assert (refused.value.code, refused.value.hint) == ("bad-args", {"path": "body"})
