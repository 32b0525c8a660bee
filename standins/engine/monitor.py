"""The two services that the program and the provider host call: ResourceMonitor and Engine.

Whatever a registration carries that this stand-in does not do is refused here, by name. Fields and answers:
`proto/pulumi/resource.proto`, `pkg/resource/deploy/source_eval.go`, `proto/pulumi/engine.proto`.
"""

import asyncio
from collections.abc import Mapping
from typing import Any

import grpc
import grpc.aio
from google.protobuf.empty_pb2 import Empty

from standins.engine.deployment import Deployment, HaltedError, Registered
from standins.engine.errors import EngineError, UnsupportedError
from standins.engine.hooks import KINDS, in_state
from standins.engine.planner import Goal
from standins.engine.protocol import (
    CHANNEL_OPTIONS,
    engine_pb2,
    engine_pb2_grpc,
    resource_pb2,
    resource_pb2_grpc,
)
from standins.engine.state import VERSION
from standins.engine.values import Secret, UnsupportedValueError, from_struct, to_struct
from standins.engine.versions import satisfies

_FEATURES = (
    resource_pb2.RESOURCE_MONITOR_FEATURE_SECRETS,
    resource_pb2.RESOURCE_MONITOR_FEATURE_ALIAS_SPECS,
    resource_pb2.RESOURCE_MONITOR_FEATURE_RESOURCE_HOOKS,
    resource_pb2.RESOURCE_MONITOR_FEATURE_SENDS_OPTIONS_TO_HOOKS,
)
_FEATURE_NAMES = {"secrets", "aliasSpecs", "resourceHooks"}
_REFUSED = {
    "importId": "the resource option import_",
    "customTimeouts": "the resource option custom_timeouts",
    "replaceOnChanges": "the resource option replace_on_changes",
    "deletedWith": "the resource option deleted_with",
    "replace_with": "the resource option replace_with",
    "replacement_trigger": "the resource option replacement_trigger",
    "transforms": "the resource option transforms",
    "state_migrations": "the resource option state_migrations",
    "hideDiffs": "the resource option hide_diffs",
    "envVarMappings": "the resource option env_var_mappings",
    "provider": "the resource option provider (an explicit provider)",
    "providers": "the resource option providers (explicit providers)",
    "version": "the resource option version",
    "pluginDownloadURL": "the resource option plugin_download_url",
    "pluginChecksums": "plugin checksums",
    "packageRef": "a resource of a parameterized package",
    "remote": "a component of another package",
    "aliasURNs": "an alias of an old SDK",
}
_RESULTS = {
    "success": resource_pb2.SUCCESS,
    "fail": resource_pb2.FAIL,
    "skip": resource_pb2.FAIL,  # the SDK tells only success from all else
}


class Monitor(resource_pb2_grpc.ResourceMonitorServicer):
    """What the program calls.

    Args:
        deployment: the run.
        config: the stack's values.
    """

    def __init__(self, deployment: Deployment, config: Mapping[str, str | Secret]) -> None:
        self._deployment = deployment
        self._config = config
        self.signalled = asyncio.Event()
        self.over = asyncio.Event()

    async def GetDeploymentInfo(self, _: Any, __: Any) -> Any:  # noqa: N802  # the protocol's name
        """What this run is and what the monitor can do."""
        deployment = self._deployment
        return resource_pb2.DeploymentInfo(
            project=deployment.project,
            stack=deployment.stack,
            organization="organization",
            config={key: _plain(value) for key, value in self._config.items()},
            configSecretKeys=[key for key, value in self._config.items() if isinstance(value, Secret)],
            dryRun=deployment.options.preview,
            parallel=deployment.options.parallel,
            supportedFeatures=_FEATURES,
        )

    async def SupportsFeature(self, request: Any, _: Any) -> Any:  # noqa: N802
        """Whether a feature, asked for by its old name, is there."""
        return resource_pb2.SupportsFeatureResponse(hasSupport=request.id in _FEATURE_NAMES)

    async def RegisterResource(self, request: Any, context: Any) -> Any:  # noqa: N802
        """Bring one resource to what the program wants."""
        try:
            registered = await self._deployment.register(goal_of(request))
        except HaltedError:
            await context.abort(
                grpc.StatusCode.UNAVAILABLE, "the run is ending: no new resource is registered"
            )
            raise
        except (UnsupportedError, UnsupportedValueError) as error:
            await self._refuse(str(error), context)
            raise
        return self._answer(request, registered)

    @staticmethod
    def _answer(request: Any, registered: Registered) -> Any:
        state = registered.state
        outputs = state.outputs if request.custom else {}
        return resource_pb2.RegisterResourceResponse(
            urn=state.urn,
            id=state.id,
            object=to_struct(outputs, secrets=request.acceptSecrets),
            result=_RESULTS[registered.result],
            unknown=registered.unknown,
        )

    async def RegisterResourceOutputs(self, request: Any, context: Any) -> Any:  # noqa: N802
        """Record what a component gives out."""
        try:
            await self._deployment.register_outputs(request.urn, from_struct(request.outputs))
        except UnsupportedValueError as error:
            await self._refuse(str(error), context)
        except ValueError as error:
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, str(error))
        return Empty()

    async def RegisterResourceHook(self, request: Any, context: Any) -> Any:  # noqa: N802
        """Remember a hook of the program."""
        try:
            self._deployment.hooks.register(request)
        except ValueError as error:
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, str(error))
        return Empty()

    async def SignalAndWaitForShutdown(self, _: Any, __: Any) -> Any:  # noqa: N802
        """The program has registered all it wants; it stays for its hooks until the run is over."""
        self.signalled.set()
        await self.over.wait()
        return Empty()

    async def _refuse(self, message: str, context: Any) -> None:
        deployment = self._deployment
        if not deployment.halted:
            deployment.failed = True
            deployment.halt()
            deployment.display.diagnostic("error", message)
        await context.abort(grpc.StatusCode.UNAVAILABLE, message)

    async def _unsupported(self, what: str, on: str, context: Any) -> Any:
        await self._refuse(str(UnsupportedError(what, on)), context)

    async def Invoke(self, request: Any, context: Any) -> Any:  # noqa: N802
        """Refused."""
        return await self._unsupported("an invoke", request.tok, context)

    async def Call(self, request: Any, context: Any) -> Any:  # noqa: N802
        """Refused."""
        return await self._unsupported("a call of a method", request.tok, context)

    async def ReadResource(self, request: Any, context: Any) -> Any:  # noqa: N802
        """Refused."""
        return await self._unsupported("reading an existing resource (get)", request.name, context)

    async def RegisterStackTransform(self, _: Any, context: Any) -> Any:  # noqa: N802
        """Refused."""
        return await self._unsupported("a transform of all resources", "the stack", context)

    async def RegisterStackInvokeTransform(self, _: Any, context: Any) -> Any:  # noqa: N802
        """Refused."""
        return await self._unsupported("a transform of invokes", "the stack", context)

    async def RegisterErrorHook(self, request: Any, context: Any) -> Any:  # noqa: N802
        """Refused."""
        return await self._unsupported("an error hook", request.name, context)

    async def RegisterPackage(self, request: Any, context: Any) -> Any:  # noqa: N802
        """Refused."""
        return await self._unsupported("a package", request.name, context)


