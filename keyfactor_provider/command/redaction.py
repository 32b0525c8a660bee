"""Removes secrets from texts, in every form in which a server or a proxy could echo them."""

import html
import logging
import re
from base64 import b64encode
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property
from html.entities import html5
from http import HTTPStatus
from typing import Final
from urllib.parse import quote, unquote

from keyfactor_provider.command.credentials import Credentials
from keyfactor_provider.text import flat, safe

MARK: Final = "[secret]"
WITHHELD: Final = "[withheld: it repeats a secret]"
"""Replaces a text that has a secret in a form that can be detected but not cut out."""

_READ: Final = 64 * 1024
"""Characters of a text that are kept: a message has a few hundred."""
_SHORT: Final = 4
"""Shorter secrets are replaced only as whole words: gaps within words would reveal them."""
_TELLING: Final = 6
"""The number of consecutive letters and digits that reveal part of a secret."""

_BLANK: Final = "|".join(
    [
        r"[\s\x00-\x20\x7f-\xa0]|\+|\\{1,16}(?:[tnr]|x(?:09|20|a0)|u00(?:09|20|a0))",
        "%(?:25){0,9}(?:09|0a|0d|20|a0|c2%(?:25){0,9}a0)",
        "&(?:amp;){0,9}(?:nbsp|tab|newline|#0{0,9}(?:9|10|13|32|160)|#x0{0,9}(?:9|a|d|20|a0));",
    ]
)
"""A blank in any encoding."""
_CONTROLS: Final = {"\x0b": "v", "\x0c": "f", "\x08": "b"}
_ESCAPE: Final = re.compile(r"(?<!\\)\\++(?:u([0-9a-fA-F]{4})|x([0-9a-fA-F]{2})|[tnrvfb0])")
_OTHER: Final = re.compile(r"[^A-Za-z0-9]+")
_BASE64_LETTERS: Final = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/-_")
_BASE64_REST: Final = re.compile(r"(?:[A-Za-z0-9+/_-]|%2[bBfF])*(?:=|%3[dD])*")


