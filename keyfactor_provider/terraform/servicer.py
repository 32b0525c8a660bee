"""Terraform's calls: what `tf` serves, and what it lacks.

`tf` 1.2.0 plans no creation and no destruction, has no private data between plan and apply, and turns an
exception into a broken connection. All that reads values is served here; schemas and the rest stay with `tf`.
"""

import functools
import json
from collections.abc import Callable, Mapping
from typing import Any, cast

from tf.gen import tfplugin_pb2 as pb
from tf.provider import ProviderServicer
from tf.schema import Attribute
from tf.utils import Diagnostics

from keyfactor_provider.errors import ProviderError
from keyfactor_provider.terraform.calls import Call, DataSource, Resource
from keyfactor_provider.terraform.diagnostics import add_error
from keyfactor_provider.terraform.fleetstate import upgraded
from keyfactor_provider.terraform.logs import LOG
from keyfactor_provider.terraform.provider import CommandProvider
from keyfactor_provider.terraform.values import nulls, read, read_json, written


def _answering(response: Any) -> Callable[[Any], Any]:
    """Gives a call its diagnostics; what it raises becomes one of them."""

    def decorate(serve: Any) -> Any:
        @functools.wraps(serve)
        def wrapper(self: Any, request: Any, _context: Any) -> Any:
            diagnostics = Diagnostics()
            try:
                fields = serve(self, request, diagnostics) or {}
            except ProviderError as error:
                add_error(diagnostics, error)
                fields = {}
            except Exception as error:
                LOG.exception("%s failed", serve.__name__)
                diagnostics.add_error(
                    "The provider has a defect",
                    f"{serve.__name__} ended with {type(error).__name__}. Run again with TF_LOG=error for its "
                    "traceback, and report it.",
                )
                fields = {}
            return response(diagnostics=diagnostics.to_pb(), **fields)

        return wrapper

    return decorate


