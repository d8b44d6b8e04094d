"""A schema document → the text of a `schema.py`, as a person would write it. No I/O.

Classes stand in an order in which each link names one above it; what is not possible so is in
quotes. A name that Python does not allow, or that the file needs itself, gets `Label`.

source   spec/schema-files.md SF3
"""

from __future__ import annotations

import builtins
import json
import keyword
import re
import unicodedata
from collections.abc import Mapping
from datetime import date, datetime
from typing import Any, Final

from trice.schema.document import EXTENSIBLE, Document

_LINE_CHARACTERS: Final = 96
_SYSTEM: Final = {"$users": "Users", "$files": "Files", "$streams": "Streams"}
_SYSTEM_CLASSES: Final = {"$users": "User", "$files": "File", "$streams": "Stream"}
_WORDS: Final = frozenset(
    (
        *("Annotated", "Any", "Literal", "date", "datetime", "Fields", "Files", "Indexed", "Json"),
        *("Label", "Many", "Namespace", "One", "Room", "Schema", "Streams", "Table", "Unique"),
        *("Users", "Was", "link", "new_id", "now", "Db", "rooms"),
    )
)
"""Names that a written file may use itself."""

_RESERVED: Final = _WORDS | frozenset(keyword.kwlist) | frozenset(dir(builtins))


def write_python(document: Document) -> str:
    """The text of a file that declares a schema.

    document   as `document.canonical` gives it
    """
    return _File(document).text()


