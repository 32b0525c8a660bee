"""Pulumi's messages and gRPC stubs, without the rest of the SDK.

Importing `pulumi.runtime.proto` normally loads the whole SDK (0.6 s, compared with 0.02 s for its generated modules),
because Python imports the parent packages first. Empty packages replace these during the imports below and are removed
afterwards, so that a later `import pulumi` in the same process still loads the SDK, with these modules in it.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType

_PACKAGES = ("pulumi", "pulumi.runtime", "pulumi.runtime.proto")


@contextmanager
def _without_sdk() -> Iterator[None]:
    if "pulumi" in sys.modules:
        yield
        return
    spec = find_spec("pulumi")
    if spec is None or not spec.submodule_search_locations:
        sys.exit("The Pulumi plugin needs the Pulumi SDK for Python. Run: pip install 'keyfactor-provider[plugin]'")
    folder = Path(spec.submodule_search_locations[0])
    for name in _PACKAGES:
        package = ModuleType(name)
        package.__path__ = [str(folder.joinpath(*name.split(".")[1:]))]
        sys.modules[name] = package
    try:
        yield
    finally:
        for name in _PACKAGES:
            del sys.modules[name]


with _without_sdk():
    from pulumi.runtime.proto import (
        engine_pb2,
        engine_pb2_grpc,
        plugin_pb2,
        provider_pb2,
        provider_pb2_grpc,
        status_pb2,
    )

__all__ = ["engine_pb2", "engine_pb2_grpc", "plugin_pb2", "provider_pb2", "provider_pb2_grpc", "status_pb2"]
