"""The one JSON form of a schema between all kinds of files: `schema.json`. No I/O.

    {"entities": {ns: {"attrs": {label: FIELD}}},
     "links": {name: {"forward": SIDE, "reverse": SIDE}},
     "rooms"?: {name: {"presence": {"attrs": {label: FIELD}}, "topics": {name: {"attrs": {…}}}}}}

    FIELD  {"valueType": "string" | "number" | "boolean" | "date" | "json" | "any",
            "required"?: true, "config"?: {"indexed"?: true, "unique"?: true},
            "values"?: [texts or numbers], "default"?: {"value": …} | {"by": "now" | "new_id"},
            "format"?: "integer" | "day", "was"?: label}
    SIDE   {"on": ns, "label", "has": "one" | "many", "required"?: true, "onDelete"?: "cascade",
            "was"?: label}

`values`, `default` and `format` are of the files only: a server does not know them, and a pull
keeps those that a file has. `was` is for a push. Links have the name that their forward side gives
them, since nothing else depends on it. What the system has made is left out.

source   instant-http §4.5; instant-semantics §4.1; spec/schema-files.md SF1, SF6, SF12
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

Document = dict[str, Any]
Path = tuple[str, ...]

VALUE_TYPES: Final = ("string", "number", "boolean", "date", "json", "any")
EXTENSIBLE: Final = ("$users", "$files", "$streams")

_ONLY_OF_FILES: Final = ("values", "default", "format")
_SYSTEM_FIELDS: Final[Mapping[str, frozenset[str]]] = {
    "$users": frozenset(("id", "email", "type", "imageURL")),
    "$files": frozenset(
        (
            *("id", "path", "size", "url", "content-type", "content-disposition"),
            *("location-id", "key-version", "content-hash"),
        )
    ),
    "$streams": frozenset(
        ("id", "clientId", "machineId", "done", "size", "hashedReconnectToken", "abortReason")
    ),
}
_SYSTEM_LINKS: Final = frozenset((("$users", "linkedPrimaryUser"), ("$users", "linkedGuestUsers")))
_FORMATS: Final = {"integer": "number", "day": "date"}
_FILLED: Final = {"now": "date", "new_id": "string"}
_HAS: Final = ("one", "many")


class SchemaFault(Exception):
    """What is wrong with a schema, where, and what is accepted.

    path   keys from the top of the document to the place
    """

    def __init__(self, message: str, path: Path) -> None:
        super().__init__(message)
        self.message = message
        self.path = path


def canonical(document: Any) -> Document:
    """A schema in the one form, from decoded JSON of any shape. raises   SchemaFault"""
    top = _mapping(document, (), {"entities", "links", "rooms"})
    if "entities" not in top:
        raise SchemaFault('it has no `entities`. Accepted is {"entities": {…}, "links": {…}}', ())
    entities: Document = {}
    for etype, entity in _mapping(top["entities"], ("entities",)).items():
        path = ("entities", etype)
        _check_namespace(etype, path)
        attrs = _fields(entity, path, system=_SYSTEM_FIELDS.get(etype, frozenset(("id",))))
        for label, each in attrs.items():
            if etype in EXTENSIBLE and each.get("required"):
                told = f"attributes of {etype} must be optional: sign-up and upload cannot fill it"
                raise SchemaFault(told, (*path, "attrs", label))
        if attrs or etype not in EXTENSIBLE:
            entities[etype] = {"attrs": attrs}
    links = _links(top.get("links") or {}, entities)
    made: Document = {"entities": entities, "links": links}
    rooms = _rooms(top.get("rooms") or {})
    return {**made, "rooms": rooms} if rooms else made


def for_server(document: Document) -> Document:
    """A schema without what is of the files only."""
    left_out = (*_ONLY_OF_FILES, "was")
    return {
        "entities": {
            etype: {
                "attrs": {
                    label: {key: each for key, each in known.items() if key not in left_out}
                    for label, known in entity["attrs"].items()
                }
            }
            for etype, entity in document["entities"].items()
        },
        "links": {
            name: {
                key: {part: value for part, value in side.items() if part != "was"}
                for key, side in link.items()
            }
            for name, link in document["links"].items()
        },
    }


def keeping(pulled: Document, local: Document) -> Document:
    """The schema of an app, with what only the file had: `values`, `default`, `format`, rooms, and
    `json` where the server knows no type; also the order of the file."""
    entities: Document = {}
    for etype in in_order(pulled["entities"], local["entities"]):
        known = local["entities"].get(etype, {"attrs": {}})["attrs"]
        attrs = pulled["entities"][etype]["attrs"]
        entities[etype] = {
            "attrs": {
                label: _kept(attrs[label], known.get(label, {})) for label in in_order(attrs, known)
            }
        }
    links = {name: pulled["links"][name] for name in in_order(pulled["links"], local["links"])}
    kept: Document = {"entities": entities, "links": links}
    return {**kept, "rooms": local["rooms"]} if "rooms" in local else kept


def in_order(wanted: Mapping[str, Any], known: Mapping[str, Any]) -> list[str]:
    """The keys of `wanted`: those of `known` first, as they stand there."""
    first = [key for key in known if key in wanted]
    return [*first, *(key for key in wanted if key not in known)]


def _kept(pulled: Document, local: Document) -> Document:
    if pulled["valueType"] == "any" and local.get("valueType") == "json":
        pulled = {**pulled, "valueType": "json"}
    if pulled["valueType"] != local.get("valueType"):
        return pulled
    return {**pulled, **{key: local[key] for key in _ONLY_OF_FILES if key in local}}


def only_of_files(document: Document) -> list[str]:
    """The attributes whose values, default or format no server checks, as `todos.kind`."""
    return [
        f"{etype}.{label}"
        for etype, entity in document["entities"].items()
        for label, known in entity["attrs"].items()
        if any(key in known for key in _ONLY_OF_FILES)
    ]


def renames(document: Document) -> Iterator[tuple[str, str]]:
    """Old names and new ones, both `todos.title`, of all that says `was`."""
    for etype, entity in document["entities"].items():
        for label, known in entity["attrs"].items():
            if "was" in known:
                yield f"{etype}.{known['was']}", f"{etype}.{label}"
    for link in document["links"].values():
        for side in link.values():
            if "was" in side:
                yield f"{side['on']}.{side['was']}", f"{side['on']}.{side['label']}"


def link_name(etype: str, label: str, taken: Mapping[str, Any]) -> str:
    """The name of a link: its forward side, with a number if that is taken."""
    name = wanted = f"{etype}{label[:1].upper()}{label[1:]}"
    number = 2
    while name in taken:
        name = f"{wanted}{number}"
        number += 1
    return name


# --- fields ---------------------------------------------------------------------------------------


def _fields(entity: Any, path: Path, *, system: frozenset[str]) -> Document:
    """The attrs of a namespace, or of what a room shows."""
    given = _mapping(entity, path, {"attrs", "links"}).get("attrs")
    path = (*path, "attrs")
    if given is None:
        raise SchemaFault('it has no `attrs`. Accepted is {"attrs": {…}}', path[:-1])
    return {
        label: _field(known, (*path, _checked_name(label, (*path, label))))
        for label, known in _mapping(given, path).items()
        if label not in system
    }


def _field(given: Any, path: Path) -> Document:
    accepted = {"valueType", "required", "config", "was", *_ONLY_OF_FILES, "isIndexed", "metadata"}
    known = _mapping(given, path, accepted)
    value_type = _one_of(known.get("valueType", "any"), VALUE_TYPES, (*path, "valueType"))
    made: Document = {"valueType": value_type}
    if _flag(known, "required", path):
        made["required"] = True
    config = _mapping(known.get("config") or {}, (*path, "config"), {"indexed", "unique"})
    flags = {key: True for key in ("indexed", "unique") if _flag(config, key, (*path, "config"))}
    if flags:
        made["config"] = flags
    if known.get("values") is not None:
        made["values"] = _values(known["values"], value_type, (*path, "values"))
    if known.get("default") is not None:
        made["default"] = _default(known["default"], made, (*path, "default"))
    if known.get("format") is not None:
        form = _one_of(known["format"], tuple(_FORMATS), (*path, "format"))
        if _FORMATS[form] != value_type:
            told = f'"{form}" is a format of {_FORMATS[form]}, not of {value_type}'
            raise SchemaFault(told, (*path, "format"))
        made["format"] = form
    if known.get("was") is not None:
        made["was"] = _checked_name(known["was"], (*path, "was"))
    return made


def _values(given: Any, value_type: str, path: Path) -> list[Any]:
    kinds: dict[str, tuple[type, ...]] = {"string": (str,), "number": (int, float)}
    kind = kinds.get(value_type)
    if kind is None:
        raise SchemaFault(f"values are for string and number, not for {value_type}", path)
    fits = isinstance(given, Sequence) and not isinstance(given, str) and len(given) > 0
    if not fits or any(not isinstance(one, kind) or isinstance(one, bool) for one in given):
        raise SchemaFault(f"values are a list of {value_type}s, with one at least", path)
    if len(set(given)) != len(given):
        raise SchemaFault("a value stands twice in it", path)
    return list(given)


def _default(given: Any, known: Document, path: Path) -> Document:
    default = _mapping(given, path, {"value", "by"})
    if len(default) != 1:
        told = 'a default is {"value": …}, {"by": "now"} or {"by": "new_id"}'
        raise SchemaFault(told, path)
    value_type = known["valueType"]
    if "by" in default:
        by = _one_of(default["by"], tuple(_FILLED), (*path, "by"))
        if value_type not in (_FILLED[by], "any"):
            raise SchemaFault(f"{by} is a default of {_FILLED[by]}, not of {value_type}", path)
        return {"by": by}
    value = default["value"]
    fits = {
        "string": isinstance(value, str),
        "number": isinstance(value, int | float) and not isinstance(value, bool),
        "boolean": isinstance(value, bool),
        "date": isinstance(value, str | int | float) and not isinstance(value, bool),
    }.get(value_type, True)
    if not fits or value is None:
        raise SchemaFault(f"the default {value!r} is no {value_type}", path)
    if "values" in known and value not in known["values"]:
        listed = ", ".join(map(repr, known["values"]))
        raise SchemaFault(f"the default {value!r} is not one of the values: {listed}", path)
    return {"value": value}


# --- links and rooms ------------------------------------------------------------------------------


def _links(given: Any, entities: Mapping[str, Any]) -> Document:
    made: Document = {}
    names = {(etype, label) for etype, each in entities.items() for label in each["attrs"]}
    for name, link in _mapping(given, ("links",)).items():
        path = ("links", name)
        sides = _mapping(link, path, {"forward", "reverse"})
        forward = _side(sides.get("forward"), (*path, "forward"), entities)
        reverse = _side(sides.get("reverse"), (*path, "reverse"), entities)
        if {_side_name(forward), _side_name(reverse)} & _SYSTEM_LINKS:
            continue
        if forward.get("required") and forward["on"] in EXTENSIBLE:
            told = f"links of {forward['on']} cannot be required"
            raise SchemaFault(told, (*path, "forward", "required"))
        for key, side in (("forward", forward), ("reverse", reverse)):
            taken = _side_name(side)
            if taken in names:
                told = f"{'.'.join(taken)} stands twice in the schema: each name is of one thing"
                raise SchemaFault(told, (*path, key, "label"))
            names.add(taken)
        key = link_name(*_side_name(forward), made)
        made[key] = {"forward": forward, "reverse": reverse}
    return made


def _side(given: Any, path: Path, entities: Mapping[str, Any]) -> Document:
    accepted = {"on", "label", "has", "onDelete", "required", "was"}
    known = _mapping(given, path, accepted)
    on = known.get("on")
    if on not in entities and on not in EXTENSIBLE:
        listed = ", ".join((*entities, *EXTENSIBLE))
        raise SchemaFault(f"there is no namespace {on!r}. There are {listed}", (*path, "on"))
    made: Document = {
        "on": on,
        "label": _checked_name(known.get("label"), (*path, "label")),
        "has": _one_of(known.get("has"), _HAS, (*path, "has")),
    }
    if made["label"] == "id":
        raise SchemaFault("a link cannot be called id", (*path, "label"))
    if _flag(known, "required", path):
        if path[-1] == "reverse":
            raise SchemaFault("only the forward side can be required", (*path, "required"))
        made["required"] = True
    if known.get("onDelete") is not None:
        _one_of(known["onDelete"], ("cascade",), (*path, "onDelete"))
        if made["has"] != "one":
            told = 'cascade is for a side that has "one"'
            raise SchemaFault(told, (*path, "onDelete"))
        made["onDelete"] = "cascade"
    if known.get("was") is not None:
        made["was"] = _checked_name(known["was"], (*path, "was"))
    return made


def _side_name(side: Mapping[str, Any]) -> tuple[str, str]:
    return side["on"], side["label"]


def _rooms(given: Any) -> Document:
    made: Document = {}
    for name, room in _mapping(given, ("rooms",)).items():
        path = ("rooms", _checked_name(name, ("rooms", name)))
        known = _mapping(room, path, {"presence", "topics"})
        shown = _shown_fields(known.get("presence") or {"attrs": {}}, (*path, "presence"))
        topics = {
            topic: {"attrs": _shown_fields(each, (*path, "topics", topic))}
            for topic, each in _mapping(known.get("topics") or {}, (*path, "topics")).items()
        }
        made[name] = {"presence": {"attrs": shown}, "topics": topics}
    return made


def _shown_fields(entity: Any, path: Path) -> Document:
    """What a room shows: nothing of it is stored, so it has no index, default or former name."""
    attrs = _fields(entity, path, system=frozenset())
    return {
        label: {key: each for key, each in known.items() if key not in ("config", "default", "was")}
        for label, known in attrs.items()
    }


# --- what may stand where -------------------------------------------------------------------------


def _mapping(given: Any, path: Path, accepted: set[str] | None = None) -> Mapping[str, Any]:
    if not isinstance(given, Mapping):
        raise SchemaFault(f"it must be an object, not {_shown(given)}", path)
    for key in given:
        if not isinstance(key, str):
            raise SchemaFault(f"the key {key!r} must be a text", path)
        if accepted is not None and key not in accepted:
            listed = ", ".join(sorted(accepted - {"isIndexed", "metadata"}))
            raise SchemaFault(f"it has no {key!r}. Accepted are {listed}", (*path, key))
    return given


def _flag(known: Mapping[str, Any], key: str, path: Path) -> bool:
    value = known.get(key)
    if value is None or isinstance(value, bool):
        return value is True
    raise SchemaFault(f"it must be true or false, not {_shown(value)}", (*path, key))


def _one_of(value: Any, accepted: tuple[str, ...], path: Path) -> str:
    if isinstance(value, str) and value in accepted:
        return value
    raise SchemaFault(f"it is {_shown(value)}. Accepted: {', '.join(accepted)}", path)


def _checked_name(name: Any, path: Path) -> str:
    if not isinstance(name, str) or not name or "\x00" in name:
        raise SchemaFault(f"a name is a text that is not empty, not {_shown(name)}", path)
    return name


def _check_namespace(etype: str, path: Path) -> None:
    _checked_name(etype, path)
    if etype.startswith("$") and etype not in EXTENSIBLE:
        listed = ", ".join(EXTENSIBLE)
        told = f"names with $ are of the system: {listed}. Call it {etype.lstrip('$')!r} instead"
        raise SchemaFault(told, path)


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:60]}…"
