"""Resource hooks: functions in the program that the engine calls before and after a step."""

import asyncio
from collections.abc import Callable
from typing import Any

import grpc
import grpc.aio

from keyfactor_standins.engine.errors import StepError
from keyfactor_standins.engine.planner import Resource
from keyfactor_standins.engine.wire import CHANNEL_OPTIONS, callback_pb2, callback_pb2_grpc, resource_pb2, to_struct

KINDS = ("before_create", "after_create", "before_update", "after_update", "before_delete", "after_delete")


def in_state(kind: str) -> str:
    """How the state spells a kind of hook: BeforeCreate."""
    return kind.title().replace("_", "")


class Hooks:
    """The hooks of one run.

    Args:
        halted: set once the run is ending; a before hook under way, which may wait for long, is then given up.
        warn: takes a URN and the message of a hook whose errors are to be ignored.
    """

    def __init__(self, preview: bool, halted: asyncio.Event, warn: Callable[[str, str], None]) -> None:
        self._preview = preview
        self._halted = halted
        self._warn = warn
        self._hooks: dict[str, Any] = {}
        self._channels: dict[str, grpc.aio.Channel] = {}

    def register(self, request: Any) -> None:
        """Remember a hook, a RegisterResourceHookRequest; ValueError when its name is taken."""
        if request.name in self._hooks:
            raise ValueError(f'resource hook already registered for name "{request.name}"')
        self._hooks[request.name] = request

    async def run(self, kind: str, old: Resource | None, new: Resource | None) -> None:
        """Run a resource's hooks of one of the KINDS; raises StepError with the CLI's message where one fails."""
        about = new or old
        assert about is not None
        when, _, _ = kind.partition("_")
        for name in about.resource_hooks.get(in_state(kind), ()):
            hook = self._hooks.get(name)
            if hook is None:
                raise StepError(f'hook "{name}" was not registered')
            if self._preview and not hook.on_dry_run:
                continue
            called = asyncio.ensure_future(self._invoke(hook.callback, self._request(when, about, old, new)))
            if when == "before":
                await self._unless_halted(called)
            error = "the run is ending, and what it was to precede is not done" if called.cancelled() else await called
            if error and hook.ignore_errors:
                self._warn(about.urn, f'{in_state(kind)} hook "{name}" failed: {error}')
            elif error:
                raise StepError(f'{when} hook "{name}" failed: {error}')

    async def _unless_halted(self, called: "asyncio.Future[str]") -> None:
        either: set[asyncio.Future[Any]] = {called, asyncio.ensure_future(self._halted.wait())}
        await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        for each in either:
            each.cancel()
        await asyncio.wait(either)

    async def _invoke(self, callback: Any, request: Any) -> str:
        channel = self._channels.get(callback.target)
        if channel is None:
            channel = grpc.aio.insecure_channel(callback.target, options=CHANNEL_OPTIONS)
            self._channels[callback.target] = channel
        stub: Any = callback_pb2_grpc.CallbacksStub(channel)
        called = callback_pb2.CallbackInvokeRequest(token=callback.token, request=request.SerializeToString())
        try:
            answer = await stub.Invoke(called)
        except grpc.aio.AioRpcError as error:
            return str(error.details() or f"the program answered {error.code().name}")
        return str(resource_pb2.ResourceHookResponse.FromString(answer.response).error)

    @staticmethod
    def _request(when: str, about: Resource, old: Resource | None, new: Resource | None) -> Any:
        request = resource_pb2.ResourceHookRequest(urn=about.urn, id=about.id, name=about.name, type=about.type)
        if new is not None:
            request.new_inputs.CopyFrom(to_struct(new.inputs, secrets=True))
            if when == "after":
                request.new_outputs.CopyFrom(to_struct(new.outputs, secrets=True))
        if old is not None:
            request.old_inputs.CopyFrom(to_struct(old.inputs, secrets=True))
            request.old_outputs.CopyFrom(to_struct(old.outputs, secrets=True))
        return request

    async def close(self) -> None:
        """Let go of the connections to the program."""
        for channel in self._channels.values():
            await channel.close(None)
