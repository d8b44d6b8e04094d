"""One function as a program runs it: its arguments read, its result written, its signature. No I/O.

Arguments are decoded into one struct, strictly: what it does not name is refused. A result is
written, read again as what the hint says, and written again: what is not in the hint is cut, and
what leaves is what was checked.
"""

from __future__ import annotations

import inspect
import re
import typing
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, Final

import msgspec

from trice.endpoint_limits import ORIGINS_MAX
from trice.function_limits import (
    ACTION_MS_MAX,
    ARGS_BYTES_MAX,
    RESULT_BYTES_MAX,
    UNCUT_RESULT_BYTES_MAX,
)
from trice.functions import blocking
from trice.functions.changes import ChangeReader, SentChange, Wanted, followed
from trice.functions.channel import RefusedError
from trice.functions.contexts import Action, Mutation, Query
from trice.functions.cron_times import check_schedule
from trice.functions.endpoints import Request, Response
from trice.functions.function import Function
from trice.functions.hints import Hints, decoded, described, predicates
from trice.functions.later import Retry
from trice.functions.mismatch import mismatch
from trice.functions.paths import parse_path
from trice.functions.rates import parse_rate
from trice.functions.shapes import HintError, shown
from trice.functions.signature import (
    KINDS_SHOWN,
    Auth,
    HookPlan,
    RetryPlan,
    Route,
    Schedule,
    Signature,
)
from trice.functions.types import Describer, lists_of
from trice.functions.values import encoded
from trice.schema.declare import Label

_CONTEXTS: Final[dict[str, type]] = {
    "query": Query,
    "mutation": Mutation,
    "action": Action,
    "endpoint": Action,
}
_SORTS: Final = {"plain": "a plain def", "async": "an async def"}
_AUTHS: Final = typing.get_args(Auth)
_OPTIONS: Final = ("auth", "rate", "timeout", "also", "ignores")
_OF_JOBS: Final = ("retry", "schedule", "isolated", "on_change")
_OF_ENDPOINTS: Final = ("auth", "cors", "rate", "timeout")
_SET_BY_US: Final = ("method", "path")
_ORIGIN: Final = re.compile(r"https?://[a-z0-9.-]+(:[0-9]{1,5})?|\*")
_DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"

encode_json: Final = msgspec.json.Encoder(enc_hook=encoded).encode
decode_json: Final = msgspec.json.decode


