"""Pulumi's messages and gRPC stubs, without the SDK around them.

Importing `pulumi.runtime.proto` runs the whole SDK (0.6 s, against 0.02 s for its generated modules), because Python
first imports the packages above it. For the length of these imports the packages stand empty, and are as if never
imported afterwards: a real `import pulumi` in the same process still gets the SDK, with these very modules in it.
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
