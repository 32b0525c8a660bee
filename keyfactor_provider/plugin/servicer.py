"""The plugin's side of Pulumi's provider protocol; errors reach the engine without a traceback."""

import sys
import traceback
from collections.abc import Callable, Mapping
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import grpc
from google.protobuf import any_pb2, empty_pb2

from keyfactor_provider.errors import InputError, Problem, ProviderError
from keyfactor_provider.plugin.host import Host
from keyfactor_provider.plugin.protocol import plugin_pb2, provider_pb2, provider_pb2_grpc, status_pb2
from keyfactor_provider.plugin.values import read, written
from keyfactor_provider.version import RELEASE

if TYPE_CHECKING:
    from keyfactor_provider.plugin import fleets

_KINDS: Final = provider_pb2.PropertyDiff.Kind
_PACKAGE_FOLDER: Final = Path(__file__).resolve().parents[1]

Method = Callable[["Servicer", Any, Any], Any]


def _answering(method: Method) -> Method:
    """Turns an exception into a gRPC status with a message and no traceback."""

    @wraps(method)
    def wrapper(self: "Servicer", request: Any, context: Any) -> Any:
        try:
            with self.host.about(getattr(request, "urn", "")):
                return method(self, request, context)
        except InputError as error:
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, str(error))
        except ProviderError as error:
            context.abort(grpc.StatusCode.FAILED_PRECONDITION, _unnamed(error, request))
        except grpc.RpcError:
            raise
        except Exception as error:
            if context.code() is not None:
                # This is the exception that an earlier abort raised.
                raise
            context.abort(grpc.StatusCode.INTERNAL, _defect(error))
        raise AssertionError("abort always raises")

    return wrapper


