"""The client of the SDK's dynamic provider host."""

from collections.abc import Callable
from typing import Any

import grpc
import grpc.aio

from keyfactor_standins.engine.children import Child
from keyfactor_standins.engine.errors import EngineError, StepError, Unsupported
from keyfactor_standins.engine.planner import PROVIDER_TYPE, Resource
from keyfactor_standins.engine.wire import (
    CHANNEL_OPTIONS,
    Properties,
    from_struct,
    keep_secrets,
    known,
    plain,
    provider_pb2,
    provider_pb2_grpc,
    to_struct,
)

_CHANGES = {provider_pb2.DiffResponse.DIFF_NONE: False, provider_pb2.DiffResponse.DIFF_SOME: True}


class Host:
    """Calls to dynamic providers; a failing call raises StepError with the host's message."""

    def __init__(self, child: Child, channel: grpc.aio.Channel) -> None:
        self._child = child
        self._channel = channel
        self._stub: Any = provider_pb2_grpc.ResourceProviderStub(channel)

    @classmethod
    async def connect(cls, child: Child, provider: Resource, receive: Callable[[str], None]) -> "Host":
        """Wait until the host answers, and configure it with the provider's inputs, which are the stack's config.

        Raises:
            EngineError: the host did not start.
        """
        port = await child.first_line()
        child.follow(receive)
        if not port.isdigit():
            await child.stop()
            raise EngineError(
                f"the dynamic provider host did not start: it printed {port!r} instead of its port; is pulumi installed"
                " for the program's Python?"
            )
        host = cls(child, grpc.aio.insecure_channel(f"127.0.0.1:{port}", options=CHANNEL_OPTIONS))
        request = provider_pb2.ConfigureRequest(
            urn=provider.urn,
            name="default",
            type=PROVIDER_TYPE,
            id=provider.id,
            acceptSecrets=True,
            acceptResources=True,
            args=to_struct(provider.inputs, secrets=True),
        )
        await host._call("Configure", request, timeout=60)
        return host

    async def _call(self, method: str, request: Any, timeout: float | None = None) -> Any:
        try:
            return await getattr(self._stub, method)(request, timeout=timeout)
        except grpc.aio.AioRpcError as error:
            raise StepError(error.details() or f"the provider host answered {error.code().name}") from error

    async def check(self, urn: str, olds: Properties, news: Properties, *, unknowns: bool) -> tuple[Properties, Any]:
        """The checked inputs, and the failures."""
        news = news if unknowns else known(news)
        request = provider_pb2.CheckRequest(**_naming(urn), olds=to_struct(olds), news=to_struct(news))
        response = await self._call("Check", request)
        return keep_secrets(from_struct(response.inputs), news), response.failures

    async def diff(self, old: Resource, news: Properties, *, unknowns: bool = True) -> bool:
        """Whether the new inputs change anything."""
        news = news if unknowns else known(news)
        request = provider_pb2.DiffRequest(**_sent(old, "olds"), news=to_struct(news))
        response = await self._call("Diff", request)
        if response.replaces:
            raise StepError(str(Unsupported("a difference that replaces the resource", old.urn)))
        return bool(_CHANGES.get(response.changes, plain(old.inputs) != plain(news)))

    async def create(self, new: Resource) -> tuple[str, Properties]:
        """The new resource's id and outputs."""
        request = provider_pb2.CreateRequest(**_naming(new.urn), properties=to_struct(new.inputs))
        response = await self._call("Create", request)
        if not response.id:
            raise StepError("provider did not return an ID from Create")
        return response.id, keep_secrets(from_struct(response.properties), new.inputs)

    async def read(self, old: Resource) -> tuple[str, Properties, Properties]:
        """The resource's current id (empty when it is gone), outputs and inputs."""
        request = provider_pb2.ReadRequest(
            **_naming(old.urn), id=old.id, properties=to_struct(old.outputs), inputs=to_struct(old.inputs)
        )
        response = await self._call("Read", request)
        inputs = keep_secrets(from_struct(response.inputs), old.inputs) if response.HasField("inputs") else old.inputs
        return response.id, keep_secrets(from_struct(response.properties), old.outputs), inputs

    async def update(self, old: Resource, new: Resource) -> Properties:
        """The outputs after the change."""
        request = provider_pb2.UpdateRequest(**{**_sent(old, "olds"), **_naming(new.urn)}, news=to_struct(new.inputs))
        return keep_secrets(from_struct((await self._call("Update", request)).properties), new.inputs)

    async def delete(self, old: Resource) -> None:
        """Delete the resource."""
        await self._call("Delete", provider_pb2.DeleteRequest(**_sent(old, "properties")))

    async def close(self) -> None:
        """End the host."""
        await self._channel.close(None)
        await self._child.stop()


def _naming(urn: str) -> dict[str, Any]:
    _, _, kinds, name = urn.split("::", 3)
    return {"urn": urn, "name": name, "type": kinds.rpartition("$")[2]}


def _sent(old: Resource, outputs: str) -> dict[str, Any]:
    return {**_naming(old.urn), "id": old.id, outputs: to_struct(old.outputs), "old_inputs": to_struct(old.inputs)}