def _plain(value: str | Secret) -> str:
    return str(value.value) if isinstance(value, Secret) else value


def goal_of(request: Any) -> Goal:
    """What a registration asks for.

    Raises:
        UnsupportedError: it carries an option that this stand-in does not do; named.
        UnsupportedValueError: a property is of a kind that it does not carry.
    """
    for descriptor, _ in request.ListFields():
        if descriptor.name in _REFUSED:
            raise UnsupportedError(
                _REFUSED[descriptor.name], f"resource {request.name!r} of type {request.type}"
            )
    if request.custom and not request.type.startswith("pulumi-python:dynamic"):
        raise UnsupportedError(
            "a resource that is not a dynamic resource of Python",
            f"resource {request.name!r} of type {request.type}",
        )
    if request.hooks.on_error:
        raise UnsupportedError("an error hook", f"resource {request.name!r}")
    for path in request.ignoreChanges:
        if not path.isidentifier():
            raise UnsupportedError(f"ignore_changes of the path {path!r} (property names only)", request.name)
    hooks = {in_state(kind): list(getattr(request.hooks, kind)) for kind in KINDS}
    return Goal(
        type=request.type,
        name=request.name,
        custom=request.custom,
        inputs=from_struct(request.object),
        parent=request.parent,
        dependencies=sorted(request.dependencies),
        property_dependencies={
            key: sorted(value.urns) for key, value in request.propertyDependencies.items()
        },
        protect=request.protect,
        ignore_changes=list(request.ignoreChanges),
        additional_secret_outputs=list(request.additionalSecretOutputs),
        retain_on_delete=request.retainOnDelete,
        delete_before_replace=request.deleteBeforeReplace if request.deleteBeforeReplaceDefined else None,
        aliases=list(request.aliases),
        hooks={kind: names for kind, names in hooks.items() if names},
    )


class EngineService(engine_pb2_grpc.EngineServicer):
    """What the program and the provider host call for messages.

    Args:
        deployment: the run.
    """

    def __init__(self, deployment: Deployment) -> None:
        self._deployment = deployment
        self._root = ""

    async def Log(self, request: Any, _: Any) -> Any:  # noqa: N802
        """Show a message; an error fails the run's display but stops no step."""
        severity = engine_pb2.LogSeverity.Name(request.severity).lower()
        display = self._deployment.display
        if request.ephemeral:
            if severity != "debug":
                display.ephemeral(request.message, request.urn)
        else:
            display.diagnostic(severity, request.message, request.urn)
        return Empty()

    async def GetRootResource(self, _: Any, __: Any) -> Any:  # noqa: N802
        """The stack's URN, once set."""
        return engine_pb2.GetRootResourceResponse(urn=self._root)

    async def SetRootResource(self, request: Any, _: Any) -> Any:  # noqa: N802
        """Set the stack's URN."""
        self._root = request.urn
        return engine_pb2.SetRootResourceResponse()

    async def RequirePulumiVersion(self, request: Any, context: Any) -> Any:  # noqa: N802
        """Compare the version that this engine follows with the program's range."""
        wanted = request.pulumi_version_range
        try:
            fits = satisfies(VERSION, wanted)
        except EngineError as error:
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, str(error))
        if not fits:
            await context.abort(
                grpc.StatusCode.FAILED_PRECONDITION,
                f"Pulumi CLI version {VERSION.removeprefix('v')} does not satisfy the version range {wanted!r}",
            )
        return engine_pb2.RequirePulumiVersionResponse()


async def serve(monitor: Monitor, engine: EngineService) -> tuple[grpc.aio.Server, str]:
    """Serve both on a free loopback port; the server and its address."""
    server = grpc.aio.server(options=CHANNEL_OPTIONS)
    resource_pb2_grpc.add_ResourceMonitorServicer_to_server(monitor, server)
    engine_pb2_grpc.add_EngineServicer_to_server(engine, server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    return server, f"127.0.0.1:{port}"