class Servicer(provider_pb2_grpc.ResourceProviderServicer):
    """The provider service."""

    def __init__(self, host: Host) -> None:
        self.host = host
        self._resources: Mapping[str, Any] = {}

    # The handshake.

    def Handshake(self, request: Any, context: Any) -> Any:  # noqa: ARG002, N802  # gRPC names its methods
        """Connects to the engine, and exchanges capabilities."""
        self.host.attach(request.engine_address)
        self.host.reads_first = request.supports_refresh_before_update
        return provider_pb2.ProviderHandshakeResponse(accept_secrets=True)

    def Attach(self, request: Any, context: Any) -> Any:  # noqa: ARG002, N802
        """Connects to an engine that did not start this plugin."""
        self.host.attach(request.address)
        return empty_pb2.Empty()

    def GetPluginInfo(self, request: Any, context: Any) -> Any:  # noqa: ARG002, N802
        """The version of the plugin."""
        return plugin_pb2.PluginInfo(version=RELEASE)

    @_answering
    def GetSchema(self, request: Any, context: Any) -> Any:  # noqa: N802
        """The package's schema."""
        if request.subpackage_name:
            context.abort(grpc.StatusCode.UNIMPLEMENTED, "the package keyfactor takes no parameters")
        from keyfactor_provider.plugin.schema import schema

        return provider_pb2.GetSchemaResponse(schema=schema())

    # The provider's own settings.

    @_answering
    def CheckConfig(self, request: Any, context: Any) -> Any:  # noqa: ARG002, N802
        """Accepts every setting; errors are reported with the first resource that needs the settings."""
        return provider_pb2.CheckResponse(inputs=request.news)

    @_answering
    def DiffConfig(self, request: Any, context: Any) -> Any:  # noqa: ARG002, N802
        """Whether settings have changed; that never replaces a resource."""
        changed = read(request.old_inputs).values != read(request.news).values
        changes = provider_pb2.DiffResponse.DIFF_SOME if changed else provider_pb2.DiffResponse.DIFF_NONE
        return provider_pb2.DiffResponse(changes=changes)

    @_answering
    def Configure(self, request: Any, context: Any) -> Any:  # noqa: ARG002, N802
        """Stores the settings."""
        self.host.configure(read(request.args))
        return provider_pb2.ConfigureResponse(acceptSecrets=True, supportsPreview=True)

    # Resources.

    @_answering
    def Check(self, request: Any, context: Any) -> Any:  # noqa: N802
        """The canonical inputs, and the problems with them."""
        kind, call = self._resource(request, context)
        checked, problems = kind.check(call, read(request.news))
        return provider_pb2.CheckResponse(
            inputs=written(checked.values, checked.secret), failures=[_failure(problem) for problem in problems]
        )

    @_answering
    def Diff(self, request: Any, context: Any) -> Any:  # noqa: N802
        """Whether there is anything to do, and what a preview shows of it."""
        kind, call = self._resource(request, context)
        changes, shown = kind.diff(call, read(request.old_inputs), read(request.olds), read(request.news))
        answer = provider_pb2.DiffResponse(
            changes=provider_pb2.DiffResponse.DIFF_SOME if changes else provider_pb2.DiffResponse.DIFF_NONE,
            hasDetailedDiff=True,
        )
        for path, (change, is_input) in shown.items() if changes else ():
            answer.detailedDiff[path].kind = _KINDS.Value(change)
            answer.detailedDiff[path].inputDiff = is_input
            answer.diffs.append(path.partition("[")[0])
        return answer

    @_answering
    def Create(self, request: Any, context: Any) -> Any:  # noqa: N802
        """Creates a resource, or previews that."""
        kind, call = self._resource(request, context)
        news = read(request.properties)
        result = kind.preview(call, None, news) if request.preview else kind.create(call, news)
        self._abort_if_failed(result, request.properties, context)
        return provider_pb2.CreateResponse(
            id=result.id,
            properties=written(result.outputs, result.secret),
            refresh_before_update=result.reads_first,
        )

    @_answering
    def Update(self, request: Any, context: Any) -> Any:  # noqa: N802
        """Updates a resource, or previews that."""
        kind, call = self._resource(request, context)
        outputs, news = read(request.olds), read(request.news)
        result = kind.preview(call, outputs, news) if request.preview else kind.update(call, outputs, news)
        self._abort_if_failed(result, request.news, context)
        return provider_pb2.UpdateResponse(
            properties=written(result.outputs, result.secret), refresh_before_update=result.reads_first
        )

    @_answering
    def Read(self, request: Any, context: Any) -> Any:  # noqa: N802
        """Reads a resource, or imports one."""
        kind, call = self._resource(request, context)
        result = kind.read(call, read(request.properties), read(request.inputs))
        return provider_pb2.ReadResponse(
            id=result.id,
            properties=written(result.outputs, result.secret),
            inputs=written(result.inputs or {}, result.secret),
            refresh_before_update=result.reads_first,
        )

    @_answering
    def Delete(self, request: Any, context: Any) -> Any:  # noqa: N802
        """Deletes a resource."""
        kind, call = self._resource(request, context)
        kind.delete(call, read(request.properties))
        return empty_pb2.Empty()

    @_answering
    def Invoke(self, request: Any, context: Any) -> Any:  # noqa: N802
        """Calls a function; its results are secret if any argument is."""
        from keyfactor_provider.plugin.lookups import Lookups

        lookups = Lookups(self.host)
        functions = {
            "keyfactor:index:getOrchestrator": lookups.one,
            "keyfactor:index:getOrchestrators": lookups.many,
        }
        if request.tok not in functions:
            context.abort(grpc.StatusCode.UNIMPLEMENTED, f"the package keyfactor has no function {request.tok}")
        arguments = read(request.args)
        try:
            results = functions[request.tok](arguments.values)
        except InputError as error:
            return provider_pb2.InvokeResponse(failures=[_failure(problem) for problem in error.problems])
        answer = provider_pb2.InvokeResponse()
        # `return` is a keyword of Python.
        getattr(answer, "return").CopyFrom(written(results, results.keys() if arguments.secret else ()))
        return answer

    def Cancel(self, request: Any, context: Any) -> Any:  # noqa: ARG002, N802
        """Ends waits soon; operations that send requests finish, and return their state."""
        self.host.stopping.set()
        return empty_pb2.Empty()

    # Methods for features that this package does not have.

    def Parameterize(self, request: Any, context: Any) -> Any:  # noqa: ARG002, N802
        """Not implemented."""
        context.abort(grpc.StatusCode.UNIMPLEMENTED, "the package keyfactor takes no parameters")

    def Construct(self, request: Any, context: Any) -> Any:  # noqa: N802
        """Not implemented."""
        context.abort(grpc.StatusCode.UNIMPLEMENTED, f"the package keyfactor has no component {request.type}")

    def Call(self, request: Any, context: Any) -> Any:  # noqa: N802
        """Not implemented."""
        context.abort(grpc.StatusCode.UNIMPLEMENTED, f"the package keyfactor has no method {request.tok}")

    def List(self, request: Any, context: Any) -> Any:  # noqa: ARG002, N802
        """Not implemented."""
        context.abort(
            grpc.StatusCode.UNIMPLEMENTED,
            "the package keyfactor lists no resources; use its function getOrchestrators",
        )

    def GetMapping(self, request: Any, context: Any) -> Any:  # noqa: ARG002, N802
        """Not implemented: the package is not a bridge to a provider of another ecosystem."""
        context.abort(grpc.StatusCode.UNIMPLEMENTED, "the package keyfactor has no mapping")

    def GetMappings(self, request: Any, context: Any) -> Any:  # noqa: ARG002, N802
        """Not implemented, like `GetMapping`."""
        context.abort(grpc.StatusCode.UNIMPLEMENTED, "the package keyfactor has no mappings")

    def resources(self) -> Mapping[str, Any]:
        """The handlers by type of resource; imported with the first call."""
        from keyfactor_provider.plugin.completions import Completion
        from keyfactor_provider.plugin.fleets import Reenrollment

        return {
            "keyfactor:index:OrchestratorReenrollment": Reenrollment(self.host),
            "keyfactor:index:ReenrollmentCompletion": Completion(self.host),
        }

    def _resource(self, request: Any, context: Any) -> "tuple[Any, fleets.Call]":
        """The handler for the resource of a request, and the context of the call."""
        from keyfactor_provider.plugin.fleets import Call

        kind = request.type or request.urn.split("::")[2].rpartition("$")[2]
        if not self._resources:
            self._resources = self.resources()
        if kind not in self._resources:
            context.abort(grpc.StatusCode.UNIMPLEMENTED, f"the package keyfactor has no resource {kind}")
        name = request.name or request.urn.rpartition("::")[2]
        timeout = getattr(request, "timeout", 0) or None
        return self._resources[kind], Call(request.urn, name, getattr(request, "id", ""), timeout)

    @staticmethod
    def _abort_if_failed(result: "fleets.Result", inputs: Any, context: Any) -> None:
        """Fails the call of a result with a failure, in the way that lets the engine keep the state."""
        if not result.failure:
            return
        detail = any_pb2.Any()
        detail.Pack(
            provider_pb2.ErrorResourceInitFailed(
                id=result.id,
                properties=written(result.outputs, result.secret),
                reasons=[result.failure],
                inputs=inputs,
                refresh_before_update=result.reads_first,
            )
        )
        code = grpc.StatusCode.FAILED_PRECONDITION
        status = status_pb2.Status(code=code.value[0], message=result.failure, details=[detail])
        context.set_trailing_metadata((("grpc-status-details-bin", status.SerializeToString()),))
        context.abort(code, result.failure)


def _failure(problem: Problem) -> Any:
    return provider_pb2.CheckFailure(property=problem.property, reason=problem.reason)


def _unnamed(error: ProviderError, request: Any) -> str:
    """The message, without the resource's name if the engine shows that itself."""
    return str(error).removeprefix(f"{error.resource}: ") if getattr(request, "urn", "") else str(error)


def _defect(error: Exception) -> str:
    """The message for a defect of this project: type and place only, since its text may contain anything."""
    frames = traceback.extract_tb(sys.exc_info()[2])
    ours = [frame for frame in frames if Path(frame.filename).is_relative_to(_PACKAGE_FOLDER)]
    place = f" at {Path(ours[-1].filename).relative_to(_PACKAGE_FOLDER)}:{ours[-1].lineno}" if ours else ""
    return f"{type(error).__name__}{place} in the Keyfactor plugin {RELEASE}. This is a defect; please report it."
