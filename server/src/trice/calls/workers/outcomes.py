"""What becomes of a call whose process said how it ended. No I/O."""

from __future__ import annotations

from trice import function_limits as limits
from trice.calls.side import CallFailed, CallRequest
from trice.calls.workers.talk import Expired
from trice.errors import FunctionFailed, LimitExceeded, TriceError, Unavailable
from trice.functions import frames


def expect_args_fit(call: CallRequest) -> None:
    """raises   LimitExceeded("call-too-big")"""
    size = len(call.args)
    if size > limits.ARGS_BYTES_MAX:
        message = f"The arguments have {size} bytes; {limits.ARGS_BYTES_MAX} is the most."
        raise LimitExceeded("call-too-big", message, {"function": call.function})


def failure_of(call: CallRequest, outcome: frames.Fail | Expired) -> TriceError:
    """The exception for a call that did not return."""
    hint = {"function": call.function}
    match outcome:
        case frames.Fail(code="function-timeout"):
            return Unavailable("function-timeout", outcome.message, hint)
        case frames.Fail(code="call-too-big"):
            return LimitExceeded("call-too-big", outcome.message, hint)
        case frames.Fail(code="function-memory"):
            return FunctionFailed("function-memory", outcome.message, hint)
        case frames.Fail():
            return CallFailed(outcome)
        case Expired.EXPIRED:
            message = f"{call.function} took longer than {call.timeout_ms} ms."
            return Unavailable("function-timeout", message, hint)


def broken(errors: list[frames.LoadError]) -> Unavailable:
    """The exception for calls of functions that cannot be loaded."""
    shown = [{"file": each.file, "line": each.line, "message": each.message} for each in errors[:5]]
    message = "The functions of this app cannot be loaded."
    return Unavailable("functions-broken", message, {"errors": shown})


def frame_of(number: int, call: CallRequest) -> frames.Call:
    """What a process is told of a call."""
    return frames.Call(
        call=number,
        function=call.function,
        args=call.args,
        caller=call.caller,
        left_ms=call.timeout_ms,
        now_ms=call.now_ms,
        seed=call.seed,
        trace=call.trace,
        scheduled_for_ms=call.scheduled_for_ms,
        request=call.request,
    )
