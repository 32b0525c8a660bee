"""Planted secrets, the forms in which they could be echoed, and the search for them.

Each contains the word "canary", so that a part of one is found too.
"""

import html
import json
import re
from base64 import b64decode, b64encode, urlsafe_b64encode
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final
from urllib.parse import quote, quote_plus, unquote

from keyfactor_standins.command.process import Command, running

PASSWORD = "Canary: pass/word+1"
CLIENT_SECRET = "canary&Secret=/+1"
ACCESS_TOKEN = "canary-access-token"
FETCHED_TOKEN = "canary-fetched-token"
PROXY_PASSWORD = "canary-proxy"
PASSPHRASE = "canary passphrase"

_USER, _CLIENT = "PLANT\\svc-enroll", "reenrollment"
BASIC = b64encode(f"{_USER}:{PASSWORD}".encode()).decode()
CLIENT_BASIC = b64encode(f"{_CLIENT}:{quote(CLIENT_SECRET, safe='')}".encode()).decode()
PROXY_BASIC = b64encode(f"user:{PROXY_PASSWORD}".encode()).decode()

SENT = {
    "basic": [PASSWORD, BASIC, f"Authorization: Basic {BASIC}"],
    "oauth": [
        *(CLIENT_SECRET, CLIENT_BASIC, quote_plus(CLIENT_SECRET), f"client_secret={quote(CLIENT_SECRET, safe='')}"),
        *(FETCHED_TOKEN, f"Authorization: Bearer {FETCHED_TOKEN}"),
    ],
    "token": [ACCESS_TOKEN, f"Authorization: Bearer {ACCESS_TOKEN}"],
}
"""By way to sign in, the secrets that a server receives and could echo."""


def settings(command: Command, method: str) -> dict[str, str]:
    """The settings, by config key, of a client that signs in to the stand-in with one of the three methods."""
    shared = {"hostname": command.url, "timeout": "2"}
    return (
        shared
        | {
            "basic": {"username": "svc-enroll", "domain": "PLANT", "password": PASSWORD},
            "oauth": {"clientId": _CLIENT, "clientSecret": CLIENT_SECRET, "tokenUrl": command.said["token_url"]},
            "token": {"accessToken": ACCESS_TOKEN},
        }[method]
    )


def environment(command: Command, method: str) -> dict[str, str]:
    """The same settings as environment variables."""
    from keyfactor_provider.command.settings_table import SETTINGS

    return {SETTINGS[key].environment[0]: value for key, value in settings(command, method).items()}


@contextmanager
def planted(folder: Path) -> Iterator[Command]:
    """A Command with the planted secrets."""
    login = {"password": PASSWORD, "client_secret": CLIENT_SECRET, "access_token": ACCESS_TOKEN}
    file = folder / "command-state"
    file.write_text(json.dumps({"kept": {"login": login}}) + "\n")
    with running("--state", str(file)) as command:
        command.world(populate=12)
        yield command


PASSWORDS: Final = {
    "blanks": "canary:  canary   canary",
    "tabs": "canary\tcanary\t\tcanary",
    "no-break spaces": "canary\xa0canary \xa0\xa0canary",
    "a line end": "canary\ncanary",
    "quotes": "canary\"canary'canary`",
    "backslashes": "canary\\canary\\\\canary\\ncanary\\",
    "of a URL": "canary/canary+canary%canary&canary=1?canary#@canary",
    "of HTML": "<canary>&amp;canary;",
    "what looks escaped": "canary%41canary%25canary\\u0041canary\\x41canary&#65;",
    "letters of other scripts": "canaryüécanary漢字👩canary",
    "controls": "canary\x07canary\x1b[31mcanary\x00canary",
    "a command of CI": "::canary::##vso[canary]canary",
    "punctuation": "canary!$()*,-.:;<=>?@[]^_{|}~canary",
    "letters": "CanaryCanary2027",
}
"""Passwords by what is difficult about them; every part of one contains the word."""

_SPECIAL = re.compile(r"[^A-Za-z0-9]")


def _numbered(text: str, form: str) -> str:
    return _SPECIAL.sub(lambda match: form.format(ord(match[0])), text)


def _pair(password: str) -> str:
    return b64encode(f"OTHER\\somebody:{password}".encode()).decode()


def _lower_percent(text: str) -> str:
    return re.sub(r"%..", lambda match: match[0].lower(), quote(text, safe=""))


