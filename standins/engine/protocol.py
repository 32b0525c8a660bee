"""The SDK's generated gRPC modules, loaded without the SDK around them.

Importing `pulumi` costs about 0.2 s (grpc itself 0.1 s), and every run of the engine would pay it a third
time, after the program and the provider host. The generated modules import only one another, so they are
loaded here from the installed SDK under a package name of their own.
"""

import importlib
import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pulumi.runtime.proto import (
        alias_pb2,
        callback_pb2,
        callback_pb2_grpc,
        engine_pb2,
        engine_pb2_grpc,
        provider_pb2,
        provider_pb2_grpc,
        resource_pb2,
        resource_pb2_grpc,
    )
else:
    _PACKAGE = "_pulumi_protocol"

    def _load(name: str) -> ModuleType:
        if _PACKAGE not in sys.modules:
            spec = importlib.util.find_spec("pulumi")
            if spec is None or spec.origin is None:
                raise ImportError(
                    "the engine stand-in cannot load the Pulumi protocol: no package pulumi in"
                    f" {sys.executable}; install it (pip install pulumi) and run again"
                )
            package = ModuleType(_PACKAGE)
            package.__path__ = [str(Path(spec.origin).parent / "runtime" / "proto")]
            sys.modules[_PACKAGE] = package
        return importlib.import_module(f"{_PACKAGE}.{name}")

    alias_pb2 = _load("alias_pb2")
    callback_pb2 = _load("callback_pb2")
    callback_pb2_grpc = _load("callback_pb2_grpc")
    engine_pb2 = _load("engine_pb2")
    engine_pb2_grpc = _load("engine_pb2_grpc")
    provider_pb2 = _load("provider_pb2")
    provider_pb2_grpc = _load("provider_pb2_grpc")
    resource_pb2 = _load("resource_pb2")
    resource_pb2_grpc = _load("resource_pb2_grpc")

__all__ = [
    "CHANNEL_OPTIONS",
    "alias_pb2",
    "callback_pb2",
    "callback_pb2_grpc",
    "engine_pb2",
    "engine_pb2_grpc",
    "provider_pb2",
    "provider_pb2_grpc",
    "resource_pb2",
    "resource_pb2_grpc",
]

CHANNEL_OPTIONS = [
    ("grpc.max_receive_message_length", 400 * 1024 * 1024),
    ("grpc.max_send_message_length", 400 * 1024 * 1024),
]
"""As large as the SDK's own limit (`pulumi/runtime/_grpc_settings.py`), in bytes."""
