"""Headers of requests and answers of endpoints, and what an answer may say. No I/O.

The worker checks an answer where the function made it, so that the error has a line; the server
checks it again, as it believes no worker.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from trice.endpoint_limits import HEADERS_BYTES_MAX, HEADERS_MAX
from trice.functions.frames import Pairs

_NAME: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", re.ASCII)
_VALUE: Final = re.compile("[\t\x20-\x7e\x80-\xff]*")
"""RFC 9110 §5.5, without line breaks and other control characters: no header begins inside one."""

_NO_BODY: Final = (204, 205, 304)

_OF_SERVER: Final = {
    **dict.fromkeys(
        (
            *("connection", "keep-alive", "proxy-authenticate", "proxy-connection", "te"),
            *("trailer", "transfer-encoding", "upgrade", "content-length", "date", "server"),
        ),
        "the server says how an answer travels",
    ),
    **dict.fromkeys(
        ("set-cookie", "set-cookie2", "clear-site-data"),
        "cookies and storage of this host belong to others, too: send a token in the body",
    ),
    **dict.fromkeys(
        (
            *("strict-transport-security", "alt-svc", "nel", "report-to", "reporting-endpoints"),
            *("service-worker-allowed", "accept-ch", "critical-ch", "origin-agent-cluster"),
            *("public-key-pins", "x-content-type-options", "set-login", "use-as-dictionary"),
            *("sec-session-registration", "secure-session-registration"),
        ),
        "it would hold for the whole host",
    ),
    **dict.fromkeys(
        ("x-accel-redirect", "x-sendfile", "x-lighttpd-send-file", "x-reproxy-url"),
        "a proxy before this server would answer with a file or address of its own",
    ),
}
"""Names that an answer may not have, and why."""


class Fields(Mapping[str, str]):
    """Names with one or more texts each; `fields[name]` is the first. In headers, names are the
    same in upper and lower case."""

    def __init__(self, pairs: Iterable[tuple[str, str]], *, is_folded: bool) -> None:
        self._is_folded = is_folded
        self._values: dict[str, list[str]] = {}
        for name, value in pairs:
            self._values.setdefault(self._key(name), []).append(value)

    def __getitem__(self, name: str) -> str:
        return self._values[self._key(name)][0]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and self._key(name) in self._values

    def getall(self, name: str) -> list[str]:
        """Every text of a name, in order."""
        return list(self._values.get(self._key(name), ()))

    def _key(self, name: str) -> str:
        return name.lower() if self._is_folded else name

    def __repr__(self) -> str:
        return f"Fields({self._values})"


def checked_headers(given: Any) -> Pairs:
    """Headers of an answer: a mapping, or pairs. Names become lower case.

    raises   ValueError, TypeError
    """
    pairs: Pairs = []
    for name, value in given.items() if isinstance(given, Mapping) else given:
        if not isinstance(name, str) or not isinstance(value, str):
            raise TypeError(f"A header is two texts, not {name!r} and {value!r}")
        if not _NAME.fullmatch(name):
            raise ValueError(f"{name[:100]!r} is no name of a header")
        if not _VALUE.fullmatch(value):
            told = "a value has no line breaks, control characters or letters beyond Latin-1"
            raise ValueError(f"The header {name}: {told}")
        pairs.append((name.lower(), value.strip(" \t")))
    for name, _ in pairs:
        why = _OF_SERVER.get(name)
        if why is not None:
            raise ValueError(f"An endpoint does not set the header {name}: {why}")
        if name.startswith("access-control-"):
            raise ValueError(f"An endpoint does not set the header {name}: that is what cors= does")
    size = sum(len(name) + len(value) for name, value in pairs)
    if len(pairs) > HEADERS_MAX or size > HEADERS_BYTES_MAX:
        most = f"{HEADERS_MAX} headers of {HEADERS_BYTES_MAX:,} bytes together at most"
        raise ValueError(f"An answer has {most}, not {len(pairs)} of {size:,}")
    return pairs


def check_status(status: Any, *, has_body: bool) -> None:
    """raises   ValueError for a status that no answer may have"""
    is_number = isinstance(status, int) and not isinstance(status, bool)
    if not is_number or not 200 <= status <= 599:
        raise ValueError(f"The status of an answer is 200 to 599, not {status!r}")
    if has_body and status in _NO_BODY:
        raise ValueError(f"An answer with status {status} has no body")
