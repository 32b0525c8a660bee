"""Resource hooks: functions in the program that the engine calls before and after a step."""

import asyncio
from typing import Any

import grpc
import grpc.aio

from keyfactor_standins.engine.errors import StepError, Unsupported
from keyfactor_standins.engine.planner import Resource
from keyfactor_standins.engine.wire import CHANNEL_OPTIONS, callback_pb2, callback_pb2_grpc, resource_pb2, to_struct

KINDS = ("before_create", "after_create", "before_update", "after_update")


def in_state(kind: str) -> str:
    """How the state spells a kind of hook: BeforeCreate."""
    return kind.title().replace("_", "")


class Hooks:
    """The hooks of one run.

    Args:
        halted: set once the run is ending; a before hook that is still waiting then is cancelled.
    """

    def __init__(self, preview: bool, halted: asyncio.Event) -> None:
        self._preview = preview
        self._halted = halted
        self._hooks: dict[str, Any] = {}
        self._channels: dict[str, grpc.aio.Channel] = {}

    def register(self, request: Any) -> None:
        """Register a hook, a RegisterResourceHookRequest.

        Raises:
            ValueError: a hook of this name is registered already.
            Unsupported: it has `ignore_errors`.
        """
        if request.ignore_errors:
            raise Unsupported("a hook whose errors are ignored", f"hook {request.name!r}")
        if request.name in self._hooks:
            raise ValueError(f'resource hook already registered for name "{request.name}"')
        self._hooks[request.name] = request

    async def run(self, kind: str, old: Resource | None, new: Resource) -> None:
        """Run a resource's hooks of one of the KINDS; raises StepError with the CLI's message where one fails."""
        when, _, _ = kind.partition("_")
        for name in new.resource_hooks.get(in_state(kind), ()):
            hook = self._hooks.get(name)
            if hook is None:
                raise StepError(f'hook "{name}" was not registered')
            if self._preview and not hook.on_dry_run:
                continue
            call = asyncio.ensure_future(self._invoke(hook.callback, self._request(when, old, new)))
            if when == "before":
                await self._unless_halted(call)
            error = "the run is ending, so its step was skipped" if call.cancelled() else await call
            if error:
                raise StepError(f'{when} hook "{name}" failed: {error}')

    async def _unless_halted(self, call: "asyncio.Future[str]") -> None:
        futures: set[asyncio.Future[Any]] = {call, asyncio.ensure_future(self._halted.wait())}
        await asyncio.wait(futures, return_when=asyncio.FIRST_COMPLETED)
        for future in futures:
            future.cancel()
        await asyncio.wait(futures)

    async def _invoke(self, callback: Any, request: Any) -> str:
        channel = self._channels.get(callback.target)
        if channel is None:
            channel = grpc.aio.insecure_channel(callback.target, options=CHANNEL_OPTIONS)
            self._channels[callback.target] = channel
        stub: Any = callback_pb2_grpc.CallbacksStub(channel)
        invocation = callback_pb2.CallbackInvokeRequest(token=callback.token, request=request.SerializeToString())
        try:
            response = await stub.Invoke(invocation)
        except grpc.aio.AioRpcError as error:
            return str(error.details() or f"the program answered {error.code().name}")
        return str(resource_pb2.ResourceHookResponse.FromString(response.response).error)

    @staticmethod
    def _request(when: str, old: Resource | None, new: Resource) -> Any:
        request = resource_pb2.ResourceHookRequest(urn=new.urn, id=new.id, name=new.name, type=new.type)
        request.new_inputs.CopyFrom(to_struct(new.inputs, secrets=True))
        if when == "after":
            request.new_outputs.CopyFrom(to_struct(new.outputs, secrets=True))
        if old is not None:
            request.old_inputs.CopyFrom(to_struct(old.inputs, secrets=True))
            request.old_outputs.CopyFrom(to_struct(old.outputs, secrets=True))
        return request

    async def close(self) -> None:
        """Close the connections to the program."""
        for channel in self._channels.values():
            await channel.close(None)
