"""Paths of endpoints: `/orders/{order}/pay`. Read, compared, and found again by a request. No I/O.

A `{name}` stands for one segment that is not empty. Where both would do, a segment that is written
out goes before a name: `/orders/new` before `/orders/{order}`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Generic, TypeVar

from trice.endpoint_limits import PATH_CHARS_MAX, PATH_SEGMENTS_MAX

T = TypeVar("T")

_PLAIN: Final = re.compile(r"[A-Za-z0-9._~!$&'()*+,;=:@-]+")
"""What RFC 3986 §3.3 lets stand in a segment, without escapes."""


@dataclass(frozen=True, slots=True)
class Path:
    """The path of an endpoint.

    segments   a text each, or None where a name stands
    names      those names, in order
    """

    segments: tuple[str | None, ...]
    names: tuple[str, ...]


def parse_path(text: Any) -> Path:
    """Read a path. raises   ValueError, which says what is accepted"""
    if not isinstance(text, str) or not text.startswith("/"):
        raise ValueError(f"{text!r} is no path: it begins with /, as in '/orders/{{order}}'")
    if len(text) > PATH_CHARS_MAX:
        raise ValueError(f"a path has {PATH_CHARS_MAX} characters at most")
    segments: list[str | None] = []
    names: list[str] = []
    for part in [] if text == "/" else text[1:].split("/"):
        if part.startswith("{") and part.endswith("}"):
            name = part[1:-1]
            if not name.isidentifier():
                raise ValueError(f"{text!r}: {{{name}}} is no name of an argument")
            if name in names:
                raise ValueError(f"{text!r} has {{{name}}} twice")
            names.append(name)
            segments.append(None)
        elif not _PLAIN.fullmatch(part) or part in (".", ".."):
            told = "a segment is letters, digits and ._~!$&'()*+,;=:@- or one {name}"
            raise ValueError(f"{text!r}: {part!r} is no segment: {told}")
        else:
            segments.append(part)
    if len(segments) > PATH_SEGMENTS_MAX:
        raise ValueError(f"a path has {PATH_SEGMENTS_MAX} segments at most")
    return Path(tuple(segments), tuple(names))


def are_ambiguous(one: Path, other: Path) -> bool:
    """Whether some request meets both and neither is the more exact: none of them has written out
    each segment that the other has."""
    if len(one.segments) != len(other.segments):
        return False
    pairs = list(zip(one.segments, other.segments, strict=True))
    if any(None not in pair and pair[0] != pair[1] for pair in pairs):
        return False
    is_one_exact = any(first is not None and second is None for first, second in pairs)
    is_other_exact = any(first is None and second is not None for first, second in pairs)
    return is_one_exact == is_other_exact


@dataclass(slots=True)
class _Node(Generic[T]):
    """What follows a beginning of a path. `ends` by method."""

    plain: dict[str, _Node[T]] = field(default_factory=dict)
    named: _Node[T] | None = None
    ends: dict[str, T] = field(default_factory=dict)


class PathTable(Generic[T]):
    """Finds what was put under a method and path. Cost of `find`: the segments of the path."""

    def __init__(self, rows: Iterable[tuple[str, Path, T]]) -> None:
        self._root: _Node[T] = _Node()
        for method, path, value in rows:
            node = self._root
            for segment in path.segments:
                if segment is not None:
                    node = node.plain.setdefault(segment, _Node())
                else:
                    node.named = node.named or _Node()
                    node = node.named
            node.ends[method] = value

    def find(self, segments: Sequence[str]) -> dict[str, tuple[T, tuple[str, ...]]]:
        """By method: what is meant, and the segments that stand for its names."""
        found: dict[str, tuple[T, tuple[str, ...]]] = {}
        if len(segments) <= PATH_SEGMENTS_MAX:
            for node, values in self._walk(self._root, segments, ()):
                for method, value in node.ends.items():
                    found.setdefault(method, (value, values))
        return found

    def _walk(
        self, node: _Node[T], left: Sequence[str], values: tuple[str, ...]
    ) -> Iterator[tuple[_Node[T], tuple[str, ...]]]:
        """The ends of all paths that fit, the most exact first."""
        if not left:
            yield node, values
            return
        following = node.plain.get(left[0])
        if following is not None:
            yield from self._walk(following, left[1:], values)
        if node.named is not None and left[0]:
            yield from self._walk(node.named, left[1:], (*values, left[0]))
