"""The two services that the program and the provider host call: ResourceMonitor and Engine.

Everything in a registration that this stand-in does not support is refused here, by name.
"""

import asyncio
import re
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, NoReturn

import grpc
import grpc.aio
from google.protobuf.empty_pb2 import Empty

from keyfactor_standins.engine.config import require_version
from keyfactor_standins.engine.display import Display
from keyfactor_standins.engine.errors import EngineError, Unsupported
from keyfactor_standins.engine.executor import PARALLEL, Executor
from keyfactor_standins.engine.hooks import KINDS, in_state
from keyfactor_standins.engine.planner import Goal, Resource
from keyfactor_standins.engine.wire import (
    CHANNEL_OPTIONS,
    Secret,
    engine_pb2,
    engine_pb2_grpc,
    from_struct,
    plain,
    resource_pb2,
    resource_pb2_grpc,
    to_struct,
)

# More than is supported: the SDK then sends the option, and it is refused here with a message of this stand-in.
_FEATURES = [
    number
    for name, number in resource_pb2.ResourceMonitorFeature.items()
    if not name.endswith(("UNSPECIFIED", "OUTPUT_VALUES", "SENDS_OPTIONS_TO_HOOKS"))
]
_SUPPORTED = {
    *("type", "name", "parent", "custom", "object", "dependencies", "propertyDependencies", "acceptSecrets"),
    *("deleteBeforeReplace", "deleteBeforeReplaceDefined", "additionalSecretOutputs", "aliases", "hooks"),
    *("supportsPartialValues", "acceptResources", "supportsResultReporting", "aliasSpecs"),
    *("sourcePosition", "stackTrace", "parentStackTraceHandle", "accepts_byte_string"),
}
_REFUSED_CALLS = {
    "Invoke": "an invoke",
    "Call": "a call of a method",
    "ReadResource": "reading an existing resource (get)",
    "RegisterStackTransform": "a transform of all resources",
    "RegisterStackInvokeTransform": "a transform of invokes",
    "RegisterErrorHook": "an error hook",
    "RegisterPackage": "a package",
}


def goal_of(request: Any, urn_of: Callable[[str, str, str], str]) -> Goal:
    """The goal of a registration.

    Raises:
        Unsupported: it uses something that this stand-in does not support.
    """
    where = f"resource {request.name!r} of type {request.type}"
    for descriptor, value in request.ListFields():
        if descriptor.name not in _SUPPORTED and value:
            name = re.sub(r"(?<=[a-z])([A-Z])", r"_\1", descriptor.name).lower().replace("import_id", "import_")
            raise Unsupported(f"the resource option {name}", where)
    if request.custom and not request.type.startswith("pulumi-python:dynamic"):
        raise Unsupported("a resource that is not a dynamic resource of Python", where)
    refused = [kind.name for kind, names in request.hooks.ListFields() if names and kind.name not in KINDS]
    if refused or (request.hooks.ListFields() and not request.custom):
        raise Unsupported(f"the hook {refused[0]}" if refused else "a hook of a component", where)
    if request.aliases and not request.custom:
        raise Unsupported("an alias of a component", where)
    aliases = []
    for alias in request.aliases:
        if any(value and descriptor.name != "name" for descriptor, value in alias.spec.ListFields()):
            raise Unsupported("an alias with more than a name or a URN", where)
        aliases.append((alias.urn, alias.spec.name or request.name))
    hooks = {in_state(kind): list(getattr(request.hooks, kind)) for kind in KINDS}
    new = Resource(
        urn=urn_of(request.parent, request.type, request.name),
        custom=request.custom,
        type=request.type,
        inputs=from_struct(request.object),
        parent=request.parent,
        dependencies=sorted(request.dependencies),
        property_dependencies={key: sorted(value.urns) for key, value in request.propertyDependencies.items()},
        additional_secret_outputs=list(request.additionalSecretOutputs),
        resource_hooks={kind: names for kind, names in hooks.items() if names},
    )
    return Goal(new, aliases, request.deleteBeforeReplace)


