"""The one form of a rules document between all kinds of files. No I/O.

A rule is a text; `true` and `false`, which servers take too, become texts, as TypeScript has no
other rules.

source   instant-semantics §5.1; spec/schema-files.md SF46
"""

from __future__ import annotations

from typing import Any, Final

_WITH_RULES: Final = ("allow", "fields", "bind")


def canonical_rules(document: dict[str, Any]) -> dict[str, Any]:
    """Rules in the one form, from decoded JSON; what is no rule stays as it is."""
    return {
        etype: {key: _as_texts(each) if key in _WITH_RULES else each for key, each in block.items()}
        if isinstance(block, dict)
        else block
        for etype, block in document.items()
    }


def _as_texts(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _as_texts(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_as_texts(each) for each in value]
    return str(value).lower() if isinstance(value, bool) else value