class Redaction:
    """Removes the secrets of one client from texts.

    Args:
        more: other secrets, such as those from `secrets_of_proxies`.
    """

    def __init__(self, credentials: Credentials, more: Iterable[str] = ()) -> None:
        plain = [credentials.password, credentials.client_secret, credentials.access_token, *more]
        if credentials.password:
            plain.append(f"{credentials.username}:{credentials.password}")
        if credentials.client_secret:
            # RFC 6749, 2.3.1: both are form-encoded before they are joined.
            plain.append(f"{quote(credentials.client_id, safe='')}:{quote(credentials.client_secret, safe='')}")
        self._known = tuple(_Secret(secret) for secret in sorted(set(plain), key=len, reverse=True) if secret.strip())
        self._fetched: deque[_Secret] = deque(maxlen=16)

    def add(self, secret: str) -> None:
        """Adds a fetched token; only the last few are kept."""
        self._fetched.append(_Secret(secret))

    def __call__(self, text: str) -> str:
        """The text with `[secret]` in place of each secret; WITHHELD if one can't be cut out."""
        cleaned = self._checked(self._cut(text[:_READ]))
        return cleaned if len(text) <= _READ else f"{cleaned}…"

    def line(self, text: str, most: int = 300) -> str:
        """The text of a server as one safe line without secrets.

        Args:
            most: maximum characters; it is cut after secrets are removed, so that no part of one is left at the end.
        """
        # Cut again after flattening: a line break or an escape sequence within a secret hides it from the first cut.
        flattened = flat(self(text))
        return safe(self._checked(MARK.join(map(self._cut, flattened.split(MARK)))), most)

    def _checked(self, text: str) -> str:
        return WITHHELD if self._is_repeated_in(text) else text

    def _cut(self, text: str) -> str:
        spans = sorted(span for secret in self._secrets() for span in secret.spans(text))
        parts, end = [], 0
        for start, stop in spans:
            if start >= end:
                parts += [text[end:start], MARK]
            end = max(end, stop)
        return "".join([*parts, text[end:]])

    def _is_repeated_in(self, text: str) -> bool:
        parts = [_bare(part) for part in text.split(MARK)]
        ends = parts[-1]
        forms = [form for secret in self._secrets() for form in secret.bare]
        # A peer that truncates what it echoes may leave only the beginning of a secret, at the end or within a text.
        telling = {form[: max(_TELLING, len(form) // 2)] for form in forms}
        return any(form in bare for form in telling for part in parts for bare in part) or any(
            _ends_in(end, form) for form in forms for end in ends
        )

    def _secrets(self) -> tuple["_Secret", ...]:
        return (*self._known, *tuple(self._fetched))


def secrets_of_proxies(environment: Mapping[str, str]) -> list[str]:
    """The credentials in the proxy URLs of an environment, even in unusable ones."""
    secrets: list[str] = []
    for name, address in environment.items():
        if not name.lower().endswith("_proxy") or name.lower() == "no_proxy" or "@" not in address:
            continue
        account = address.rpartition("@")[0].rpartition("://")[2]
        user, _, password = account.partition(":")
        for secret in (account, password or user):
            secrets += [secret, unquote(secret)]
    return list(dict.fromkeys(filter(None, secrets)))


class _Secret:
    """A secret with the patterns that find it in a text, and its reduced forms."""

    def __init__(self, secret: str) -> None:
        self._secret = secret

    def spans(self, text: str) -> Iterator[tuple[int, int]]:
        """The start and end of each occurrence, in clear or in base64."""
        for match in self._clear.finditer(text):
            yield match.span()
        for match in self._base64.finditer(text) if self._base64 else ():
            # Include the rest of the base64 value, such as all of `user:password`.
            start, rest = match.start(), _BASE64_REST.match(text, match.end())
            while start and text[start - 1] in _BASE64_LETTERS:
                start -= 1
            yield start, rest.end() if rest else match.end()

    @cached_property
    def _clear(self) -> re.Pattern[str]:
        spelled = [
            f"(?:{_BLANK}|{'|'.join(map(_spelled, sorted(set(part))))}){{0,99}}+"
            if part.isspace()
            else "".join(map(_spelled, part))
            for part in re.split(r"(\s+)", self._secret)
        ]
        pattern = f"(?:{re.escape(self._secret)}|{''.join(spelled)})"
        if len(self._secret) < _SHORT:
            pattern = rf"(?<![^\W_]){pattern}(?![^\W_])"
        return re.compile(pattern, re.IGNORECASE)

    @cached_property
    def _base64(self) -> re.Pattern[str] | None:
        special = {"+": r"(?:\+|-|%2b)", "/": "(?:/|_|%2f)"}
        cores = [core for core in _cores(self._secret) if len(core) >= _TELLING]
        written = ["".join(special.get(char, char) for char in core) for core in cores]
        return re.compile("|".join(written), re.IGNORECASE) if written else None

    @cached_property
    def bare(self) -> tuple[str, ...]:
        """Its forms reduced to letters and digits, which no encoding or line break changes; without short ones."""
        encodings = [self._secret, *_cores(self._secret), self._secret.encode("utf-8", "replace").hex()]
        forms = [form for encoding in encodings for form in _bare(encoding)]
        return tuple(dict.fromkeys(form for form in forms if len(form) >= _TELLING))


def _spelled(char: str) -> str:
    """A pattern for one character, plain or escaped as in URLs, JSON, HTML or `repr`."""
    if char.isascii() and char.isalnum():
        return char
    number = ord(char)
    utf8 = char.encode("utf-8", "surrogatepass")
    utf16 = char.encode("utf-16-be", "surrogatepass")
    units = [utf16[at : at + 2].hex() for at in range(0, len(utf16), 2)]
    # Escaping may be repeated, with several backslashes, `25` or `amp;`. Repetitions are bounded, as for blanks: a text
    # that consists of them would take quadratic time.
    backslashes, percent, ampersand = r"\\{1,16}", "%(?:25){0,9}", "&(?:amp;){0,9}"
    spellings = [
        backslashes if char == "\\" else rf"\\{{0,16}}{re.escape(char)}",
        "".join(f"{percent}{byte:02x}" for byte in utf8),
        "".join(f"{backslashes}x{byte:02x}" for byte in utf8),
        "".join(f"{backslashes}u{unit}" for unit in units),
        f"{backslashes}U{number:08x}",
        f"{ampersand}#0{{0,9}}{number};",
        f"{ampersand}#x0{{0,9}}{number:x};",
        *(f"{ampersand}{name}" for name, meant in html5.items() if meant == char and name.endswith(";")),
    ]
    if number < 256:
        spellings += [f"{percent}{number:02x}", f"{backslashes}x{number:02x}"]
    if char in _CONTROLS:
        spellings.append(f"{backslashes}{_CONTROLS[char]}")
    return f"(?:{'|'.join(dict.fromkeys(spellings))})"


def _cores(secret: str) -> list[str]:
    """The base64 of a secret, alone and at each offset in a longer text, without characters that neighbors affect."""
    data = secret.encode("utf-8", "replace")
    cores = [b64encode(data).decode().rstrip("=")]
    for before in range(3):
        encoded = b64encode(bytes(before) + data).decode()
        cores.append(encoded[(before * 8 + 5) // 6 : (before + len(data)) * 8 // 6])
    return cores


def _bare(text: str) -> tuple[str, str]:
    """The ASCII letters and digits of a text in lower case: as written, and after all escaping is undone.

    Other letters are left out, because a peer may have decoded them wrongly. The text as written is needed because the
    characters before a secret may turn its beginning into an escape sequence.
    """
    as_written = flat(text)
    for _ in range(4):
        undone = _ESCAPE.sub(_undone, unquote(html.unescape("".join(flat(text).split()))))
        if undone == text:
            break
        text = undone
    return _OTHER.sub("", as_written).lower(), _OTHER.sub("", text).lower()


def _undone(match: re.Match[str]) -> str:
    code = match[1] or match[2]
    return chr(int(code, 16)) if code else ""


def _ends_in(text: str, form: str) -> bool:
    """Whether a text ends with at least _TELLING characters from the beginning of a form."""
    tail = text[-len(form) :]
    at = tail.find(form[:_TELLING])
    while at >= 0:
        if form.startswith(tail[at:]):
            return True
        at = tail.find(form[:_TELLING], at + 1)
    return False


class _OwnReason(logging.Filter):
    """Replaces the reason phrase of a response in the log of httpx, because a server may put anything there."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Sets the standard reason phrase of the status."""
        if isinstance(record.args, tuple) and len(record.args) == 5:
            usual = [status.phrase for status in HTTPStatus if status.value == record.args[3]]
            record.args = (*record.args[:4], "".join(usual))
        return True


logging.getLogger("httpx").addFilter(_OwnReason())