class Monitor(resource_pb2_grpc.ResourceMonitorServicer):  # type: ignore[misc]  # the SDK generates it without types
    """The service that the program calls; `signalled` is set once the program has registered everything."""

    def __init__(self, executor: Executor, config: Mapping[str, str | Secret]) -> None:
        self._executor = executor
        self._config = config
        self.signalled = asyncio.Event()
        self.over = asyncio.Event()
        for name, what in _REFUSED_CALLS.items():
            setattr(self, name, self._refusing(what))

    async def GetDeploymentInfo(self, _: Any, __: Any) -> Any:  # noqa: N802  # the protocol's name
        """Describe this run and the monitor's features."""
        executor = self._executor
        return resource_pb2.DeploymentInfo(
            project=executor.project,
            stack=executor.stack,
            organization="organization",
            config={key: str(plain(value)) for key, value in self._config.items()},
            configSecretKeys=[key for key, value in self._config.items() if isinstance(value, Secret)],
            dryRun=executor.options.dry,
            parallel=PARALLEL,
            supportedFeatures=_FEATURES,
        )

    async def SupportsFeature(self, request: Any, _: Any) -> Any:  # noqa: N802
        """Whether a feature is supported, by its legacy name."""
        return resource_pb2.SupportsFeatureResponse(hasSupport=request.id != "outputValues")

    async def RegisterResource(self, request: Any, context: Any) -> Any:  # noqa: N802
        """Bring one resource to its goal."""
        try:
            goal = goal_of(request, self._executor.urn)
        except Unsupported as error:
            await self._refuse(error, context)
        registered = await self._executor.register(goal)
        if registered is None:
            # The program must keep running for the hooks of the steps that are under way.
            await self._executor.idle()
            return await context.abort(
                grpc.StatusCode.UNAVAILABLE, "the run is ending: no more resources are registered"
            )
        state = registered.state
        return resource_pb2.RegisterResourceResponse(
            urn=state.urn,
            id=state.id,
            object=to_struct(state.outputs if state.custom else {}, secrets=request.acceptSecrets),
            result=resource_pb2.SUCCESS if registered.done else resource_pb2.FAIL,
            unknown=registered.unknown,
        )

    async def RegisterResourceOutputs(self, request: Any, context: Any) -> Any:  # noqa: N802
        """Record the outputs of a component or of the stack."""
        try:
            self._executor.register_outputs(request.urn, from_struct(request.outputs))
        except Unsupported as error:
            await self._refuse(error, context)
        except ValueError as error:
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, str(error))
        return Empty()

    async def RegisterResourceHook(self, request: Any, context: Any) -> Any:  # noqa: N802
        """Register a hook of the program."""
        try:
            self._executor.hooks.register(request)
        except Unsupported as error:
            await self._refuse(error, context)
        except ValueError as error:
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, str(error))
        return Empty()

    async def SignalAndWaitForShutdown(self, _: Any, __: Any) -> Any:  # noqa: N802
        """The program has registered everything; it waits here, ready to run its hooks, until the run is over."""
        self.signalled.set()
        await self.over.wait()
        return Empty()

    async def _refuse(self, error: Unsupported, context: Any) -> NoReturn:
        self._executor.fail(str(error), "")
        self._executor.halt()
        await context.abort(grpc.StatusCode.UNAVAILABLE, str(error))
        raise error

    def _refusing(self, what: str) -> Callable[[Any, Any], Awaitable[None]]:
        async def refuse(request: Any, context: Any) -> None:
            on = getattr(request, "tok", "") or getattr(request, "name", "") or "the program"
            await self._refuse(Unsupported(what, on), context)

        return refuse


class Engine(engine_pb2_grpc.EngineServicer):  # type: ignore[misc]  # as above
    """The service that takes the messages of the program and the provider host."""

    def __init__(self, display: Display) -> None:
        self._display = display

    async def Log(self, request: Any, _: Any) -> Any:  # noqa: N802
        """Show a message on its resource or the stack; ephemeral ones, for a progress display, are left out."""
        severity = engine_pb2.LogSeverity.Name(request.severity).lower()
        # How the SDK reports that the run is ending; the step that failed has its own message.
        ending = severity == "error" and request.message.startswith("Resource monitor has terminated")
        if not (ending or request.ephemeral):
            self._display.message(severity, request.message, request.urn)
        return Empty()

    async def SetRootResource(self, _: Any, __: Any) -> Any:  # noqa: N802
        """The engine knows the stack's URN already."""
        return engine_pb2.SetRootResourceResponse()

    async def RequirePulumiVersion(self, request: Any, context: Any) -> Any:  # noqa: N802
        """Check the program's version range against the version that this engine follows."""
        try:
            require_version(request.pulumi_version_range)
        except EngineError as error:
            await context.abort(grpc.StatusCode.FAILED_PRECONDITION, str(error))
        return engine_pb2.RequirePulumiVersionResponse()


async def serve(monitor: Monitor, engine: Engine) -> tuple[grpc.aio.Server, str]:
    """Serve both on a free loopback port; returns the server and its address."""
    server = grpc.aio.server(options=CHANNEL_OPTIONS)
    resource_pb2_grpc.add_ResourceMonitorServicer_to_server(monitor, server)
    engine_pb2_grpc.add_EngineServicer_to_server(engine, server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    return server, f"127.0.0.1:{port}"
