"""Resource hooks: functions in the program that the engine calls before and after a step.

Protocol: RegisterResourceHook names a callback, Callbacks.Invoke runs it in the program (RunHooks in
`pkg/resource/deploy/deployment.go`).
"""

from dataclasses import dataclass
from typing import Any

import grpc
import grpc.aio

from standins.engine.protocol import CHANNEL_OPTIONS, callback_pb2, callback_pb2_grpc, resource_pb2
from standins.engine.state import Resource
from standins.engine.values import to_struct

KINDS = ("before_create", "after_create", "before_update", "after_update", "before_delete", "after_delete")


def in_state(kind: str) -> str:
    """How the state spells a kind of hook: BeforeCreate (`sdk/go/common/resource/resource_hooks.go`)."""
    return kind.title().replace("_", "")


class HookFailedError(Exception):
    """A hook answered with an error."""


@dataclass(frozen=True)
class _Hook:
    target: str
    token: str
    on_dry_run: bool
    ignore_errors: bool


class Hooks:
    """The hooks of one run.

    Args:
        preview: run only those that asked for it.
        warn: called with a URN and a message for a hook whose errors are to be ignored.
    """

    def __init__(self, preview: bool, warn: Any) -> None:
        self._preview = preview
        self._warn = warn
        self._hooks: dict[str, _Hook] = {}
        self._channels: dict[str, grpc.aio.Channel] = {}

    def register(self, request: Any) -> None:
        """Remember a hook.

        Raises:
            ValueError: its name is taken.
        """
        if request.name in self._hooks:
            raise ValueError(f'resource hook already registered for name "{request.name}"')
        self._hooks[request.name] = _Hook(
            request.callback.target, request.callback.token, request.on_dry_run, request.ignore_errors
        )

    async def run(self, kind: str, names: list[str], old: Resource | None, new: Resource | None) -> None:
        """Run the named hooks in their order.

        Args:
            kind: one of KINDS.
            names: the hooks' names.
            old: the state before the step.
            new: the state after it; outputs go along only for an after hook.

        Raises:
            HookFailedError: one failed, or is not registered; the message is the CLI's.
        """
        when, _ = kind.split("_")
        for name in names:
            hook = self._hooks.get(name)
            if hook is None:
                raise HookFailedError(f'hook "{name}" was not registered')
            if self._preview and not hook.on_dry_run:
                continue
            error = await self._invoke(hook, name, self._request(when, old, new))
            if error and hook.ignore_errors:
                about = new or old
                self._warn(about.urn if about else "", f'{in_state(kind)} hook "{name}" failed: {error}')
            elif error:
                raise HookFailedError(f'{when} hook "{name}" failed: {error}')

    async def _invoke(self, hook: _Hook, name: str, request: Any) -> str:
        if hook.target not in self._channels:
            self._channels[hook.target] = grpc.aio.insecure_channel(hook.target, options=CHANNEL_OPTIONS)
        stub = callback_pb2_grpc.CallbacksStub(self._channels[hook.target])
        try:
            answer = await stub.Invoke(
                callback_pb2.CallbackInvokeRequest(token=hook.token, request=request.SerializeToString())
            )
        except grpc.aio.AioRpcError as error:
            return str(error.details() or f"the program answered {error.code().name} to the hook {name}")
        return str(resource_pb2.ResourceHookResponse.FromString(answer.response).error)

    @staticmethod
    def _request(when: str, old: Resource | None, new: Resource | None) -> Any:
        about = new or old
        assert about is not None
        request = resource_pb2.ResourceHookRequest(
            urn=about.urn, id=about.id, name=about.name, type=about.type
        )
        if new is not None:
            request.new_inputs.CopyFrom(to_struct(new.inputs, secrets=True))
            request.new_options.CopyFrom(_options(new))
            if when == "after":
                request.new_outputs.CopyFrom(to_struct(new.outputs, secrets=True))
        if old is not None:
            request.old_inputs.CopyFrom(to_struct(old.inputs, secrets=True))
            request.old_outputs.CopyFrom(to_struct(old.outputs, secrets=True))
            request.old_options.CopyFrom(_options(old))
        return request

    async def close(self) -> None:
        """Let go of the connections to the program."""
        for channel in self._channels.values():
            await channel.close(None)


def _options(resource: Resource) -> Any:
    options = resource_pb2.ResourceOptions(
        depends_on=resource.dependencies,
        protect=resource.protect,
        ignore_changes=resource.ignore_changes,
        retain_on_delete=resource.retain_on_delete,
        additional_secret_outputs=resource.additional_secret_outputs,
        provider=resource.provider,
        parent=resource.parent,
    )
    for kind in KINDS:
        getattr(options.hooks, kind).extend(resource.resource_hooks.get(in_state(kind), ()))
    return options