class Servicer(ProviderServicer):
    """The provider over plugin protocol 6."""

    def __init__(self, provider: CommandProvider) -> None:
        super().__init__(provider)
        self._provider = provider

    def GetProviderSchema(self, request: Any, context: Any) -> Any:  # noqa: N802  # gRPC names its methods
        """As `tf` has it, and that destructions are planned too."""
        response = super().GetProviderSchema(request, context)
        response.server_capabilities.plan_destroy = True
        response.server_capabilities.get_provider_schema_optional = True
        return response

    @_answering(pb.ValidateProviderConfig.Response)
    def ValidateProviderConfig(self, request: Any, diagnostics: Diagnostics) -> None:  # noqa: N802
        """Looks at the provider block."""
        self._provider.validate_config(diagnostics, self._provider_block(request))

    @_answering(pb.ConfigureProvider.Response)
    def ConfigureProvider(self, request: Any, diagnostics: Diagnostics) -> None:  # noqa: N802
        """Takes the provider block."""
        self._provider.configure_provider(diagnostics, self._provider_block(request))

    @_answering(pb.ValidateResourceConfig.Response)
    def ValidateResourceConfig(self, request: Any, diagnostics: Diagnostics) -> None:  # noqa: N802
        """Looks at a resource's block."""
        attributes = self._get_res_attrs(request.type_name)
        _validate(self._resource(request), diagnostics, read(request.config, attributes), attributes)

    @_answering(pb.ValidateDataResourceConfig.Response)
    def ValidateDataResourceConfig(self, request: Any, diagnostics: Diagnostics) -> None:  # noqa: N802
        """Looks at a data source's block."""
        attributes = self._data_source_attributes(request)
        _validate(self._data_source(request), diagnostics, read(request.config, attributes), attributes)

    @_answering(pb.UpgradeResourceState.Response)
    def UpgradeResourceState(self, request: Any, diagnostics: Diagnostics) -> dict[str, Any]:  # noqa: N802
        """Brings recorded state to this version's schema; called whenever state is read."""
        kind = self._get_res_cls(request.type_name)
        state = read_json(request.raw_state.json)
        newest = kind.get_schema().version
        if request.version > newest:
            diagnostics.add_error(
                "State of a newer version of the provider",
                f"It has version {request.version}, and this release reads up to {newest}. "
                "Use the release that wrote it, or a newer one.",
            )
            return {}
        known = self._get_res_attrs(request.type_name)
        state = upgraded(state, request.version)
        return {"upgraded_state": written({name: state.get(name) for name in known})}

    @_answering(pb.ReadResource.Response)
    def ReadResource(self, request: Any, diagnostics: Diagnostics) -> dict[str, Any]:  # noqa: N802
        """Reads a resource; where that fails, its state stands as it was."""
        state, call = read(request.current_state, self._get_res_attrs(request.type_name)), Call(diagnostics)
        try:
            state = self._resource(request).read(call, state)
        except ProviderError as error:
            add_error(diagnostics, error)
        return {"new_state": written(state), "private": request.private}

    @_answering(pb.PlanResourceChange.Response)
    def PlanResourceChange(self, request: Any, diagnostics: Diagnostics) -> dict[str, Any]:  # noqa: N802
        """Plans a creation, an update or a destruction."""
        attributes = self._get_res_attrs(request.type_name)
        prior, config = read(request.prior_state, attributes), read(request.config, attributes)
        call = Call(diagnostics, _private(request.prior_private))
        planned = self._resource(request).plan(call, prior, config)
        return {
            "planned_state": written(planned.state),
            "planned_private": json.dumps(dict(planned.private)).encode(),
        }

    @_answering(pb.ApplyResourceChange.Response)
    def ApplyResourceChange(self, request: Any, diagnostics: Diagnostics) -> dict[str, Any]:  # noqa: N802
        """Creates, updates or destroys; what stands afterwards is the answer, whatever failed."""
        attributes = self._get_res_attrs(request.type_name)
        prior, planned = read(request.prior_state, attributes), read(request.planned_state, attributes)
        resource, call = self._resource(request), Call(diagnostics, _private(request.planned_private))
        try:
            if planned is None:
                resource.delete(call, prior)
                state = prior if diagnostics.has_errors() else None
            elif prior is None:
                state = resource.create(call, planned)
            else:
                state = resource.update(call, prior, planned)
        except ProviderError as error:
            add_error(diagnostics, error)
            state = prior
        return {"new_state": written(state)}

    @_answering(pb.ImportResourceState.Response)
    def ImportResourceState(self, request: Any, diagnostics: Diagnostics) -> dict[str, Any]:  # noqa: N802
        """Takes over what is there."""
        state = self._resource(request).import_(Call(diagnostics), request.id)
        if state is None:
            return {}
        made = pb.ImportResourceState.ImportedResource(type_name=request.type_name, state=written(state))
        return {"imported_resources": [made]}

    @_answering(pb.ReadDataSource.Response)
    def ReadDataSource(self, request: Any, diagnostics: Diagnostics) -> dict[str, Any]:  # noqa: N802
        """Reads a data source."""
        config = read(request.config, self._data_source_attributes(request))
        return {"state": written(self._data_source(request).read(Call(diagnostics), config))}

    def StopProvider(self, _request: Any, _context: Any) -> Any:  # noqa: N802
        """What waits ends soon; what posts ends by itself, with its state."""
        self.stop()
        return pb.StopProvider.Response()

    def stop(self) -> None:
        """Ends what only waits."""
        self._provider.shared.stop()

    def _resource(self, request: Any) -> Resource:
        return self._provider.resource(cast(type[Resource], self._get_res_cls(request.type_name)))

    def _data_source(self, request: Any) -> DataSource:
        return self._provider.data_source(cast(type[DataSource], self._get_ds_cls(request.type_name)))

    def _provider_block(self, request: Any) -> dict[str, Any]:
        schema = self._provider.get_provider_schema(Diagnostics())
        return read(request.config, _by_name(schema.attributes)) or {}

    def _data_source_attributes(self, request: Any) -> Mapping[str, Attribute]:
        return _by_name(self._get_ds_cls(request.type_name).get_schema().attributes)


def _by_name(attributes: list[Attribute]) -> dict[str, Attribute]:
    return {attribute.name: attribute for attribute in attributes}


def _validate(
    kind: Resource | DataSource, diagnostics: Diagnostics, config: dict[str, Any], attributes: Mapping[str, Attribute]
) -> None:
    """Refuses null elements here, for every resource alike, and leaves the rest to the resource."""
    for path in nulls(config, attributes):
        attribute, *keys = path
        place = "".join(f"[{json.dumps(key[0])}]" for key in keys if isinstance(key, tuple))
        diagnostics.add_error(
            f"Wrong value for {attribute}",
            f"{attribute}{place} is null; give it a value or leave it out."
            if place
            else f"{attribute} has a null element; give it a value or leave it out.",
            path=path,
        )
    if not diagnostics.has_errors():
        kind.validate(diagnostics, config)


def _private(data: bytes) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(data) if data else {}
    return found
