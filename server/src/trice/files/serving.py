"""What the answer to a request for a file says: status, headers, and which bytes. No I/O.

    preconditions fail ──> 412      the client has the bytes ──> 304
    a span that is there ──> 206    one past the end ──> 416      anything else ──> 200, all bytes

The bytes behind a URL never change, so their hash is the strong ETag. Whoever uploaded them is a
stranger: nothing of them may run on our origin, and none of their words become a header.

source   RFC 9110 §13 (conditional requests), §14 (ranges); RFC 6266, RFC 8187 (names);
         spec/files.md F100-F119
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import formatdate, parsedate_to_datetime
from typing import Final
from urllib.parse import quote, unquote

from trice import download_limits as limits

INLINE_TYPES: Final = frozenset(
    (
        *("image/png", "image/jpeg", "image/gif", "image/webp", "image/avif", "image/bmp"),
        *("image/x-icon", "image/vnd.microsoft.icon", "image/apng", "image/heic"),
        *("video/mp4", "video/webm", "video/ogg", "video/quicktime", "video/x-matroska"),
        *("audio/mpeg", "audio/mp4", "audio/aac", "audio/ogg", "audio/wav", "audio/x-wav"),
        *("audio/webm", "audio/flac", "audio/x-flac", "audio/x-m4a"),
        *("application/pdf", "text/plain", "text/csv", "application/json"),
    )
)
"""Types that a browser may show by itself. None of them can run a script. All others are saved
instead (`attachment`); in `<img>`, `<video>` and `fetch` they work all the same."""

_TEXT_CHARS_MAX: Final = 1_000
"""How much of a type or disposition is looked at."""

_PDF: Final = "application/pdf"
_UNKNOWN: Final = "application/octet-stream"
_TYPE: Final = re.compile(
    r"(?P<name>[a-z0-9][a-z0-9!#$&^_.+-]{0,63}/[a-z0-9][a-z0-9!#$&^_.+-]{0,126})"
    r"(?:[ \t]*;[ \t]*charset=\"?(?P<charset>[a-z0-9_.:-]{1,40})\"?)?[ \t]*(?:;.*)?",
    re.ASCII,
)
_DISPOSITION: Final = re.compile(r"[ \t]*(?P<kind>[a-z]+)[ \t]*(?:;|$)", re.ASCII | re.IGNORECASE)
_EXTENDED_NAME: Final = re.compile(
    r";[ \t]*filename\*[ \t]*=[ \t]*utf-8'[a-z-]*'(?P<name>[^\s;\"]+)", re.IGNORECASE
)
_PLAIN_NAME: Final = re.compile(
    r";[ \t]*filename[ \t]*=[ \t]*(?:\"(?P<quoted>(?:[^\"\\]|\\.)*)\"|(?P<token>[^\s;\"]+))",
    re.IGNORECASE,
)
_UNFIT_IN_NAMES: Final = re.compile(
    "[\x00-\x1f\x7f-\x9f/\\\\\ud800-\udfff\u200e\u200f\u202a-\u202e\u2066-\u2069]+"
)
"""Control characters, separators of folders, halves of characters, and marks that turn the order of
letters: with these `exe.jpg` can be shown for `gpj.exe`."""

_RANGE: Final = re.compile(r"bytes[ \t]*=[ \t]*(\d*)-(\d*)[ \t]*", re.ASCII | re.IGNORECASE)
_ETAG: Final = re.compile(r'(W/)?("[\x21\x23-\x7e\x80-\xff]*")')

_POLICY: Final = (
    "default-src 'none'; img-src 'self'; media-src 'self'; style-src 'unsafe-inline';"
    " frame-ancestors *; sandbox"
)
_PDF_POLICY: Final = (
    "default-src 'none'; object-src 'self'; style-src 'unsafe-inline'; frame-ancestors *"
)
"""Browsers show no PDF in a sandbox. Their viewers keep its scripts away from the page's origin."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known about the bytes of a URL.

    etag          names the bytes; without quotes
    content_type  as its uploader wrote it; any text
    disposition   likewise; None when none was given
    name          the last part of its path: any text
    modified_ms   when the bytes came, if that is known
    expires_s     when the URL ends, in seconds since 1970; the answer may be kept as long
    encoding      how the bytes are encoded: `gzip`; None: they are not
    """

    etag: str
    size: int
    content_type: str
    disposition: str | None
    name: str
    modified_ms: int | None
    expires_s: int
    encoding: str | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """Status and headers, and the bytes start..end (exclusive) that follow; start = end: none."""

    status: int
    headers: dict[str, str]
    start: int
    end: int


def answer(method: str, given: Mapping[str, str], facts: Facts, *, now_ms: int) -> Answer:
    """Answer `GET` or `HEAD` with headers `given` (by lower-case names) for the bytes of `facts`.

    cost   linear in the headers
    """
    headers = {**_shared_headers(facts, now_ms=now_ms), **_content_headers(facts)}
    status = _precondition(given, facts)
    if status is not None:
        # A 304 has no content-length: it would be that of the answer the client has.
        return Answer(status, _without_content(headers, status), 0, 0)
    start, end, status = 0, facts.size, 200
    if method == "GET" and _may_be_partial(given, facts):
        span = _span(given.get("range", ""), facts.size)
        if span is _PAST_THE_END:
            headers = _without_content(headers, 416)
            return Answer(416, {**headers, "content-range": f"bytes */{facts.size}"}, 0, 0)
        if span is not None:
            (start, end), status = span, 206
            headers["content-range"] = f"bytes {start}-{end - 1}/{facts.size}"
    headers["content-length"] = str(end - start)
    return Answer(status, headers, start, end if method == "GET" else start)


def redirect_headers(facts: Facts, *, url: str, now_ms: int) -> dict[str, str]:
    """Headers of a 302 to `url`, which ends with the URL that was asked for."""
    age_s = max(facts.expires_s - now_ms // 1000 - limits.REDIRECT_SPARE_S, 0)
    return {
        "location": url,
        "access-control-allow-origin": "*",
        "cache-control": f"private, max-age={age_s}",
        "referrer-policy": "no-referrer",
    }


def media_type(facts: Facts) -> str:
    """The content type to send. A text that is no type becomes application/octet-stream."""
    return _media_type(facts)[0]


def disposition(facts: Facts) -> str:
    """The `content-disposition` to send: shown or saved, under which name."""
    _, name = _media_type(facts)
    given = (facts.disposition or "")[:_TEXT_CHARS_MAX]
    match = _DISPOSITION.match(given)
    is_inline = name in INLINE_TYPES and (match is None or match["kind"].lower() == "inline")
    kind = "inline" if is_inline else "attachment"
    return named_disposition(kind, _given_name(given) or facts.name)


def _media_type(facts: Facts) -> tuple[str, str]:
    """The content type to send, and its name alone."""
    match = _TYPE.fullmatch(facts.content_type[:_TEXT_CHARS_MAX].strip().lower())
    if match is None:
        return _UNKNOWN, _UNKNOWN
    name, charset = match["name"], match["charset"]
    if charset is None and name.startswith("text/"):
        charset = "utf-8"
    return (name if charset is None else f"{name}; charset={charset}"), name


def named_disposition(kind: str, name: str) -> str:
    """A `content-disposition` with a file name of any characters (RFC 6266 §4, RFC 8187)."""
    fit = _fit_name(name)
    plain = re.sub(r'[^ -~]|["%]', "_", fit)
    value = f'{kind}; filename="{plain}"'
    return value if plain == fit else f"{value}; filename*=UTF-8''{quote(fit, safe='')}"


# --- headers -------------------------------------------------------------------------------------


def _shared_headers(facts: Facts, *, now_ms: int) -> dict[str, str]:
    """Headers of every answer, without or with bytes."""
    age_s = max(facts.expires_s - now_ms // 1000, 0)
    headers = {
        "etag": f'"{facts.etag}"',
        "cache-control": f"private, max-age={age_s}, immutable",
        "accept-ranges": "bytes",
        "access-control-allow-origin": "*",
        "access-control-expose-headers": (
            "accept-ranges, content-disposition, content-length, content-range, etag, x-trace-id"
        ),
        "cross-origin-resource-policy": "cross-origin",
        "x-content-type-options": "nosniff",
        "referrer-policy": "no-referrer",
    }
    if facts.modified_ms is not None:
        headers["last-modified"] = formatdate(facts.modified_ms // 1000, usegmt=True)
    return headers


def _content_headers(facts: Facts) -> dict[str, str]:
    content_type, name = _media_type(facts)
    encoded = {} if facts.encoding is None else {"content-encoding": facts.encoding}
    return {
        **encoded,
        "content-type": content_type,
        "content-disposition": disposition(facts),
        "content-security-policy": _PDF_POLICY if name == _PDF else _POLICY,
    }


def _without_content(headers: dict[str, str], status: int) -> dict[str, str]:
    """The headers of an answer without the bytes."""
    left = {k: v for k, v in headers.items() if not k.startswith("content-")}
    if status != 304:
        left["content-length"] = "0"
        left["cache-control"] = "no-store"
    return left


def _given_name(given: str) -> str | None:
    """The file name in a `content-disposition`."""
    extended = _EXTENDED_NAME.search(given)
    if extended is not None:
        return unquote(extended["name"], errors="replace")
    plain = _PLAIN_NAME.search(given)
    if plain is None:
        return None
    return plain["token"] or re.sub(r"\\(.)", r"\1", plain["quoted"])


def _fit_name(name: str) -> str:
    fit = _UNFIT_IN_NAMES.sub("_", name).strip(" .") or "file"
    excess = len(fit) - limits.FILENAME_CHARS_MAX
    if excess <= 0:
        return fit
    stem, dot, suffix = fit.rpartition(".")
    if not stem or len(suffix) > 16:
        return fit[: limits.FILENAME_CHARS_MAX]
    return stem[: limits.FILENAME_CHARS_MAX - len(suffix) - 1] + dot + suffix


# --- conditions and ranges -----------------------------------------------------------------------

_PAST_THE_END: Final = (-1, -1)


def _precondition(given: Mapping[str, str], facts: Facts) -> int | None:
    """412 or 304 if the preconditions of a request say so, in the order of RFC 9110 §13.2.2."""
    if "if-match" in given:
        if not _is_listed(given["if-match"], facts.etag, is_strong=True):
            return 412
    elif _is_later(facts, given.get("if-unmodified-since")):
        return 412
    if "if-none-match" in given:
        return 304 if _is_listed(given["if-none-match"], facts.etag, is_strong=False) else None
    modified_ms, since_s = facts.modified_ms, _seconds(given.get("if-modified-since"))
    if modified_ms is not None and since_s is not None and modified_ms // 1000 <= since_s:
        return 304
    return None


def _is_later(facts: Facts, date: str | None) -> bool:
    """Whether the bytes came after a date that is one."""
    since_s = _seconds(date)
    return since_s is not None and (facts.modified_ms or 0) // 1000 > since_s


def _is_listed(header: str, etag: str, *, is_strong: bool) -> bool:
    if header.strip() == "*":
        return True
    quoted = f'"{etag}"'
    return any(tag == quoted and not (weak and is_strong) for weak, tag in _ETAG.findall(header))


def _may_be_partial(given: Mapping[str, str], facts: Facts) -> bool:
    """Whether `If-Range` lets a span be sent: its ETag, or its date, is exactly that of the
    bytes."""
    validator = given.get("if-range")
    if validator is None:
        return True
    if '"' in validator:
        return validator.strip() == f'"{facts.etag}"'
    return facts.modified_ms is not None and _seconds(validator) == facts.modified_ms // 1000


def _span(header: str, size: int) -> tuple[int, int] | None:
    """The bytes start..end that a `Range` asks for.

    returns   None when all bytes are to be sent: there is no header, it is malformed, of another
              unit, or asks for several spans, which would let a short request ask for the same
              bytes a thousand times; _PAST_THE_END when none of the bytes asked for is there
    """
    match = _RANGE.fullmatch(header) if len(header) <= limits.RANGE_CHARS_MAX else None
    if match is None or not (match[1] or match[2]):
        return None
    if not match[1]:
        count = int(match[2])
        if not count:
            return _PAST_THE_END
        # No content-range can name a span of no bytes.
        return (max(size - count, 0), size) if size else None
    start, end = int(match[1]), int(match[2]) + 1 if match[2] else size
    if end <= start and match[2]:
        return None  # malformed: the last byte comes before the first
    return (start, min(end, size)) if start < size else _PAST_THE_END


def _seconds(date: str | None) -> int | None:
    """A date of HTTP in seconds since 1970; None for what is no date."""
    if date is None or len(date) > 64:
        return None
    try:
        found = parsedate_to_datetime(date)
        return int(found.timestamp()) if found.tzinfo is not None else None
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
