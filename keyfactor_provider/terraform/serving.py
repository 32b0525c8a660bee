"""Serving Terraform: go-plugin's handshake, its certificate, and an end that waits for what is under way.

`tf.runner` is not used: it stops at once on StopProvider and on Ctrl-C, and an apply that has posted already
would lose its state.
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
"""How a plugin tells that Terraform started it (terraform: internal/plugin/serve.go)."""

_OPTIONS: Final = (
    # A fleet of 100,000 is larger than gRPC's own 4 MiB.
    ("grpc.max_receive_message_length", -1),
    ("grpc.max_send_message_length", -1),
)
_WORKERS: Final = sys.maxsize
"""Each call under way has a thread of its own. Terraform bounds their number (-parallelism), and StopProvider must
never wait for a worker behind waiting completions."""
_GRACE: Final = 24 * 3600.0
_LONGEST_ADDRESS: Final = 100
"""Bytes of a socket's path: macOS takes 103, Linux 107 (unix(7): sun_path)."""
_OWN_PART: Final = len("/tf-kf-12345678/plugin.sock")


def server(servicer: "Servicer", ended: Callable[[], None]) -> grpc.Server:
    """A gRPC server with the provider on it; `ended` is called when Terraform wants the plugin to go."""
    made = grpc.server(ThreadPoolExecutor(_WORKERS), options=_OPTIONS)
    tfplugin_pb2_grpc.add_ProviderServicer_to_server(servicer, made)
    grpc_controller_pb2_grpc.add_GRPCControllerServicer_to_server(_Controller(ended), made)
    grpc_stdio_pb2_grpc.add_GRPCStdioServicer_to_server(_Stdio(), made)
    return made


def serve(servicer: "Servicer") -> None:
    """Serves the Terraform process that started this one, until it says so or is gone.

    Then, and on SIGTERM, what waits ends at once, and what posts ends with its state.

    Raises:
        OSError: there is no folder for the socket.
    """
    # Ctrl-C reaches the whole process group; Terraform itself says what is to stop.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    ended = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: ended.set())
    made = server(servicer, ended.set)
    with _socket_folder() as folder:
        address = f"{folder}/plugin.sock"
        certificate, credentials = _credentials()
        made.add_secure_port(f"unix://{address}", credentials)
        made.start()
        told = base64.b64encode(certificate).decode().rstrip("=")
        print(f"1|6|unix|{address}|grpc|{told}", flush=True)
        parent = os.getppid()
        while not ended.wait(0.5) and os.getppid() == parent:
            pass
        servicer.stop()
        made.stop(_GRACE).wait()


def _socket_folder() -> tempfile.TemporaryDirectory[str]:
    """A folder of this user's alone, whose path a socket, gRPC's address and go-plugin's handshake can hold.

    The first of TMPDIR and the usual folders that is short enough, has no character with a meaning in a URL or in the
    handshake, and can be written to.

    Raises:
        OSError: there is none.
    """
    for parent in (tempfile.gettempdir(), "/tmp", "/var/tmp"):  # noqa: S108  # the folder in it is private
        if len(parent) > _LONGEST_ADDRESS - _OWN_PART or not re.fullmatch(r"[A-Za-z0-9/._+-]+", parent):
            continue
        with suppress(OSError):
            return tempfile.TemporaryDirectory(prefix="tf-kf-", dir=parent)
    raise OSError("No folder for the plugin's socket: set TMPDIR to one that can be written to")


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
