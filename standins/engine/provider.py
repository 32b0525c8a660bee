"""The client of the SDK's dynamic provider host (`python -u -m pulumi.dynamic ENGINE`), one per run.

What goes to the host and how its answers are read follows `sdk/go/common/resource/plugin/provider_plugin.go`:
the host takes no marked secrets, so they are laid open on the way out and marked again by name on the way back.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import grpc
import grpc.aio

from standins.engine.children import Child
from standins.engine.errors import EngineError, ProviderError
from standins.engine.protocol import CHANNEL_OPTIONS, provider_pb2, provider_pb2_grpc
from standins.engine.state import PROVIDER_TYPE, Resource
from standins.engine.values import Properties, from_struct, keep_secrets, to_struct


@dataclass(frozen=True)
class Diff:
    """A provider's verdict on a change.

    Attributes:
        changes: whether there are any; None leaves it to the engine to compare the inputs.
        replaces: the properties that cannot be changed in place.
        delete_before_replace: the old one must go before the new one is made.
    """

    changes: bool | None
    replaces: list[str] = field(default_factory=list)
    delete_before_replace: bool = False


class ProviderHost:
    """Calls to dynamic providers. Every method raises ProviderError with the host's answer where a call fails."""

    def __init__(
        self, child: Child, config: Properties, urn: str, identity: str, say: Callable[[str], None]
    ) -> None:
        self._child = child
        self._say = say
        self._config = config
        self._urn = urn
        self._identity = identity
        self._stub: Any = None
        self._channel: grpc.aio.Channel | None = None
        self._starting: asyncio.Task[None] | None = None

    async def ready(self) -> None:
        """Wait until the host answers and is configured.

        Raises:
            EngineError: it did not start.
        """
        if self._stub is not None:
            return
        if self._starting is None:
            self._starting = asyncio.ensure_future(self._start())
        await self._starting

    async def _start(self) -> None:
        port = await self._child.first_line()
        if not port.isdigit():
            raise EngineError(
                f"the dynamic provider host did not start: it answered {port!r} instead of its port; its own"
                " messages are above; is pulumi installed in the program's virtual environment?"
            )
        self._child.follow(self._say, self._say)
        self._channel = grpc.aio.insecure_channel(f"127.0.0.1:{port}", options=CHANNEL_OPTIONS)
        stub = provider_pb2_grpc.ResourceProviderStub(self._channel)
        request = provider_pb2.ConfigureRequest(
            urn=self._urn,
            name="default",
            type=PROVIDER_TYPE,
            id=self._identity,
            acceptSecrets=True,
            acceptResources=True,
            sends_old_inputs=True,
            sends_old_inputs_to_delete=True,
            args=to_struct(self._config, secrets=True),
        )
        await stub.Configure(request, wait_for_ready=True, timeout=60)
        self._stub = stub

    async def _call(self, method: str, request: Any) -> Any:
        await self.ready()
        try:
            return await getattr(self._stub, method)(request)
        except grpc.aio.AioRpcError as error:
            raise ProviderError(
                error.details() or f"the provider host answered {error.code().name}"
            ) from error

    async def check(
        self, urn: str, olds: Properties, news: Properties
    ) -> tuple[Properties, list[tuple[str, str]]]:
        """The inputs as the provider wants them, and what is wrong with them as (property, reason)."""
        answer = await self._call(
            "Check",
            provider_pb2.CheckRequest(
                urn=urn,
                olds=to_struct(olds, secrets=False),
                news=to_struct(news, secrets=False),
                **_naming(urn),
            ),
        )
        inputs = from_struct(answer.inputs)
        keep_secrets(inputs, news)
        return inputs, [(failure.property, failure.reason) for failure in answer.failures]

    async def diff(
        self, urn: str, identity: str, old_inputs: Properties, old_outputs: Properties, news: Properties
    ) -> Diff:
        """The verdict on going from the old outputs to the new inputs."""
        answer = await self._call(
            "Diff",
            provider_pb2.DiffRequest(
                id=identity,
                urn=urn,
                olds=to_struct(old_outputs, secrets=False),
                news=to_struct(news, secrets=False),
                old_inputs=to_struct(old_inputs, secrets=False),
                **_naming(urn),
            ),
        )
        known = {
            provider_pb2.DiffResponse.DIFF_NONE: False,
            provider_pb2.DiffResponse.DIFF_SOME: True,
        }
        return Diff(known.get(answer.changes), list(answer.replaces), answer.deleteBeforeReplace)

    async def create(self, urn: str, inputs: Properties) -> tuple[str, Properties]:
        """The new resource's id and outputs."""
        answer = await self._call(
            "Create",
            provider_pb2.CreateRequest(urn=urn, properties=to_struct(inputs, secrets=False), **_naming(urn)),
        )
        if not answer.id:
            raise ProviderError(f"plugin returned empty resource.ID from create '{urn}'")
        outputs = from_struct(answer.properties)
        keep_secrets(outputs, inputs)
        return answer.id, outputs

    async def read(self, resource: Resource) -> tuple[str, Properties, Properties | None]:
        """Its present id (empty when it is gone), outputs, and inputs where the provider gives them."""
        answer = await self._call(
            "Read",
            provider_pb2.ReadRequest(
                id=resource.id,
                urn=resource.urn,
                properties=to_struct(resource.outputs, secrets=False),
                inputs=to_struct(resource.inputs, secrets=False),
                **_naming(resource.urn),
            ),
        )
        outputs = from_struct(answer.properties)
        keep_secrets(outputs, resource.outputs)
        inputs = from_struct(answer.inputs) if answer.HasField("inputs") else None
        if inputs is not None:
            keep_secrets(inputs, resource.inputs)
        return answer.id, outputs, inputs

    async def update(self, old: Resource, urn: str, news: Properties) -> Properties:
        """The outputs after the change."""
        answer = await self._call(
            "Update",
            provider_pb2.UpdateRequest(
                id=old.id,
                urn=urn,
                olds=to_struct(old.outputs, secrets=False),
                news=to_struct(news, secrets=False),
                old_inputs=to_struct(old.inputs, secrets=False),
                **_naming(urn),
            ),
        )
        outputs = from_struct(answer.properties)
        keep_secrets(outputs, news)
        return outputs

    async def delete(self, old: Resource) -> None:
        """Take the resource away."""
        await self._call(
            "Delete",
            provider_pb2.DeleteRequest(
                id=old.id,
                urn=old.urn,
                properties=to_struct(old.outputs, secrets=False),
                old_inputs=to_struct(old.inputs, secrets=False),
                **_naming(old.urn),
            ),
        )

    async def close(self) -> None:
        """End the host."""
        if self._channel is not None:
            await self._channel.close(None)
        await self._child.stop(patience=0.0)


def _naming(urn: str) -> dict[str, Any]:
    _, _, kinds, name = urn.split("::", 3)
    return {"name": name, "type": kinds.rpartition("$")[2]}