class Misdeclared(Exception):
    """What is wrong with a function; `argument` says at which of its arguments, if at one."""

    def __init__(self, message: str, argument: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.argument = argument


@dataclass(frozen=True, slots=True)
class Entry:
    """A function that can be called.

    names    of its arguments in Python, in their order
    ignored  arguments that are dropped
    """

    function: Function[..., Any]
    signature: Signature
    names: tuple[str, ...]
    ignored: frozenset[str]
    _args: msgspec.json.Decoder[Any]
    _result: msgspec.json.Decoder[Any]
    _conditions: dict[str, list[Callable[[Any], bool]]]
    _changes: ChangeReader | None = None

    def read_args(self, args: bytes) -> dict[str, Any]:
        """Arguments by their names. raises   RefusedError("bad-args", "call-too-big")"""
        if len(args) > ARGS_BYTES_MAX:
            raise _too_big(self, "arguments have", len(args), ARGS_BYTES_MAX)
        try:
            found = self._args.decode(args)
        except msgspec.ValidationError as failure:
            own = self.signature
            raise mismatch("bad-args", own.name, str(failure), args, own.args) from None
        except (msgspec.DecodeError, RecursionError) as failure:
            told = f"The arguments of {self.signature.name} are no JSON object: {failure}."
            raise RefusedError("bad-args", told, {"function": self.signature.name}) from None
        given = {name: getattr(found, name) for name in self.names}
        if self._changes is not None:
            return {name: self._changes.read(sent) for name, sent in given.items()}
        for name, conditions in self._conditions.items():
            for each in conditions:
                if not each(given[name]):
                    expected = getattr(each, "__name__", "what its Predicate accepts")
                    told = f"Expected `{expected}` - at `$.{name}`"
                    raise mismatch("bad-args", self.signature.name, told, args)
        return given

    def write_args(self, args: Any, kwargs: Any) -> bytes:
        """Arguments as JSON, as `read_args` takes them. raises   TypeError"""
        if self._changes is not None:
            told = "is run by changes; call a function that both of them call"
            raise TypeError(f"{self.signature.name} {told}")
        try:
            bound = inspect.signature(self.function.body).bind(None, *args, **kwargs)
        except TypeError as failure:
            takes = ", ".join(self.names) or "nothing"
            raise TypeError(f"{self.signature.name} takes {takes}: {failure}") from None
        given = list(bound.arguments.items())[1:]
        labels = dict(zip(self.names, self._labels(), strict=True))
        return encode_json({labels[name]: value for name, value in given})

    def _labels(self) -> list[str]:
        fields = msgspec.structs.fields(self._args.type)
        return [each.encode_name for each in fields if each.name not in self.ignored]

    def write_result(self, value: Any) -> bytes:
        """The result as JSON. raises   RefusedError("bad-result", "call-too-big")"""
        name = self.signature.name
        try:
            raw = encode_json(value)
        except (TypeError, NotImplementedError, ValueError, RecursionError) as failure:
            told = f"What {name} returned has no form in JSON: {failure}"
            raise RefusedError("bad-result", told, {"function": name}) from None
        if len(raw) > UNCUT_RESULT_BYTES_MAX:
            raise _too_big(self, "result has", len(raw), RESULT_BYTES_MAX)
        try:
            made = encode_json(self._result.decode(raw))
        except (msgspec.ValidationError, RecursionError) as failure:
            kept = ValueError(
                f"{name} returned {raw[:200].decode(errors='replace')}"
            )  # for the log
            raise mismatch("bad-result", name, str(failure), raw) from kept
        if len(made) > RESULT_BYTES_MAX:
            raise _too_big(self, "result has", len(made), RESULT_BYTES_MAX)
        return made

    def read_result(self, value: bytes) -> Any:
        """What was returned, from JSON: views are views again."""
        return self._result.decode(value)


def _too_big(entry: Entry, what: str, size: int, most: int) -> RefusedError:
    name = entry.signature.name
    told = f"The {what} {size:,} bytes as JSON; {most:,} are the most."
    return RefusedError("call-too-big", told, {"function": name, "bytes": size, "bytes-max": most})


# --- from a function to its entry -----------------------------------------------------------------


def make_entry(
    function: Function[..., Any], name: str, file: str, line: int, hints: Hints
) -> Entry:
    """Check a function and everything that it was told. raises   Misdeclared, HintError"""
    body = inspect.unwrap(function.body)
    _check_sort(function, body, name)
    parameters, said, returned = _hints_of(function, body, name)
    route = None
    if function.kind == "endpoint":
        route, parameters = _route(function, parameters, said, returned)
        returned = None  # what it answers is no JSON
    options = _options(function, name, parameters)
    changes, options["hook"] = _hook(function, parameters, said, hints)
    if changes is not None:
        said = said | {parameters[0].name: SentChange}
    fields, conditions = _fields(parameters, said, hints, options["ignores"])
    try:
        args: Any = msgspec.defstruct(
            f"{name} arguments", fields, kw_only=True, forbid_unknown_fields=True
        )
        # What stands in a path is text: "5" is a number there, if one is asked for.
        reader = msgspec.json.Decoder(args, dec_hook=decoded, strict=route is None)
    except TypeError as failure:
        raise Misdeclared(f"Its arguments: {failure}") from None
    try:
        checked = hints.checked(returned)
        writer = msgspec.json.Decoder(checked, dec_hook=decoded)
    except HintError as failure:
        raise failure if failure.cls else Misdeclared(f"What it returns: {failure}") from None
    except TypeError as failure:
        raise Misdeclared(f"What it returns: {failure}") from None
    describer = Describer(hints.model)
    result = describer.describe(returned)
    shown_args = [
        {
            "name": _label(said[each.name], each.name),
            "type": describer.describe(said[each.name]),
            "optional": each.default is not each.empty,
        }
        for each in parameters
    ]
    signature = Signature(
        name=name,
        kind=function.kind,
        is_internal=function.is_internal,
        args=_schema(args, drop=options["ignores"]),
        result=_schema(checked),
        types={"args": shown_args, "result": result, "names": describer.names},
        doc=inspect.cleandoc(function.__doc__ or ""),
        file=file,
        line=line,
        lists=lists_of(result, describer.names),
        route=route,
        **options,
    )
    return Entry(
        function,
        signature,
        tuple(each.name for each in parameters),
        frozenset(options["ignores"]),
        reader,
        writer,
        conditions,
        changes,
    )


def _check_sort(function: Function[..., Any], body: Any, name: str) -> None:
    """`async def` or `def`, from the outermost decorator to the function itself."""
    if inspect.isgeneratorfunction(body) or inspect.isasyncgenfunction(body):
        raise Misdeclared(f"{name} has a yield: a function returns its result, all of it")
    layer: Any = function.body
    while function.is_blocking and layer is not None:
        if inspect.iscoroutinefunction(layer):
            told = "is a plain def, and a decorator of it makes an async one of it"
            raise Misdeclared(f"{name} {told}: let both be the same")
        layer = getattr(layer, "__wrapped__", None)


def _hints_of(function: Function[..., Any], body: Any, name: str) -> Any:
    """Parameters without `ctx`, their hints, and that of the result."""
    parameters = list(inspect.signature(function.body).parameters.values())
    try:
        said = typing.get_type_hints(body, include_extras=True)
    except NameError as failure:
        told = f"{failure}. What a hint names is imported outside of `if TYPE_CHECKING`"
        raise Misdeclared(told) from None
    expected = (blocking.BY_KIND if function.is_blocking else _CONTEXTS)[function.kind]
    if not parameters:
        raise Misdeclared(f"{name} takes a ctx first: ctx: {expected.__name__}[Db]")
    first = parameters[0].name
    ctx = said.get(first)
    given = typing.get_origin(ctx) or ctx
    if given in (_CONTEXTS if function.is_blocking else blocking.BY_KIND).values():
        sort, module = ("plain", "sync") if function.is_blocking else ("async", "functions")
        told = f"from trice.{module} import {expected.__name__}"
        raise Misdeclared(f"{name} is {_SORTS[sort]}, which takes another ctx: {told}", first)
    if given is not expected:
        shown_ctx = "without a hint" if ctx is None else f"of type {shown(ctx)}"
        runs_by_itself = not {"schedule", "on_change"}.isdisjoint(function.options)
        whose = "What runs by itself" if runs_by_itself else KINDS_SHOWN[function.kind].capitalize()
        accepted = "Mutation[Db] or Action[Db]" if runs_by_itself else f"{expected.__name__}[Db]"
        told = f"{whose} takes ctx: {accepted} first, not one {shown_ctx}"
        raise Misdeclared(told, first)
    for each in parameters[1:]:
        if each.kind in (each.VAR_POSITIONAL, each.VAR_KEYWORD, each.POSITIONAL_ONLY):
            raise Misdeclared("Arguments have names: no *args, **kwargs or /", each.name)
        if each.name not in said:
            raise Misdeclared(f"{each.name} has no type hint", each.name)
    if "return" not in said:
        raise Misdeclared(f"{name} does not say what it returns: `-> None` if nothing")
    return parameters[1:], said, said["return"]


def _route(
    function: Function[..., Any], parameters: list[Any], said: dict[str, Any], returned: Any
) -> tuple[Route, list[Any]]:
    """Where an endpoint is, and the parameters that its path names."""
    options = function.options
    try:
        path = parse_path(options["path"])
    except ValueError as failure:
        raise Misdeclared(f"{failure}") from None
    if options.get("auth") is None:
        accepted = ", ".join(map(repr, _AUTHS))
        raise Misdeclared(f"auth= has no default: say who may ask this endpoint, {accepted}")
    if not parameters or said[parameters[0].name] is not Request:
        raise Misdeclared("An endpoint takes its request after ctx: request: Request")
    if returned is not Response:
        raise Misdeclared("An endpoint returns a Response: `-> Response`")
    left = {each.name: each for each in parameters[1:]}
    for each in path.names:
        if left.pop(each, None) is None:
            raise Misdeclared(f"{{{each}}} of its path is no argument of the function")
    for each in left:
        raise Misdeclared(f"{each} is not in its path: write {{{each}}} there", each)
    cors = _names(options, "cors")
    for origin in cors:
        if not _ORIGIN.fullmatch(origin):
            told = f'cors: {origin!r} is no origin, such as "https://shop.example", nor "*"'
            raise Misdeclared(told)
    if len(cors) > ORIGINS_MAX:
        raise Misdeclared(f"cors has {ORIGINS_MAX} origins at most")
    return Route(method=options["method"], path=options["path"], cors=cors), parameters[1:]


def _options(function: Function[..., Any], name: str, parameters: Any) -> dict[str, Any]:
    said = function.options
    is_endpoint = function.kind == "endpoint"
    known = _OF_ENDPOINTS if is_endpoint else _OPTIONS
    for word in said:
        if word not in known + (_SET_BY_US if is_endpoint else _OF_JOBS):
            raise Misdeclared(f"{word}= is unknown. There are {', '.join(known)}")
    auth, rate, timeout = said.get("auth"), said.get("rate"), said.get("timeout")
    if auth is not None and auth not in _AUTHS:
        raise Misdeclared(f"auth={auth!r} is none of {', '.join(map(repr, _AUTHS))}")
    if rate is not None:
        try:
            parse_rate(rate, [each.name for each in parameters])
        except (ValueError, TypeError, AttributeError) as failure:
            raise Misdeclared(f"rate: {failure}") from None
    most = ACTION_MS_MAX // 1000
    is_time = isinstance(timeout, int | float) and not isinstance(timeout, bool)
    if timeout is not None and not (is_time and 0 < timeout <= most):
        raise Misdeclared(f"timeout is in seconds, up to {most:,}, not {timeout!r}")
    ignores = _names(said, "ignores")
    for each in parameters:
        if each.name in ignores:
            raise Misdeclared(f"ignores: {each.name} is an argument that it has", each.name)
    also = _names(said, "also")
    for each in also:
        if not all(part.isidentifier() for part in each.split(".")) or each == name:
            raise Misdeclared(f'also: {each!r} is no other name, such as "chat.post"')
    return {
        "auth": auth,
        "rate": rate,
        "timeout_ms": None if timeout is None else max(1, round(timeout * 1000)),
        "also": also,
        "ignores": ignores,
        "retry": _retry(function),
        "schedule": _schedule(said.get("schedule"), parameters),
        "is_isolated": _isolated(function),
    }


def _isolated(function: Function[..., Any]) -> bool:
    given = function.options.get("isolated", False)
    if not isinstance(given, bool):
        raise Misdeclared(f"isolated is True or False, not {given!r}")
    if given and function.kind != "action":
        raise Misdeclared("isolated= is for actions: queries and mutations begin again elsewhere")
    return given


def _retry(function: Function[..., Any]) -> RetryPlan | None:
    given = function.options.get("retry")
    if given is None:
        return None
    if function.kind != "action" and "schedule" not in function.options:
        raise Misdeclared("retry= is for actions: what a mutation reads is tried again by itself")
    if not isinstance(given, Retry):
        raise Misdeclared(f"retry is a Retry(times=…), not {given!r}")
    try:
        return given.plan()
    except (ValueError, TypeError) as failure:
        raise Misdeclared(f"{failure}") from None


def _schedule(given: Schedule | None, parameters: Any) -> Schedule | None:
    """When a function runs by itself: then it has no arguments that must be given."""
    if given is None:
        return None
    try:
        check_schedule(given)
    except ValueError as failure:
        raise Misdeclared(f"{failure}") from None
    for each in parameters:
        if each.default is each.empty:
            told = f"{each.name} has no default: what runs by itself is given no arguments"
            raise Misdeclared(told, each.name)
    return given


def _hook(
    function: Function[..., Any], parameters: Any, said: Any, hints: Hints
) -> tuple[ChangeReader | None, HookPlan | None]:
    """What reads the changes that a function follows, and which; None: it follows none."""
    wanted: Wanted | None = function.options.get("on_change")
    if wanted is None:
        return None, None
    namespace = wanted.namespace
    expected = f"change: Change[{shown(namespace)}]"
    if len(parameters) != 1 or parameters[0].default is not parameters[0].empty:
        raise Misdeclared(f"What follows changes takes a ctx and {expected}, and nothing else")
    name = parameters[0].name
    if followed(said[name]) is not namespace:
        told = f"{name} is a {expected.partition(' ')[2]}, not a {shown(said[name])}"
        raise Misdeclared(told, name)
    if said["return"] is not type(None):
        raise Misdeclared("What follows changes returns nothing: `-> None`")
    try:
        shape = hints.shapes.of(namespace)
        return ChangeReader(shape), wanted.plan(shape)
    except (ValueError, TypeError, AttributeError) as failure:
        raise Misdeclared(f"@on_change: {failure}") from None
    except HintError as failure:
        raise failure if failure.cls else Misdeclared(f"@on_change: {failure}") from None


def _names(said: dict[str, Any], word: str) -> tuple[str, ...]:
    given = said.get(word, ())
    listed = (given,) if isinstance(given, str) else tuple(given)
    if not all(isinstance(each, str) for each in listed):
        raise Misdeclared(f"{word} takes names, not {given!r}")
    return tuple(sorted(set(listed)))


def _fields(parameters: Any, said: dict[str, Any], hints: Hints, ignores: Any) -> Any:
    """The fields of the struct of arguments, and what `Predicate` asks of them."""
    fields: list[Any] = []
    conditions: dict[str, Any] = {}
    for each in parameters:
        hint = said[each.name]
        try:
            checked = hints.argument(hint)
        except HintError as failure:
            if failure.cls is not None:
                raise
            raise Misdeclared(f"{each.name}: {failure}", each.name) from None
        label = _label(hint, each.name)
        options: dict[str, Any] = {} if label == each.name else {"name": label}
        if each.default is not each.empty:
            default = each.default
            _check_default(each.name, default, checked)
            if isinstance(default, list | dict | set):
                options["default_factory"] = lambda default=default: type(default)(default)
            else:
                options["default"] = default
        fields.append((each.name, checked, msgspec.field(**options)))
        if found := predicates(hint):
            conditions[each.name] = found
    fields += [(name, Any, None) for name in ignores]
    return fields, conditions


def _check_default(name: str, default: Any, checked: Any) -> None:
    try:
        msgspec.json.decode(encode_json(default), type=checked, dec_hook=decoded)
    except (msgspec.ValidationError, TypeError, ValueError, NotImplementedError) as failure:
        raise Misdeclared(f"{name}: its default does not fit: {failure}", name) from None


def _label(hint: Any, name: str) -> str:
    if typing.get_origin(hint) is Annotated:
        return next((mark.label for mark in hint.__metadata__ if isinstance(mark, Label)), name)
    return name


def _schema(checked: Any, drop: tuple[str, ...] = ()) -> dict[str, Any]:
    """JSON Schema 2020-12 of a type; what it is at the top stands at the top."""
    try:
        (found,), known = msgspec.json.schema_components(
            [checked], schema_hook=described, ref_template="#/$defs/{name}"
        )
    except (TypeError, NotImplementedError) as failure:
        raise Misdeclared(f"A type has no JSON Schema: {failure}") from None
    if set(found) == {"$ref"}:
        key = found["$ref"].removeprefix("#/$defs/")
        found = known[key]
        if f'"#/$defs/{key}"' not in msgspec.json.encode(known).decode():
            known = {name: each for name, each in known.items() if name != key}
    for name in drop:
        found["properties"].pop(name, None)
    if "properties" in found and drop is not None and found.get("title", "").endswith(" arguments"):
        found = {key: value for key, value in found.items() if key != "title"}
    return {"$schema": _DIALECT, **found, **({"$defs": known} if known else {})}
