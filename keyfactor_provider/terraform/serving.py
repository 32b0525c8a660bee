"""Serves Terraform: go-plugin's handshake, its certificate, and a shutdown that lets calls in progress finish.

`tf.runner` is not used, because it stops at once on StopProvider and on Ctrl-C, so that an apply that has already
posted would lose its state.
"""

import base64
import os
import re
import signal
import sys
import tempfile
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

import grpc
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from tf.gen import grpc_controller_pb2, grpc_controller_pb2_grpc, grpc_stdio_pb2_grpc, tfplugin_pb2_grpc

if TYPE_CHECKING:
    from keyfactor_provider.terraform.servicer import Servicer

COOKIE: Final = ("TF_PLUGIN_MAGIC_COOKIE", "d602bf8f470bc67ca7faa0386276bbdd4330efaf76d1a219cb4d6991ca9872b2")
"""Tells a plugin that Terraform started it (terraform: internal/plugin/serve.go)."""

_OPTIONS: Final = (
    # A fleet of 100,000 exceeds gRPC's default of 4 MiB.
    ("grpc.max_receive_message_length", -1),
    ("grpc.max_send_message_length", -1),
)
_WORKERS: Final = sys.maxsize
"""Each call in progress has its own thread, so that StopProvider never waits behind waiting completions. Terraform
limits their number (-parallelism)."""
_GRACE: Final = 24 * 3600.0
_LONGEST_ADDRESS: Final = 100
"""Bytes of a socket's path: macOS takes 103, Linux 107 (unix(7): sun_path)."""
_OWN_PART: Final = len("/tf-kf-12345678/plugin.sock")


def server(servicer: "Servicer", ended: Callable[[], None]) -> grpc.Server:
    """A gRPC server with the provider; calls `ended` when Terraform shuts the plugin down."""
    plugin = grpc.server(ThreadPoolExecutor(_WORKERS), options=_OPTIONS)
    tfplugin_pb2_grpc.add_ProviderServicer_to_server(servicer, plugin)
    grpc_controller_pb2_grpc.add_GRPCControllerServicer_to_server(_Controller(ended), plugin)
    grpc_stdio_pb2_grpc.add_GRPCStdioServicer_to_server(_Stdio(), plugin)
    return plugin


def serve(servicer: "Servicer") -> None:
    """Serves the Terraform process that started this one, until it shuts the plugin down or is gone.

    Then, and on SIGTERM, waits end at once, and calls that post still finish and return their state.

    Raises:
        OSError: there is no folder for the socket.
    """
    # Ctrl-C reaches the whole process group, but Terraform itself sends StopProvider.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    ended = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: ended.set())
    plugin = server(servicer, ended.set)
    with _socket_folder() as folder:
        address = f"{folder}/plugin.sock"
        certificate, credentials = _credentials()
        plugin.add_secure_port(f"unix://{address}", credentials)
        plugin.start()
        print(f"1|6|unix|{address}|grpc|{base64.b64encode(certificate).decode().rstrip('=')}", flush=True)
        parent = os.getppid()
        while not ended.wait(0.5) and os.getppid() == parent:
            pass
        servicer.stop()
        plugin.stop(_GRACE).wait()


def _socket_folder() -> tempfile.TemporaryDirectory[str]:
    """A private folder whose path fits a socket, gRPC's address and go-plugin's handshake.

    It is in the first of TMPDIR and the usual folders whose path is short enough, contains no character that is special
    in a URL or in the handshake, and is writable.

    Raises:
        OSError: there is none.
    """
    for parent in (tempfile.gettempdir(), "/tmp", "/var/tmp"):  # noqa: S108  # the folder in it is private
        if len(parent) > _LONGEST_ADDRESS - _OWN_PART or not re.fullmatch(r"[A-Za-z0-9/._+-]+", parent):
            continue
        with suppress(OSError):
            return tempfile.TemporaryDirectory(prefix="tf-kf-", dir=parent)
    raise OSError("No writable folder for the plugin's socket: set TMPDIR to one with a short, plain path")


def _credentials() -> tuple[bytes, grpc.ServerCredentials]:
    """A certificate for this process, which Terraform expects (go-plugin: AutoMTLS).

    Terraform's client certificate is not verified, because gRPC's TLS library does not support its P-521 key. The
    private folder of the socket keeps other users out.
    """
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(minutes=5))
        .not_valid_after(now + timedelta(days=30))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    credentials = grpc.ssl_server_credentials([(private, certificate.public_bytes(serialization.Encoding.PEM))])
    return certificate.public_bytes(serialization.Encoding.DER), credentials


class _Controller(grpc_controller_pb2_grpc.GRPCControllerServicer):
    def __init__(self, ended: Callable[[], None]) -> None:
        self._ended = ended

    def Shutdown(self, _request: Any, _context: Any) -> Any:  # noqa: N802  # gRPC names it
        self._ended()
        return grpc_controller_pb2.Empty()


class _Stdio(grpc_stdio_pb2_grpc.GRPCStdioServicer):
    def StreamStdio(self, _request: Any, _context: Any) -> Any:  # noqa: N802  # gRPC names it
        # Terraform reads stderr directly.
        return iter(())
