"""Secrets that are planted on purpose, the forms in which they could come back, and the search for them.

Every one has the word "canary" in it, so that a piece of one is found too; what is encoded in base64 is searched for
as it stands.
"""

import json
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote, quote_plus

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
"""By way to sign in: what a server was sent, and could echo."""


def settings(command: Command, method: str) -> dict[str, str]:
    """The settings of a client that signs in so, by config key; at the stand-in they are right."""
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
    """The same as environment variables."""
    from keyfactor_provider.command.settings_table import SETTINGS

    return {SETTINGS[key].environment[0]: value for key, value in settings(command, method).items()}


@contextmanager
def planted(folder: Path) -> Iterator[Command]:
    """A Command whose secrets are these."""
    login = {"password": PASSWORD, "client_secret": CLIENT_SECRET, "access_token": ACCESS_TOKEN}
    file = folder / "command-state"
    file.write_text(json.dumps({"kept": {"login": login}}) + "\n")
    with running("--state", str(file)) as command:
        command.world(populate=12)
        yield command


def traces(text: str) -> list[str]:
    """What of them is in a text; empty as it has to be."""
    lower = text.lower()
    around = [text[max(0, at - 60) : at + 60] for at in _places(lower, "canary")]
    return around + [form for form in (BASIC, CLIENT_BASIC, PROXY_BASIC) if form.rstrip("=") in text]


def traces_on_disk(folder: Path) -> list[str]:
    """What of them is in the files below a folder, or in the files' names."""
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
