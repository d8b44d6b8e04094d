"""Deep merge of JSON values (instant-semantics §3.6). No I/O."""

from __future__ import annotations

from typing import Any


def deep_merge(stored: Any, patch: Any) -> Any:
    """The value of a field after `patch` is merged into `stored`.

    Two objects merge key by key, and a null in the patch removes its key. Anything else is
    replaced whole: arrays, scalars, and an object where there was none, with the nulls inside it.
    """
    if not isinstance(stored, dict) or not isinstance(patch, dict):
        return patch
    merged = dict(stored)
    for key, value in patch.items():
        if value is None:
            merged.pop(key, None)
        elif key in merged:
            merged[key] = deep_merge(merged[key], value)
        else:
            merged[key] = value
    return merged
