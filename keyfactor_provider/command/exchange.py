"""One request and its whole answer, bounded in time and size; and the connections that carry it."""

import logging
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import Final

import httpx
import truststore

from keyfactor_provider.command.settings import Settings
from keyfactor_provider.command.sources import is_loopback
from keyfactor_provider.errors import SettingsError

MOST_BYTES: Final = 64 * 1024 * 1024
"""Of one answer: a page of 1,000 orchestrators has about one."""

FAILURES: Final = (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError)
"""Everything that httpx raises instead of giving an answer; `TooLarge` is one of them."""

_CONNECT: Final = 10.0
_PAUSE: Final = 10.0
"""Seconds for which an answer that has begun may stand still."""
_LEAST: Final = 0.05


# Its debug log has the headers of every answer, in which a server may repeat what it was sent.
logging.getLogger("httpcore").setLevel(logging.INFO)


class TooLarge(httpx.HTTPError):
    """An answer with more than MOST_BYTES."""


@dataclass(frozen=True)
class Answer:
    """A whole answer, its body decompressed."""

    status: int
    headers: Mapping[str, str]
    body: bytes


def exchange(
    http: httpx.Client,
    method: str,
    url: str,
    *,
    until: float,
    clock: Callable[[], float],
    content: bytes | None = None,
    headers: Mapping[str, str] | None = None,
    data: Mapping[str, str] | None = None,
    auth: httpx.Auth | None = None,
) -> Answer:
    """Sends one request and reads its answer to the end.

    Args:
        until: a reading of the clock, at which it is given up.

    Raises:
        one of FAILURES: there is no whole answer.
    """
    left = max(_LEAST, until - clock())
    body = bytearray()
    with http.stream(
        method,
        url,
        content=content,
        data=data,
        headers=headers,
        auth=auth or httpx.USE_CLIENT_DEFAULT,
        timeout=httpx.Timeout(left, connect=min(_CONNECT, left / 2)),
        extensions={"until": until},
    ) as response:
        # The timeouts are for one read each: a server that drips, or stops half-way, would get many of them.
        response.request.extensions["timeout"]["read"] = max(_LEAST, min(_PAUSE, until - clock()))
        for chunk in response.iter_bytes():
            body += chunk
            if len(body) > MOST_BYTES:
                raise TooLarge(f"the answer is larger than {MOST_BYTES // 1024**2} MiB")
            if clock() > until:
                raise httpx.ReadTimeout("the answer drips in too slowly", request=response.request)
    return Answer(response.status_code, response.headers, bytes(body))


class Connections:
    """What keeps connections for the servers of one set of settings: Command, and the token endpoint.

    Args:
        transport: replaces the network.

    Raises:
        SettingsError: the private CA can't be used.
    """

    def __init__(self, settings: Settings, transport: httpx.BaseTransport | None) -> None:
        self._tls = _tls(settings)
        self._transport = transport

    def to(self, url: str) -> httpx.Client:
        """A client for the server of this URL.

        Raises:
            SettingsError: the environment names a proxy that can't be used.
        """
        try:
            return httpx.Client(
                verify=self._tls,
                # As in Keyfactor's own tools (Go's net/http), nothing for this machine goes to a proxy:
                # http is allowed on loopback because there nobody else reads the credentials.
                trust_env=not is_loopback(url),
                transport=self._transport,
                limits=httpx.Limits(max_connections=4),
                # No cookie is kept: nothing here needs one, and a broken one would break every later request.
                cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),
            )
        except (ImportError, ValueError, httpx.InvalidURL) as error:
            # A proxy's address may hold its password: it is not repeated.
            reason = "it needs SOCKS" if isinstance(error, ImportError) else "it is no http URL"
            raise SettingsError(
                "The proxy that the environment names can't be used",
                f"HTTPS_PROXY, ALL_PROXY or NO_PROXY: {reason}",
                "Expected one such as http://proxy.example.com:3128, or the host in NO_PROXY.",
            ) from None


def _tls(settings: Settings) -> ssl.SSLContext:
    context: ssl.SSLContext = truststore.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if settings.skip_verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if settings.ca_pem:
        try:
            context.load_verify_locations(cadata=settings.ca_pem)
        except (ssl.SSLError, ValueError) as error:
            reason = error.reason if isinstance(error, ssl.SSLError) else error
            raise SettingsError(
                "The private CA for Keyfactor Command can't be read",
                f"{settings.vocabulary.setting('caCert')} holds no usable certificate ({reason})",
                "Expected a PEM file or its text.",
                key="caCert",
            ) from None
    return context
