"""Small servers beside the stand-in: one that only writes down who came, and a proxy."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Listener(ThreadingHTTPServer):
    """A server on a free port of this machine.

    Attributes:
        seen: the headers of each request, its method and path in front.
        answer: the status, content type and body that each gets.
        tunnel_to: where a proxy's tunnels lead, whatever host they were asked for; none are given without it.
    """

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.seen: list[str] = []
        self.answer = (200, "application/json", b"[]")
        self.tunnel_to: tuple[str, int] | None = None
        self.host = f"127.0.0.1:{self.server_address[1]}"


class _Handler(BaseHTTPRequestHandler):
    server: Listener

    def _note(self) -> None:
        self.server.seen.append(f"{self.command} {self.path}\n{self.headers}")

    def _reply(self) -> None:
        self._note()
        status, content_type, body = self.server.answer
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_POST = _reply  # noqa: N815  # the standard library's names

    def do_CONNECT(self) -> None:
        if self.server.tunnel_to is None:
            return self._reply()
        self._note()
        with socket.create_connection(self.server.tunnel_to) as there:
            self.send_response(200)
            self.end_headers()
            back = threading.Thread(target=_pump, args=(there, self.connection), daemon=True)
            back.start()
            _pump(self.connection, there)
            back.join()
        return None

    def log_message(self, *_: object) -> None:
        pass


def _pump(here: socket.socket, there: socket.socket) -> None:
    with suppress(OSError):
        while data := here.recv(65536):
            there.sendall(data)
    with suppress(OSError):
        there.shutdown(socket.SHUT_WR)


@contextmanager
def listening() -> Iterator[Listener]:
    """A listener, for the length of a `with`."""
    with Listener() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def closed_port() -> int:
    """A port of this machine on which nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
