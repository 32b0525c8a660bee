"""Serves the engine on a local port, and ends within a second even while a completion waits."""

import os
import signal
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from types import FrameType
from typing import Final

import grpc

from keyfactor_provider.plugin.host import Host
from keyfactor_provider.plugin.protocol import provider_pb2_grpc
from keyfactor_provider.plugin.servicer import Servicer

_OPTIONS: Final = (
    # A fleet of 100,000 exceeds gRPC's default of 4 MiB.
    ("grpc.max_receive_message_length", -1),
    ("grpc.max_send_message_length", -1),
    ("grpc.so_reuseport", 0),
)
_WORKERS: Final = 1000
"""The most threads, started as needed: each waiting completion occupies one, and --parallel has no limit."""
_GRACE: Final = 0.4
"""Seconds for calls in progress once the process should end."""
_LOOKS: Final = 0.2
"""Seconds between checks that the parent still exists."""


def serve(address: str, parent: int, servicer: Callable[[Host], Servicer] = Servicer) -> None:
    """Serves until a signal arrives or the parent ends.

    On return a thread may still be waiting for Command: end the process with `os._exit`, which waits for no thread.

    Args:
        address: of the engine; empty if it will attach later.
        parent: the id of the process that started this one.
        servicer: creates the service.
    """
    host = Host()
    host.attach(address)
    ended = threading.Event()

    def end(_number: int, _frame: FrameType | None) -> None:
        ended.set()

    signal.signal(signal.SIGINT, end)
    signal.signal(signal.SIGTERM, end)
    server = grpc.server(ThreadPoolExecutor(_WORKERS), options=_OPTIONS)
    provider_pb2_grpc.add_ResourceProviderServicer_to_server(servicer(host), server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    print(port, flush=True)
    while not ended.wait(_LOOKS) and os.getppid() == parent:
        pass
    host.stopping.set()
    server.stop(_GRACE).wait(_GRACE)