class _File:
    """Collects the classes, and the words that they use."""

    def __init__(self, document: Document) -> None:
        self._document = document
        self._used = dict[str, set[str]]()
        entities: Document = document["entities"]
        self._classes: dict[str, str] = {}
        own = {etype: _class_name(etype) for etype in entities if etype not in EXTENSIBLE}
        for etype in entities:
            wanted = own.get(etype) or self._system_class(etype, own)
            self._classes[etype] = _free(wanted, {*self._classes.values(), *_RESERVED})
        self._taken = {*self._classes.values(), *_RESERVED}
        self._forward: dict[str, list[Document]] = {}
        for link in document["links"].values():
            self._forward.setdefault(link["forward"]["on"], []).append(link)
        for etype in EXTENSIBLE:  # one that only has links needs a class for them
            if etype in self._forward and etype not in self._classes:
                name = _free(self._system_class(etype, own), self._taken)
                self._classes = {etype: name, **self._classes}
                self._taken.add(name)

    def text(self) -> str:
        written = set[str]()
        classes = []
        for etype in self._order():
            classes.append(self._entity(etype, written))
            written.add(etype)
        rooms = [*self._rooms()]
        classes += rooms[:-1]
        body = [f"class Db({self._ours('Schema')}):", *self._tables(), *rooms[-1:]]
        if len(body) == 1:
            body.append("    pass")
        classes.append("\n".join(body))
        told = '"""The schema of this app: `trice push` makes the app as it says."""'
        return "\n\n\n".join(["\n\n".join([told, *self._imports()]), *classes]) + "\n"

    @staticmethod
    def _system_class(etype: str, own: Mapping[str, str]) -> str:
        name = _SYSTEM_CLASSES[etype]
        return f"System{name}" if name in own.values() else name

    # --- classes ----------------------------------------------------------------------------------

    def _order(self) -> list[str]:
        """Namespaces, each after those that its links lead to where there is no circle."""
        done = dict[str, None]()
        open_ones = set[str]()
        waiting = [(etype, False) for etype in reversed(self._classes)]
        while waiting:
            etype, is_left = waiting.pop()
            if is_left:
                done[etype] = None
            elif etype not in done and etype not in open_ones:
                open_ones.add(etype)
                waiting.append((etype, True))
                targets = [link["reverse"]["on"] for link in self._forward.get(etype, ())]
                waiting += [(each, False) for each in reversed(targets) if each in self._classes]
        return list(done)

    def _entity(self, etype: str, written: set[str]) -> str:
        name = self._classes[etype]
        names = set[str]()
        lines = [f"class {name}({self._ours(_SYSTEM.get(etype, 'Namespace'))}):"]
        attrs = self._document["entities"].get(etype, {"attrs": {}})["attrs"]
        for label, known in attrs.items():
            lines += self._field(label, known, names)
        for link in self._forward.get(etype, ()):
            lines += self._link(link, names, written)
        return "\n".join(lines if len(lines) > 1 else [*lines, "    pass"])

    def _field(self, label: str, known: Document, names: set[str]) -> list[str]:
        name = self._name(label, names)
        marks = []
        config = known.get("config", {})
        if config.get("unique"):
            unique = self._ours("Unique")
            marks.append(unique if config.get("indexed") else f"{unique}(indexed=False)")
        elif config.get("indexed"):
            marks.append(self._ours("Indexed"))
        if name != label:
            marks.append(f"{self._ours('Label')}({_text(label)})")
        if "was" in known:
            marks.append(f"{self._ours('Was')}({_text(known['was'])})")
        hint = self._type(known)
        if not known.get("required"):
            hint += " | None"
        if marks:
            hint = f"{self._word('typing', 'Annotated')}[{hint}, {', '.join(marks)}]"
        line = f"    {name}: {hint}{self._default(known)}"
        if len(line) > _LINE_CHARACTERS and "values" in known:
            values = "".join(f"\n        {one}," for one in map(_value, known["values"]))
            line = line.replace(self._type(known), f"Literal[{values}\n    ]", 1)
        return [line]

    def _type(self, known: Document) -> str:
        if "values" in known:
            values = ", ".join(map(_value, known["values"]))
            return f"{self._word('typing', 'Literal')}[{values}]"
        match known["valueType"], known.get("format"):
            case "string", _:
                return "str"
            case "number", form:
                return "int" if form == "integer" else "float"
            case "boolean", _:
                return "bool"
            case "date", form:
                return self._word("datetime", "date" if form == "day" else "datetime")
            case "json", _:
                return self._ours("Json")
            case _:
                return self._word("typing", "Any")

    def _default(self, known: Document) -> str:
        default = known.get("default")
        if default is None:
            return ""
        if "by" in default:
            return f" = {self._ours(default['by'])}"
        value = default["value"]
        cls = {None: datetime, "day": date}.get(known.get("format"))
        if known["valueType"] == "date" and cls is not None and _is_iso(value, cls):
            word = self._word("datetime", cls.__name__)
            return f" = {word}.fromisoformat({_text(value)})"
        return f" = {_value(value)}"

    def _link(self, link: Document, names: set[str], written: set[str]) -> list[str]:
        forward, reverse = link["forward"], link["reverse"]
        label, target = forward["label"], reverse["on"]
        name = self._name(label, names)
        cls = self._classes.get(target) or self._ours(_SYSTEM[target])
        if target in self._classes and target not in written:
            cls = f'"{cls}"'
        is_one = forward["has"] == "one"
        hint = f"{self._ours('One' if is_one else 'Many')}[{cls}]"
        if is_one and not forward.get("required"):
            hint += " | None"
        if name != label:
            mark = f"{self._ours('Label')}({_text(label)})"
            hint = f"{self._word('typing', 'Annotated')}[{hint}, {mark}]"
        said = [f"back={_text(reverse['label'])}"]
        said += ["back_one=True"] * (reverse["has"] == "one")
        said += ['on_delete="cascade"'] * ("onDelete" in forward)
        said += ['on_delete_back="cascade"'] * ("onDelete" in reverse)
        said += ["required=True"] * (not is_one and bool(forward.get("required")))
        for word, side in (("was", forward), ("back_was", reverse)):
            if "was" in side:
                said.append(f"{word}={_text(side['was'])}")
        return _folded(f"    {name}: {hint} = {self._ours('link')}({', '.join(said)})")

    def _tables(self) -> list[str]:
        names = set[str]()
        lines = []
        for etype, cls in self._classes.items():
            table = f"{self._ours('Table')}[{cls}]"
            if etype in EXTENSIBLE:
                wanted = etype[1:]
                free = wanted not in self._classes
                name = self._name(wanted if free else f"system_{wanted}", names)
            else:
                name = self._name(etype, names)
                if name != etype:
                    mark = f"{self._ours('Label')}({_text(etype)})"
                    table = f"{self._word('typing', 'Annotated')}[{table}, {mark}]"
            lines += _folded(f"    {name}: {table}")
        return lines

    def _rooms(self) -> list[str]:
        """A class for all that rooms show, and last the line that names them; nothing without."""
        made, said = list[str](), list[str]()
        for name, room in self._document.get("rooms", {}).items():
            presence = self._shown(f"{_pascal(name)}Presence", room["presence"], made)
            topics = [
                f"{_text(topic)}: {self._shown(f'{_pascal(name)}{_pascal(topic)}', each, made)}"
                for topic, each in room["topics"].items()
            ]
            shown = f"presence={presence}"
            if topics:
                shown += f", topics={{{', '.join(topics)}}}"
            said.append(f"        {_text(name)}: {self._ours('Room')}({shown}),")
        return [*made, "\n".join(["    rooms = {", *said, "    }"])] if said else []

    def _shown(self, wanted: str, entity: Document, made: list[str]) -> str:
        cls = _free(wanted, self._taken)
        self._taken.add(cls)
        lines = [f"class {cls}({self._ours('Fields')}):"]
        names = set[str]()
        for label, known in entity["attrs"].items():
            lines += self._field(label, known, names)
        made.append("\n".join(lines if len(lines) > 1 else [*lines, "    pass"]))
        return cls

    # --- names ------------------------------------------------------------------------------------

    def _name(self, label: str, names: set[str]) -> str:
        """The name of an attribute in its class: its label where Python allows that.

        names   those of the class so far
        """
        is_plain = (
            label.isidentifier()
            and not label.startswith("_")
            and unicodedata.normalize("NFKC", label) == label
            and not keyword.iskeyword(label)
        )
        name = label if is_plain else _plain(label)
        if keyword.iskeyword(name) or self._is_hint(name):
            name += "_"
        name = _free(name, names)
        names.add(name)
        return name

    def _is_hint(self, name: str) -> bool:
        """Whether type hints of the file may say a name: an attribute called so would hide it."""
        is_class = name in self._taken and name not in _RESERVED
        return is_class or name in _WORDS or name in ("str", "float", "int", "bool")

    def _word(self, module: str, name: str) -> str:
        self._used.setdefault(module, set()).add(name)
        return name

    def _ours(self, name: str) -> str:
        return self._word("trice.schema", name)

    def _imports(self) -> list[str]:
        theirs = [self._import(name) for name in sorted(self._used) if name != "trice.schema"]
        return ["\n".join(each) for each in (theirs, [self._import("trice.schema")]) if each]

    def _import(self, module: str) -> str:
        names = sorted(self._used[module], key=lambda name: (not name[0].isupper(), name))
        line = f"from {module} import {', '.join(names)}"
        if len(line) <= _LINE_CHARACTERS:
            return line
        return "\n".join([f"from {module} import (", *(f"    {name}," for name in names), ")"])


