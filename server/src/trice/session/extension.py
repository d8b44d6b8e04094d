"""What clients may agree on beyond Instant's protocol (spec/protocol.md, P70-P86). No I/O.

announced   {"version":1,"features":["delta","resume","functions"],"tx":41,"catalog":"…"}
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from trice import limits
from trice.errors import InvalidInput
from trice.live.deltas import NOTHING_HELD, find_version
from trice.live.live_query import NO_TX
from trice.protocol.ids import TxId
from trice.protocol.quoting import brief


@dataclass(frozen=True, slots=True)
class Extension:
    """What one session agreed on with its client.

    has_delta   an answer may be sent as its difference to the one before
    has_resume  a query may name the answer that the client still holds
    has_functions   it may call functions, and watch them
    has_call_delta  what a watched call returns may be sent as its difference to the value before,
                    and `add-call` may name the value that the client still holds
    tx          the highest transaction id that the client has seen
    catalog     the name of the catalog that the client holds
    """

    is_announced: bool
    has_delta: bool = False
    has_resume: bool = False
    has_functions: bool = False
    has_call_delta: bool = False
    tx: TxId = NO_TX
    catalog: str | None = None

    @property
    def has_versions(self) -> bool:
        """Whether answers carry their versions."""
        return self.has_delta or self.has_resume

    @property
    def features(self) -> list[str]:
        """The features that hold, by their names on the wire."""
        flags = (
            *(("delta", self.has_delta), ("resume", self.has_resume)),
            *(("functions", self.has_functions), ("call-delta", self.has_call_delta)),
        )
        return [name for name, has_it in flags if has_it]


_VERSION_CHARS_MAX: Final = 64

PLAIN: Final = Extension(is_announced=False)
"""The client knows Instant's protocol only."""


def negotiate(announced: Any) -> Extension:
    """Read the `trice` of an `init`; features that this server does not know are left out.

    raises   InvalidInput("param-malformed"), which names the place
    """
    if announced is None:
        return PLAIN
    if not isinstance(announced, dict):
        raise _malformed("trice", announced, "an object")
    version = announced.get("version")
    if type(version) is not int or version < 1:
        raise _malformed("version", version, "a whole number from 1 up")
    features = announced.get("features")
    features = [] if features is None else features
    if (
        not isinstance(features, list)
        or len(features) > limits.EXTENSION_FEATURES_MAX
        or not all(isinstance(name, str) for name in features)
    ):
        expected = f"an array of at most {limits.EXTENSION_FEATURES_MAX} strings"
        raise _malformed("features", features, expected)
    tx = announced.get("tx")
    if tx is not None and (type(tx) is not int or tx < 0):
        raise _malformed("tx", tx, "a transaction id or 0")
    catalog = announced.get("catalog")
    if catalog is not None and not isinstance(catalog, str):
        raise _malformed("catalog", catalog, "a string")
    return Extension(
        is_announced=True,
        has_delta="delta" in features,
        has_resume="resume" in features,
        has_functions="functions" in features,
        has_call_delta="functions" in features and "call-delta" in features,
        tx=TxId(tx or 0),
        catalog=catalog,
    )


def read_held(held: Any, *, is_agreed: bool) -> bytes:
    """The version of an answer that a client says it still has; without the feature it is ignored.

    raises   InvalidInput("param-malformed")
    """
    if held is None or not is_agreed:
        return NOTHING_HELD
    if not isinstance(held, str):
        raise InvalidInput(
            "param-malformed",
            'Malformed parameter: ["held"]. It must be the `version` of an earlier answer.',
            {"in": ["held"], "original-input": brief(held)},
        )
    # What is longer names no answer, and is not kept while the message waits for one.
    return NOTHING_HELD if len(held) > _VERSION_CHARS_MAX else find_version(held)


def _malformed(name: str, value: Any, expected: str) -> InvalidInput:
    place = ["trice"] if name == "trice" else ["trice", name]
    quoted = ", ".join(f'"{part}"' for part in place)
    return InvalidInput(
        "param-malformed",
        f"Malformed parameter: [{quoted}]. It must be {expected}.",
        {"in": place, "original-input": brief(value)},
    )
