"""Serves Terraform's calls where `tf` is not enough.

`tf` 1.2.0 does not plan creations and destructions, passes no private data from plan to apply, and turns an exception
into a broken connection. Every call that reads values is served here; `tf` serves the schemas and the rest.
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
    """Passes diagnostics to a call and adds them to its response; an exception becomes one of them."""

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
    """Serves the provider over plugin protocol 6."""

    def __init__(self, provider: CommandProvider) -> None:
        super().__init__(provider)
        self._provider = provider

    def GetProviderSchema(self, request: Any, context: Any) -> Any:  # noqa: N802  # gRPC names its methods
        """Adds to the response of `tf` that destructions are planned too."""
        response = super().GetProviderSchema(request, context)
        response.server_capabilities.plan_destroy = True
        response.server_capabilities.get_provider_schema_optional = True
        return response

    @_answering(pb.ValidateProviderConfig.Response)
    def ValidateProviderConfig(self, request: Any, diagnostics: Diagnostics) -> None:  # noqa: N802
        """Validates the provider block."""
        self._provider.validate_config(diagnostics, self._provider_block(request))

    @_answering(pb.ConfigureProvider.Response)
    def ConfigureProvider(self, request: Any, diagnostics: Diagnostics) -> None:  # noqa: N802
        """Configures the provider."""
        self._provider.configure_provider(diagnostics, self._provider_block(request))

    @_answering(pb.ValidateResourceConfig.Response)
    def ValidateResourceConfig(self, request: Any, diagnostics: Diagnostics) -> None:  # noqa: N802
        """Validates a resource's block."""
        attributes = self._get_res_attrs(request.type_name)
        _validate(self._resource(request), diagnostics, read(request.config, attributes), attributes)

    @_answering(pb.ValidateDataResourceConfig.Response)
    def ValidateDataResourceConfig(self, request: Any, diagnostics: Diagnostics) -> None:  # noqa: N802
        """Validates a data source's block."""
        attributes = self._data_source_attributes(request)
        _validate(self._data_source(request), diagnostics, read(request.config, attributes), attributes)

    @_answering(pb.UpgradeResourceState.Response)
    def UpgradeResourceState(self, request: Any, diagnostics: Diagnostics) -> dict[str, Any]:  # noqa: N802
        """Upgrades recorded state to the current schema; Terraform calls it whenever it reads state."""
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
        """Refreshes a resource; if that fails, its state is unchanged."""
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
        """Creates, updates or destroys; responds with the resulting state even after a failure."""
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
        """Imports a resource."""
        state = self._resource(request).import_(Call(diagnostics), request.id)
        if state is None:
            return {}
        imported = pb.ImportResourceState.ImportedResource(type_name=request.type_name, state=written(state))
        return {"imported_resources": [imported]}

    @_answering(pb.ReadDataSource.Response)
    def ReadDataSource(self, request: Any, diagnostics: Diagnostics) -> dict[str, Any]:  # noqa: N802
        """Reads a data source."""
        config = read(request.config, self._data_source_attributes(request))
        return {"state": written(self._data_source(request).read(Call(diagnostics), config))}

    def StopProvider(self, _request: Any, _context: Any) -> Any:  # noqa: N802
        """Ends all waits; calls that post still finish and return their state."""
        self.stop()
        return pb.StopProvider.Response()

    def stop(self) -> None:
        """Ends all waits."""
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
    """Refuses null elements, for all resources alike; the resource validates the rest."""
    for path in nulls(config, attributes):
        attribute, *keys = path
        place = "".join(f"[{json.dumps(key[0])}]" for key in keys if isinstance(key, tuple))
        subject = f"{attribute}{place} is null" if place else f"{attribute} has a null element"
        detail = f"{subject}; give it a value or leave it out."
        diagnostics.add_error(f"Invalid value for {attribute}", detail, path=path)
    if not diagnostics.has_errors():
        kind.validate(diagnostics, config)


def _private(data: bytes) -> dict[str, Any]:
    private: dict[str, Any] = json.loads(data) if data else {}
    return private
