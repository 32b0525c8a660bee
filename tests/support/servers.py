"""Small servers for tests: one that records requests, a proxy, a list of agents, and hostile ones."""

import gzip
import json
import socket
import threading
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import chain, repeat
from urllib.parse import parse_qs, urlsplit


class Listener(ThreadingHTTPServer):
    """A server on a free loopback port.

    Attributes:
        seen: the method, path and headers of each request.
        answer: the status, content type and body of every response.
        reply: if set, makes the response (status, headers and body) from the method and the path instead.
        tunnel_to: as a proxy, open tunnels to this address, whatever the requested host; None refuses them.
    """

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.seen: list[str] = []
        self.answer = (200, "application/json", b"[]")
        self.reply: Callable[[str, str], tuple[int, dict[str, str], bytes]] | None = None
        self.tunnel_to: tuple[str, int] | None = None
        self.host = f"127.0.0.1:{self.server_address[1]}"

    def handle_error(self, *_: object) -> None:
        """Print nothing: a client may disconnect before it has its response."""


class _Handler(BaseHTTPRequestHandler):
    server: Listener

    def _note(self) -> None:
        self.server.seen.append(f"{self.command} {self.path}\n{self.headers}")

    def _reply(self) -> None:
        self._note()
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.server.reply is not None:
            status, headers, body = self.server.reply(self.command, self.path)
        else:
            status, content_type, body = self.server.answer
            headers = {"Content-Type": content_type}
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
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
    """A listener that serves for the length of a `with`."""
    with Listener() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        try:
            yield server
        finally:
            # Before its socket is closed: the thread would poll whatever gets that number next, and never rest.
            server.shutdown()
            thread.join()


def closed_port() -> int:
    """A loopback port on which nothing listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


Script = Callable[[], Iterator[bytes]]
"""The pieces that a hostile server sends after a request; it hangs after the last one."""

_PACE = 0.02
_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
_CHUNKED = _HEAD + b"Transfer-Encoding: chunked\r\n"


class Hostile:
    """A raw server that reads the head of each request and sends the pieces of its script.

    Attributes:
        requests: the number of requests that it has read.
    """

    def __init__(self, script: Script, *, pace: float, listens: bool) -> None:
        self.requests = 0
        self._script, self._pace, self._listens = script, pace, listens
        self._over = threading.Event()
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.host = f"127.0.0.1:{self._socket.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        """Close it and every connection."""
        self._over.set()
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                connection, _ = self._socket.accept()
                threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with connection, suppress(OSError):
            head = b""
            while self._listens and b"\r\n\r\n" not in head:
                if not (data := connection.recv(65536)):
                    return
                head += data
            self.requests += 1
            for piece in self._script():
                connection.sendall(piece)
                if self._over.wait(self._pace):
                    return
            self._over.wait()


@contextmanager
def hostile(script: Script, *, pace: float = _PACE, listens: bool = True) -> Iterator[Hostile]:
    """A hostile server that serves for the length of a `with`.

    Args:
        pace: seconds between two pieces.
        listens: whether it waits for a request before it sends anything.
    """
    with closing(Hostile(script, pace=pace, listens=listens)) as server:
        yield server


def compressed(body: bytes, encoding: str) -> bytes:
    """A complete response with this body and Content-Encoding."""
    head = _HEAD + f"Content-Encoding: {encoding}\r\nContent-Length: {len(body)}\r\n\r\n".encode()
    return head + body


def bomb(mib: int, layers: int = 1) -> bytes:
    """This many MiB of blanks, compressed `layers` times."""
    packer = zlib.compressobj(9, wbits=zlib.MAX_WBITS | 16)
    body = b"".join(packer.compress(b" " * 2**20) for _ in range(mib)) + packer.flush()
    for _ in range(layers - 1):
        body = gzip.compress(body)
    return body


NEVER_ENDING: dict[str, Script] = {
    "nothing": lambda: iter(()),
    "103 for ever": lambda: repeat(b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"),
    "a header that drips": lambda: chain([_HEAD + b"X: "], repeat(b"x")),
    "headers that drip": lambda: chain([_HEAD], repeat(b"X: x\r\n")),
    "a body that drips": lambda: chain([_HEAD + b"Content-Length: 100000\r\n\r\n["], repeat(b" ")),
    "chunks that drip": lambda: chain([_CHUNKED + b"\r\n1\r\n[\r\n"], repeat(b"1\r\n \r\n")),
    "a chunk extension that drips": lambda: chain([_CHUNKED + b"\r\n2;"], repeat(b"x")),
    "trailers that drip": lambda: chain([_CHUNKED + b"\r\n2\r\n[]\r\n0\r\n"], repeat(b"X: x\r\n")),
    "a length that is too long": lambda: iter([_HEAD + b"Content-Length: 3\r\n\r\n[]"]),
    "compressed blocks that yield nothing": lambda: chain(
        [_CHUNKED + b"Content-Encoding: deflate\r\n\r\n2\r\n\x78\x9c\r\n"],
        repeat(b"5\r\n\x00\x00\x00\xff\xff\r\n"),
    ),
}
"""Responses that never end."""


@dataclass
class AgentList:
    """Command's list of agents, as the `reply` of a listener.

    Attributes:
        ids: the agents, in the order of the list.
        cap: the most agents on a page.
        counts: whether responses have X-Total-Count, or the pages that have it.
        total: the value of that header, if it is not the real number.
        singles: whether it serves single agents; otherwise it responds with an empty list.
        before: called with the number of a page before it is made, and with 0 before a single agent is.
        hidden: agents that are on no page.
        empty: by number, how many times a page comes back empty.
        asked: the numbers of the requested pages, and the ids of the requested single agents.
    """

    ids: list[str]
    cap: int = 1000
    counts: bool | Sequence[int] = True
    total: int | None = None
    singles: bool = True
    before: Callable[[int], None] = lambda _: None
    hidden: Sequence[str] = ()
    empty: dict[int, int] = field(default_factory=dict)
    asked: list[int | str] = field(default_factory=list)

    def __call__(self, method: str, path: str) -> tuple[int, dict[str, str], bytes]:
        parts = urlsplit(path)
        assert method == "GET"
        last = parts.path.rsplit("/", 1)[1]
        if last != "Agents":
            self.asked.append(last)
            self.before(0)
            return 200, {}, json.dumps([{"AgentId": last}] if self.singles and last in self.ids else []).encode()
        query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        number, size = int(query["PageReturned"]), min(self.cap, int(query["ReturnLimit"]))
        self.asked.append(number)
        self.before(number)
        matching = [
            agent_id for agent_id in self.ids if not query.get("QueryString") or agent_id in query["QueryString"]
        ]
        shown = [agent_id for agent_id in matching if agent_id not in self.hidden][(number - 1) * size : number * size]
        if self.empty.get(number, 0):
            self.empty[number] -= 1
            shown = []
        total = len(matching) if self.total is None else self.total
        counts = self.counts if isinstance(self.counts, bool) else number in self.counts
        headers = {"X-Total-Count": str(total)} if counts else {}
        return 200, headers, json.dumps([{"AgentId": agent_id} for agent_id in shown]).encode()
