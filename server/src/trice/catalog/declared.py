"""Namespaces that the server declares itself, as tables of text. No I/O.

    fields   namespace, label, code of the label, type, flags (u unique, i indexed, r required).
             `json` is not checked; the server writes objects only
    links    namespace, label, code, target, reverse label, its code, cardinality, flags
             (u unique, i indexed, c on-delete cascade, C on-delete-reverse cascade)

Their attrs have the same ids everywhere. An id encodes a text: five bits a character, most
significant first, padded with ones. `systemat` and `us/email` give the attr id of `$users.email`;
`systemid` in the first half gives the id of its name.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from trice.catalog.attr import INFERRED_BITS, Attr, AttrName, CheckedType
from trice.protocol.ids import AttrId

# Instant has `z` before `y` (instant-http §1.13, Fixed ids).
_ALPHABET: Final = "abcdefghijklmnopqrstuvwxzy/"

_CHECKED: Final[dict[str, CheckedType]] = {
    "string": "string",
    "number": "number",
    "boolean": "boolean",
}


@dataclass(frozen=True)
class Declaration:
    """A catalog as text.

    attr_prefix, name_prefix   first halves of ids, at most twelve characters
    codes                      the code of each namespace; a code, a slash and the code of a label
                               together have at most twelve characters
    """

    attr_prefix: str
    name_prefix: str
    codes: Mapping[str, str]
    fields: str
    links: str = ""

    def attrs(self) -> list[Attr]:
        """Every declared attr, not yet placed."""
        fields = [self._field(*line.split()) for line in self.fields.strip().splitlines()]
        return fields + [self._link(*line.split()) for line in self.links.strip().splitlines()]

    def name(self, etype: str, label: str, code: str) -> AttrName:
        """A name with its id."""
        return AttrName(_fixed_id(self.name_prefix, f"{self.codes[etype]}/{code}"), etype, label)

    def _field(self, etype: str, label: str, code: str, kind: str, flags: str) -> Attr:
        return Attr(
            id=AttrId(_fixed_id(self.attr_prefix, f"{self.codes[etype]}/{code}")),
            forward=self.name(etype, label, code),
            reverse=None,
            value_type="blob",
            cardinality="one",
            is_unique="u" in flags,
            is_indexed="i" in flags,
            is_required="r" in flags,
            checked_type=_CHECKED.get(kind),
            inferred=INFERRED_BITS["string"] if label == "id" else INFERRED_BITS.get(kind, 0),
            is_system=True,
        )

    def _link(
        self,
        etype: str,
        label: str,
        code: str,
        target: str,
        reverse_label: str,
        reverse_code: str,
        cardinality: str,
        flags: str,
    ) -> Attr:
        return Attr(
            id=AttrId(_fixed_id(self.attr_prefix, f"{self.codes[etype]}/{code}")),
            forward=self.name(etype, label, code),
            reverse=self.name(target, reverse_label, reverse_code),
            value_type="ref",
            cardinality="many" if cardinality == "many" else "one",
            is_unique="u" in flags,
            is_indexed="i" in flags,
            on_delete="cascade" if "c" in flags else None,
            on_delete_reverse="cascade" if "C" in flags else None,
            inferred=INFERRED_BITS["string"],
            is_system=True,
        )


def _fixed_id(high: str, low: str) -> str:
    """The uuid that spells `high` and `low`, at most twelve characters each."""
    text = f"{_bits(high)}{_bits(low)}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def _bits(text: str) -> str:
    """64 bits as 16 hex digits: five a character, padded with ones."""
    number = 0
    for char in text:
        number = number << 5 | _ALPHABET.index(char)
    padding = 64 - 5 * len(text)
    return f"{(number + 1 << padding) - 1:016x}"
