"""Requests for a file, and what the answers say: a table, and hostile ones."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import pytest

from trice import download_limits
from trice.files.serving import Answer, Facts, answer, named_disposition

NOW_MS = 1_700_000_000_000
DATE = "Tue, 14 Nov 2023 22:13:20 GMT"
EARLIER = "Tue, 14 Nov 2023 22:13:19 GMT"
FACTS = Facts(
    etag="abc",
    size=10,
    content_type="image/png",
    disposition=None,
    name="cat.png",
    modified_ms=NOW_MS,
    expires_s=NOW_MS // 1000 + 3600,
)


def ask(given: dict[str, str], method: str = "GET", **changed: Any) -> Answer:
    return answer(method, given, replace(FACTS, **changed), now_ms=NOW_MS)


def brief(found: Answer) -> tuple[int, int, int, str | None, str | None]:
    headers = found.headers
    return (
        found.status,
        found.start,
        found.end,
        headers.get("content-length"),
        headers.get("content-range"),
    )


@pytest.mark.rule("F100")
def test_get_has_all_bytes_and_head_the_same_headers() -> None:
    got, head = ask({}), ask({}, "HEAD")
    assert brief(got) == (200, 0, 10, "10", None)
    assert got.headers["etag"] == '"abc"'
    assert got.headers["content-type"] == "image/png"
    assert got.headers["last-modified"] == DATE
    assert (head.headers, head.start, head.end) == (got.headers, 0, 0)
    assert ask({"range": "bytes=2-5"}, "HEAD") == head


@pytest.mark.rule("F101")
@pytest.mark.parametrize(
    ("asked", "start", "end"),
    [
        ("bytes=0-0", 0, 1),
        ("bytes=2-5", 2, 6),
        ("bytes=2-", 2, 10),
        ("bytes=9-", 9, 10),
        ("bytes=5-99999999999999999999", 5, 10),
        ("bytes=-3", 7, 10),
        ("bytes=-9999999999999999999999", 0, 10),
        ("Bytes = 2-5", 2, 6),
    ],
)
def test_one_span_is_sent_alone(asked: str, start: int, end: int) -> None:
    found = ask({"range": asked})
    length, content_range = str(end - start), f"bytes {start}-{end - 1}/10"
    assert brief(found) == (206, start, end, length, content_range)
    assert found.headers["accept-ranges"] == "bytes"


@pytest.mark.rule("F102")
@pytest.mark.parametrize(
    "asked", ["bytes=10-", "bytes=10-11", "bytes=-0", "bytes=" + "9" * 50 + "-"]
)
def test_a_span_past_the_end_is_refused(asked: str) -> None:
    found = ask({"range": asked})
    assert brief(found) == (416, 0, 0, "0", "bytes */10")
    assert found.headers["cache-control"] == "no-store"


@pytest.mark.rule("F103")
@pytest.mark.parametrize(
    "asked",
    [
        "",
        "bytes=",
        "bytes=-",
        "bytes=5-2",
        "bytes=a-b",
        "bytes=0-1,3-4",
        "bytes=" + ",".join(["0-9"] * 5_000),
        "bytes=0-,0-",
        "bytes=" + "9" * 60_000 + "-",
        "items=0-1",
        "bytes=٣-٤",
        "bytes=-1-2",
        "bytes=0x1-2",
    ],
    ids=lambda text: text[:20],
)
def test_other_ranges_are_ignored(asked: str) -> None:
    assert brief(ask({"range": asked})) == (200, 0, 10, "10", None)


@pytest.mark.rule("F101", "F102", "F103")
@pytest.mark.parametrize(("asked", "status"), [("bytes=0-", 416), ("bytes=-1", 200)])
def test_a_file_without_bytes_has_no_spans(asked: str, status: int) -> None:
    found = ask({"range": asked}, size=0)
    assert (found.status, found.start, found.end) == (status, 0, 0)
    assert found.headers["content-length"] == "0"


@pytest.mark.rule("F104")
@pytest.mark.parametrize(
    ("validator", "status"),
    [('"abc"', 206), ('"other"', 200), ('W/"abc"', 200), (DATE, 206), (EARLIER, 200), ("x", 200)],
)
def test_a_span_of_other_bytes_is_not_sent(validator: str, status: int) -> None:
    assert ask({"range": "bytes=2-5", "if-range": validator}).status == status


@pytest.mark.rule("F105")
@pytest.mark.parametrize(
    ("given", "status"),
    [
        ({"if-none-match": '"abc"'}, 304),
        ({"if-none-match": 'W/"abc"'}, 304),
        ({"if-none-match": '"x", "abc"'}, 304),
        ({"if-none-match": "*"}, 304),
        ({"if-none-match": '"x"'}, 200),
        ({"if-none-match": "abc"}, 200),
        ({"if-none-match": '"x"', "if-modified-since": DATE}, 200),
        ({"if-modified-since": DATE}, 304),
        ({"if-modified-since": EARLIER}, 200),
        ({"if-modified-since": "yesterday"}, 200),
        ({"if-modified-since": "Tue, 14 Nov 99999 22:13:20 GMT"}, 200),
        ({"if-match": '"abc"'}, 200),
        ({"if-match": 'W/"abc"'}, 412),
        ({"if-match": '"x"', "if-none-match": '"abc"'}, 412),
        ({"if-unmodified-since": DATE}, 200),
        ({"if-unmodified-since": EARLIER}, 412),
        ({"if-none-match": '"abc"', "range": "bytes=2-5"}, 304),
    ],
)
def test_preconditions(given: dict[str, str], status: int) -> None:
    for method in ("GET", "HEAD"):
        wanted = 200 if method == "HEAD" and status == 206 else status
        found = ask(given, method)
        assert found.status == wanted
        if status == 304:
            assert "content-length" not in found.headers and "content-type" not in found.headers
            assert found.headers["etag"] == '"abc"'
        if status in (304, 412):
            assert found.start == found.end


@pytest.mark.rule("F105")
def test_without_a_date_only_etags_are_compared() -> None:
    assert ask({"if-modified-since": DATE}, modified_ms=None).status == 200
    assert ask({"range": "bytes=2-5", "if-range": DATE}, modified_ms=None).status == 200
    assert "last-modified" not in ask({}, modified_ms=None).headers


@pytest.mark.rule("F106")
def test_bytes_are_kept_until_the_url_ends() -> None:
    assert ask({}).headers["cache-control"] == "private, max-age=3600, immutable"
    ended = ask({}, expires_s=NOW_MS // 1000 - 5)
    assert ended.headers["cache-control"] == "private, max-age=0, immutable"
    assert ask({"if-match": '"x"'}).headers["cache-control"] == "no-store"


@pytest.mark.rule("F107")
def test_any_page_may_read_the_bytes() -> None:
    for given in ({}, {"origin": "https://a.example"}, {"if-none-match": "*"}):
        headers = ask(given).headers
        assert headers["access-control-allow-origin"] == "*"
        assert headers["cross-origin-resource-policy"] == "cross-origin"
        assert "content-range" in headers["access-control-expose-headers"]


SCRIPTS = [
    "text/html",
    "TEXT/HTML; charset=utf-8",
    "application/xhtml+xml",
    "image/svg+xml",
    "text/xml",
    "application/xml",
    "application/rss+xml",
    "text/javascript",
    "application/wasm",
    "application/x-shockwave-flash",
    "application/octet-stream",
    "multipart/x-mixed-replace",
    "text/html\r\nset-cookie: a=b",
    "image/png, text/html",
    "image/png text/html",
    "",
    "*/*",
    "nonsense",
    "image/png" + "a" * 5_000,
]


@pytest.mark.rule("F108", "F109")
@pytest.mark.parametrize("content_type", SCRIPTS, ids=lambda text: text[:30])
@pytest.mark.parametrize("given", [None, "inline", "inline; filename=a.html", "nonsense; ;;"])
def test_what_may_run_is_saved_instead(content_type: str, given: str | None) -> None:
    headers = ask({}, content_type=content_type, disposition=given).headers
    assert headers["content-disposition"].startswith("attachment; ")
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["content-security-policy"].endswith("; sandbox")
    assert all(re.fullmatch(r"[ -~]*", value) for value in headers.values())


@pytest.mark.rule("F108", "F109")
@pytest.mark.parametrize(
    ("content_type", "sent"),
    [
        ("image/png", "image/png"),
        ("IMAGE/JPEG", "image/jpeg"),
        ("video/mp4; codecs=avc1", "video/mp4"),
        ("text/plain", "text/plain; charset=utf-8"),
        ("text/plain; charset=latin1", "text/plain; charset=latin1"),
        ("application/pdf", "application/pdf"),
    ],
)
def test_what_cannot_run_is_shown(content_type: str, sent: str) -> None:
    headers = ask({}, content_type=content_type).headers
    assert headers["content-type"] == sent
    assert headers["content-disposition"] == 'inline; filename="cat.png"'
    policy = headers["content-security-policy"]
    assert policy.startswith("default-src 'none';") and "script-src" not in policy
    assert ("sandbox" in policy) == (content_type != "application/pdf")
    saved = ask({}, content_type=content_type, disposition="attachment").headers
    assert saved["content-disposition"] == 'attachment; filename="cat.png"'


@pytest.mark.rule("F110")
@pytest.mark.parametrize(
    ("name", "sent"),
    [
        ("a b.png", 'filename="a b.png"'),
        ("", 'filename="file"'),
        ("...", 'filename="file"'),
        ('a"b\\c.png', "filename=\"a_b_c.png\"; filename*=UTF-8''a%22b_c.png"),
        ("über.png", "filename=\"_ber.png\"; filename*=UTF-8''%C3%BCber.png"),
        ("a\r\nset-cookie: b=c", 'filename="a_set-cookie: b=c"'),
        ("../../etc/passwd", 'filename="_.._etc_passwd"'),
        ("gpj\u202eexe.jpg", 'filename="gpj_exe.jpg"'),
        ("100%.png", "filename=\"100_.png\"; filename*=UTF-8''100%25.png"),
        ("\ud800.png", 'filename="_.png"'),
    ],
)
def test_names_cannot_leave_their_place(name: str, sent: str) -> None:
    assert named_disposition("inline", name) == f"inline; {sent}"


@pytest.mark.rule("F110")
def test_a_long_name_keeps_its_suffix() -> None:
    long = named_disposition("inline", "a" * 5_000 + ".png")
    kept = download_limits.FILENAME_CHARS_MAX - 4
    assert long == f'inline; filename="{"a" * kept}.png"'
    assert len(named_disposition("inline", "." + "b" * 5_000)) < 250


@pytest.mark.rule("F110")
@pytest.mark.parametrize(
    ("given", "name"),
    [
        ('attachment; filename="x y.png"', "x y.png"),
        ("attachment; filename=x.png", "x.png"),
        ('attachment; filename="a\\"b"', 'a"b'),
        ("attachment; filename=x; filename*=UTF-8''%C3%BC.png", "ü.png"),
        ("attachment; filename*=UTF-8''%ff%0d%0a.png", "\ufffd\r\n.png"),
        ("attachment; filename=", "cat.png"),
        ("attachment", "cat.png"),
    ],
)
def test_the_name_of_the_disposition_comes_first(given: str, name: str) -> None:
    sent = ask({}, disposition=given).headers["content-disposition"]
    assert sent == named_disposition("attachment", name)
