"""In the place of `functions.loading`, in the processes of tests: functions that do what no
function should. It speaks the same API as a loaded project.
"""

from __future__ import annotations

import asyncio
import gc
import json
import logging
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Awaitable, Callable, Mapping
from os import _exit as end_process
from pathlib import Path
from typing import Any

from trice.functions import frames
from trice.functions.call_thread import start_thread
from trice.functions.channel import Channel, RefusedError
from trice.functions.signature import Signature

Args = dict[str, Any]
Function = Callable[[frames.Call, Channel, Args], Awaitable[Any]]

FUNCTIONS: dict[str, Function] = {}
folder = Path()
kept: list[bytes] = []


class LoadErrors(Exception):
    """As `functions.loading.LoadErrors`."""

    def __init__(self, errors: list[frames.LoadError]) -> None:
        super().__init__(f"{len(errors)} errors")
        self.errors = errors


class Program:
    """As `functions.loading.Program`."""

    schema = None
    env: Mapping[str, str] = {}
    start_thread = staticmethod(start_thread)

    def __init__(self) -> None:
        self.signatures = [
            Signature(name=name, kind="query", args={}, result={}) for name in FUNCTIONS
        ]

    async def run(self, call: frames.Call, channel: Channel) -> frames.Done | frames.Fail:
        try:
            value = await FUNCTIONS[call.function](call, channel, json.loads(call.args))
            return frames.Done(call=call.call, value=json.dumps(value).encode())
        except RefusedError as failure:
            return frames.Fail(
                call=call.call, code=failure.code, message=str(failure), data=failure.hint
            )
        except MemoryError:
            return frames.Fail(call=call.call, code="function-memory", message="Too much memory.")
        except Exception as failure:
            message = f"{type(failure).__name__}: {failure}"
            return frames.Fail(call=call.call, code="function-failed", message=message)


def load_program(path: Path, env: dict[str, str] | None = None) -> Program:
    """What the file `load` in the bundle says happens."""
    wanted = (path / "load").read_text()
    if wanted == "broken":
        raise LoadErrors([frames.LoadError(file="functions/a.py", line=3, message="No.")])
    if wanted == "exit":
        end_process(3)
    if wanted == "raise":
        sys.exit("a module ends the process")
    if wanted == "hang":
        threading.Event().wait()
    global folder
    folder = path
    return Program()


def function(run: Function) -> Function:
    FUNCTIONS[run.__name__] = run
    return run


# --- what is innocent -----------------------------------------------------------------------------


@function
async def echo(call: frames.Call, channel: Channel, args: Args) -> Any:
    return args


@function
async def pid(call: frames.Call, channel: Channel, args: Args) -> Any:
    return os.getpid()


@function
async def bundle_path(call: frames.Call, channel: Channel, args: Args) -> Any:
    return str(folder)


@function
async def keep(call: frames.Call, channel: Channel, args: Args) -> Any:
    """Memory that stays."""
    kept.append(b"x" * args["bytes"])


@function
async def ask(call: frames.Call, channel: Channel, args: Args) -> Any:
    """Reads, and tells what it was answered: while the answer is awaited it is under way."""
    answer = await channel.read(call.call, args["query"], as_caller=bool(args.get("as_caller")))
    return json.loads(answer)


@function
async def write(call: frames.Call, channel: Channel, args: Args) -> Any:
    channel.draft(call.call, [["a"]])
    channel.sub(call.call)
    channel.draft(call.call, [["b"]])
    channel.sub_end(call.call, is_kept=False)
    await channel.read(call.call, "after", as_caller=True)
    channel.log(call.call, "info", "told")
    return "written"


@function
async def runs(call: frames.Call, channel: Channel, args: Args) -> Any:
    found = await asyncio.gather(
        *(channel.run(call.call, name, b"{}") for name in args["names"]), return_exceptions=True
    )
    return [each.decode() if isinstance(each, bytes) else str(each) for each in found]


@function
async def on_thread(call: frames.Call, channel: Channel, args: Args) -> Any:
    return await asyncio.to_thread(lambda: threading.current_thread().name)


@function
async def prints(call: frames.Call, channel: Channel, args: Args) -> Any:
    for number in range(args["lines"]):
        print(f"line {number}")  # noqa: T201
    logging.getLogger("mine").warning("logged %s", args["lines"])
    print("unfinished", end="", file=sys.stderr)  # noqa: T201
    return "printed"