def _is_iso(value: Any, cls: type[date]) -> bool:
    """Whether a constant is told by `fromisoformat` as it is."""
    try:
        return isinstance(value, str) and cls.fromisoformat(value).isoformat() == value
    except ValueError:
        return False


def _folded(line: str) -> list[str]:
    """A line, or several where it is too long: what its last brackets hold, one a line."""
    call = re.match(r"(.* = link)\((.*)\)$", line)
    if len(line) <= _LINE_CHARACTERS or call is None:
        return [line]
    parts = [part for part in re.split(r', (?=[a-z_]+=(?:"|True))', call[2]) if part]
    return [f"{call[1]}(", *(f"        {part}," for part in parts), "    )"]


def _class_name(etype: str) -> str:
    """`blog-posts` → `BlogPost`."""
    words = _pascal(etype)
    for ending, instead in (("ies", "y"), ("sses", "ss"), ("shes", "sh"), ("ches", "ch")):
        if words.endswith(ending) and len(words) > len(ending) + 1:
            return words.removesuffix(ending) + instead
    for ending in ("xes", "zes"):
        if words.endswith(ending) and len(words) > 4:
            return words.removesuffix("es")
    is_plural = words.endswith("s") and not words.endswith(("ss", "us", "is", "ews"))
    return words[:-1] if is_plural and len(words) > 2 else words


def _pascal(name: str) -> str:
    words = re.findall(r"[a-z0-9]+|[A-Z][a-z0-9]*", unicodedata.normalize("NFKD", name))
    made = "".join(word[:1].upper() + word[1:] for word in words)
    return made if made[:1].isalpha() else f"N{made}"


def _plain(label: str) -> str:
    """A name like a label: `first-name` → `first_name`."""
    name = re.sub(r"[^A-Za-z0-9_]+", "_", unicodedata.normalize("NFKD", label)).strip("_")
    return name if name and name.isidentifier() else f"field_{name}"


def _free(wanted: str, taken: set[str] | Mapping[str, Any] | frozenset[str]) -> str:
    name, number = wanted, 2
    while name in taken:
        name = f"{wanted}{number}"
        number += 1
    return name


def _value(value: Any) -> str:
    match value:
        case str():
            return _text(value)
        case dict():
            return f"{{{', '.join(f'{_text(key)}: {_value(it)}' for key, it in value.items())}}}"
        case list():
            return f"[{', '.join(map(_value, value))}]"
        case _:
            return repr(value)


def _text(value: str) -> str:
    """A text as a person quotes it."""
    return json.dumps(value, ensure_ascii=False) if value.isprintable() else repr(value)
