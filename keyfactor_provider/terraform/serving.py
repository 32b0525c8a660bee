"""Serving Terraform: go-plugin's handshake, its certificate, and an end that waits for what is under way.

`tf.runner` is not used: it stops at once on StopProvider and on Ctrl-C, and an apply that has posted already
would lose its state.
"""

import base64
import os
import signal
import tempfile
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import grpc
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from tf.gen import grpc_controller_pb2, grpc_controller_pb2_grpc, grpc_stdio_pb2_grpc, tfplugin_pb2_grpc

COOKIE: Final = ("TF_PLUGIN_MAGIC_COOKIE", "d602bf8f470bc67ca7faa0386276bbdd4330efaf76d1a219cb4d6991ca9872b2")
"""How a plugin tells that Terraform started it (terraform: internal/plugin/serve.go)."""

_OPTIONS: Final = (
    # A fleet of 100,000 is larger than gRPC's own 4 MiB.
    ("grpc.max_receive_message_length", -1),
    ("grpc.max_send_message_length", -1),
)
_WORKERS: Final = 64
"""Waiting completions each hold one, and Terraform's -parallelism may be more than its 10."""
_GRACE: Final = 24 * 3600.0


def server(servicer: Any, ended: Callable[[], None]) -> grpc.Server:
    """A gRPC server with the provider on it; `ended` is called when Terraform wants the plugin to go."""
    made = grpc.server(ThreadPoolExecutor(_WORKERS), options=_OPTIONS)
    tfplugin_pb2_grpc.add_ProviderServicer_to_server(servicer, made)
    grpc_controller_pb2_grpc.add_GRPCControllerServicer_to_server(_Controller(ended), made)
    grpc_stdio_pb2_grpc.add_GRPCStdioServicer_to_server(_Stdio(), made)
    return made


def serve(servicer: Any) -> None:
    """Serves the Terraform process that started this one, until it says so or is gone."""
    # Ctrl-C reaches the whole process group; Terraform itself says what is to stop.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    ended = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: ended.set())
    made = server(servicer, ended.set)
    with tempfile.TemporaryDirectory(prefix="tf-keyfactorcommand-") as folder:
        address = f"{folder}/plugin.sock"
        certificate, credentials = _credentials()
        made.add_secure_port(f"unix://{address}", credentials)
        made.start()
        told = base64.b64encode(certificate).decode().rstrip("=")
        print(f"1|6|unix|{address}|grpc|{told}", flush=True)
        parent = os.getppid()
        while not ended.wait(0.5) and os.getppid() == parent:
            pass
        made.stop(_GRACE).wait()


def _credentials() -> tuple[bytes, grpc.ServerCredentials]:
    """A certificate for this process alone, which Terraform expects (go-plugin: AutoMTLS).

    Terraform's own has a P-521 key, which gRPC's TLS library does not take; who may come in is decided by the
    folder of the socket, which is this user's alone.
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
        # What goes to stderr reaches Terraform by itself.
        return iter(())