@function
async def see(call: frames.Call, channel: Channel, args: Args) -> Any:
    """What a hostile function finds around it."""
    descriptors = {}
    for name in os.listdir("/proc/self/fd"):
        try:
            descriptors[name] = os.readlink(f"/proc/self/fd/{name}")
        except OSError:
            continue  # the folder itself
    return {
        "environ": dict(os.environ),
        "descriptors": descriptors,
        "uid": os.getuid(),
        "groups": os.getgroups(),
        "argv": sys.argv,
    }


@function
async def try_open(call: frames.Call, channel: Channel, args: Args) -> Any:
    try:
        with open(args["path"], "rb") as file:  # noqa: ASYNC230
            return file.read(args.get("count", 10)).decode("latin-1")
    except OSError as failure:
        return type(failure).__name__


# --- what is not ----------------------------------------------------------------------------------


@function
async def loop(call: frames.Call, channel: Channel, args: Args) -> Any:
    while True:
        pass


@function
async def block(call: frames.Call, channel: Channel, args: Args) -> Any:
    here, _there = socket.socketpair()
    return here.recv(1).decode()


@function
async def block_thread(call: frames.Call, channel: Channel, args: Args) -> Any:
    return await asyncio.to_thread(threading.Event().wait)


@function
async def hold_interpreter(call: frames.Call, channel: Channel, args: Args) -> Any:
    """C code that never lets another thread run."""
    return len(str(9 ** (10**8)))


@function
async def stop_itself(call: frames.Call, channel: Channel, args: Args) -> Any:
    """No thread of the process runs any more."""
    os.kill(os.getpid(), signal.SIGSTOP)


@function
async def wait(call: frames.Call, channel: Channel, args: Args) -> Any:
    await asyncio.Event().wait()


@function
async def stay(call: frames.Call, channel: Channel, args: Args) -> Any:
    """Does not end when it is told to."""
    while True:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            continue


@function
async def compute(call: frames.Call, channel: Channel, args: Args) -> Any:
    """Much of the processor, in small steps."""
    while True:
        sum(range(10_000))
        await asyncio.sleep(0)


@function
async def leave(call: frames.Call, channel: Channel, args: Args) -> Any:
    end_process(7)


@function
async def leave_once(call: frames.Call, channel: Channel, args: Args) -> Any:
    answer = json.loads(await channel.read(call.call, "restarts", as_caller=False))
    if answer["answer"] == 0:
        os.kill(os.getpid(), signal.SIGKILL)
    return answer["answer"]


@function
async def overflow(call: frames.Call, channel: Channel, args: Args) -> Any:
    """Beyond the C stack."""
    sys.setrecursionlimit(2**31 - 1)
    value: Any = ()
    for _ in range(1_000_000):
        value = (value,)
    gc.disable()
    return hash(value)


@function
async def recurse(call: frames.Call, channel: Channel, args: Args) -> Any:
    def deeper(depth: int) -> int:
        return deeper(depth + 1)

    return deeper(0)


@function
async def allocate(call: frames.Call, channel: Channel, args: Args) -> Any:
    kept = [bytearray(args["bytes"])]
    while True:
        kept.append(bytearray(args["bytes"]))


@function
async def fork(call: frames.Call, channel: Channel, args: Args) -> Any:
    started = 0
    try:
        while started < 1_000:
            child = os.fork()
            if child == 0:
                signal.pause()
            started += 1
    except OSError as failure:
        return [started, type(failure).__name__]
    return [started, "no end"]


@function
async def start_thread(call: frames.Call, channel: Channel, args: Args) -> Any:
    threading.Thread(target=time.sleep, args=(0,)).start()
    return "started"


@function
async def answer_much(call: frames.Call, channel: Channel, args: Args) -> Any:
    return "x" * args["bytes"]


@function
async def pour(call: frames.Call, channel: Channel, args: Args) -> Any:
    """Writes bytes to the pipe of its output, as C code would."""
    lost = 0
    data = (b"x" * 99 + b"\n") * 10_000
    for _ in range(args["mib"]):
        try:
            os.write(1, data)
        except BlockingIOError:
            lost += 1
    return lost


@function
async def no_frame(call: frames.Call, channel: Channel, args: Args) -> Any:
    """Bytes that are no frame, on the socket of frames."""
    for name in os.listdir("/proc/self/fd"):
        try:
            if os.readlink(f"/proc/self/fd/{name}").startswith("socket:"):
                socket.socket(fileno=os.dup(int(name))).send(b"\xff" * 100)
        except OSError:
            continue
    await asyncio.Event().wait()


@function
async def chatter(call: frames.Call, channel: Channel, args: Args) -> Any:
    """Reads without waiting for answers."""
    asked = [
        asyncio.ensure_future(channel.read(call.call, "wait", as_caller=False))
        for _ in range(10_000)
    ]
    await asyncio.gather(*asked)