FORMS: Final[dict[str, Callable[[str], str]]] = {
    "as it is": str,
    "upper case": str.upper,
    "lower case": str.lower,
    "blanks collapsed": lambda text: " ".join(text.split()),
    "blanks removed": lambda text: "".join(text.split()),
    "broken over lines": lambda text: "\r\n ".join(text[at : at + 9] for at in range(0, len(text), 9)),
    "with an escape sequence inside": lambda text: f"{text[:8]}\x1b[0m{text[8:]}",
    "with an invisible character inside": lambda text: f"{text[:8]}\u200b{text[8:]}",
    "UTF-16 read as bytes": lambda text: text.encode("utf-16-le").decode("latin-1"),
    "JSON": lambda text: json.dumps(text)[1:-1],
    "JSON with letters": lambda text: json.dumps(text, ensure_ascii=False)[1:-1],
    "JSON in JSON": lambda text: json.dumps(json.dumps(text)),
    "JSON with slashes": lambda text: json.dumps(text)[1:-1].replace("/", "\\/"),
    "JSON of .NET": lambda text: re.sub(
        r"[\"&'<>+`]", lambda match: f"\\u{ord(match[0]):04X}", text.replace("\\", "\\\\")
    ),
    "HTML": html.escape,
    "HTML twice": lambda text: html.escape(html.escape(text)),
    "HTML in decimal": lambda text: _numbered(text, "&#{};"),
    "HTML in hexadecimal": lambda text: _numbered(text, "&#x{:X};"),
    "HTML with hard blanks": lambda text: html.escape(text).replace(" ", "&nbsp;"),
    "URL": lambda text: quote(text, safe=""),
    "URL in lower case": _lower_percent,
    "URL twice": lambda text: quote(quote(text, safe=""), safe=""),
    "path": quote,
    "form": quote_plus,
    "as a script escapes it": lambda text: quote(text, safe="!'()*~"),
    "repr": lambda text: repr(text)[1:-1],
    "repr of a repr": lambda text: repr(repr(text)),
    "ascii": ascii,
    "repr of bytes": lambda text: repr(text.encode()),
    "base64": lambda text: b64encode(text.encode()).decode(),
    "base64 without padding": lambda text: b64encode(text.encode()).decode().rstrip("="),
    "base64 for URLs": lambda text: urlsafe_b64encode(text.encode()).decode(),
    "base64 in a URL": lambda text: quote(b64encode(text.encode()).decode(), safe=""),
    "base64 with its user": _pair,
    "base64 with its user for URLs": lambda text: _pair(text).replace("+", "-").replace("/", "_").rstrip("="),
    "base64 with its user in a URL": lambda text: quote(_pair(text), safe="").lower().replace("%3d", "%3D"),
    "base64 over lines": lambda text: "\n".join(re.findall(".{1,16}", _pair(text))),
    "hexadecimal": lambda text: text.encode().hex(),
    "cut": lambda text: text[: len(text) // 2 + 1],
    "base64 cut": lambda text: b64encode(text.encode()).decode()[: len(text)],
    "URL cut": lambda text: quote(text, safe="")[: len(text) // 2 + 4],
}
"""The forms in which servers, proxies and libraries repeat a text."""


def traces(text: str) -> list[str]:
    """The traces of planted secrets in a text, in plain text or base64."""
    found = [text[max(0, at - 60) : at + 60] for at in _places(text.lower(), "canary")]
    letters = re.sub(r"[^a-z0-9]", "", text.lower())
    found += [letters[max(0, at - 60) : at + 60] for at in _places(letters, "canary")]
    for run in {*re.findall(r"[A-Za-z0-9+/]{8,}", unquote(text).replace("-", "+").replace("_", "/")), letters}:
        for skipped in range(4):
            part = run[skipped:]
            if b"canary" in b64decode(part[: len(part) // 4 * 4]).lower():
                found.append(part[:120])
    return found + [form for form in (BASIC, CLIENT_BASIC, PROXY_BASIC) if form.rstrip("=") in text]


def traces_on_disk(folder: Path) -> list[str]:
    """The traces in the files below a folder and in their names."""
    found = []
    for file in folder.rglob("*"):
        text = file.read_bytes().decode(errors="replace") if file.is_file() else ""
        found += [f"{file}: {trace}" for trace in traces(f"{file.name} {text}")]
    return found


def _places(text: str, word: str) -> Iterator[int]:
    at = text.find(word)
    while at >= 0:
        yield at
        at = text.find(word, at + 1)
