"""Serving the engine: a port on this machine, and an end that comes in under a second, also while something waits."""

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
    # A fleet of 100,000 is larger than gRPC's own 4 MiB.
    ("grpc.max_receive_message_length", -1),
    ("grpc.max_send_message_length", -1),
    ("grpc.so_reuseport", 0),
)
_WORKERS: Final = 1000
"""Threads at most, made as they are needed: a completion that waits holds one, and --parallel has no limit."""
_GRACE: Final = 0.4
"""Seconds for what is under way once the process has been told to end."""
_LOOKS: Final = 0.2
"""Seconds between two looks at whether the parent is still there."""


def serve(address: str, parent: int, servicer: Callable[[Host], Servicer] = Servicer) -> None:
    """Serves the engine at this address, if any, until it or somebody else ends this process.

    On return a thread may still be in the middle of a request to Command: end with `os._exit`, which waits for none.

    Args:
        parent: the process that started this one; this one ends with it.
        servicer: makes what is served.
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
