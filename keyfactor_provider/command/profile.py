"""A profile of the file that Keyfactor's own tools share: `~/.keyfactor/command_config.json`."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import msgspec

from keyfactor_provider.errors import SettingsError

_KEYS: Final[Mapping[str, str]] = {
    "host": "hostname",
    "port": "port",
    "auth_port": "port",
    "username": "username",
    "password": "password",
    "domain": "domain",
    "client_id": "clientId",
    "client_secret": "clientSecret",
    "token_url": "tokenUrl",
    "scopes": "scopes",
    "audience": "audience",
    "access_token": "accessToken",
    "api_path": "apiPath",
    "ca_cert_path": "caCert",
    "skip_tls_verify": "skipVerify",
}
"""Their names and ours (keyfactor-auth-client-go: command_config.go; its JSON schema says auth_port)."""

_VAULT: Final = ("auth_provider",)
_KERBEROS: Final = "kerberos_"


class _File(msgspec.Struct):
    servers: dict[str, dict[str, Any]]


def read_profile(path: Path, name: str, *, required: bool) -> dict[str, tuple[str, str]]:
    """The settings of one profile: our key to (text, their key).

    Args:
        required: the profile was named, so that its absence is an error and not an empty answer.

    Raises:
        SettingsError: the file or the profile is missing though required, can't be read, or asks for
            a method that this project does not have.
    """
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        if not required:
            return {}
        raise _refusal(path, name, "there is no such file", "Create it, or name another.") from None
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else None
        raise _refusal(path, name, reason or str(error), "Make it readable, or name another.") from None
    try:
        servers = msgspec.json.decode(content, type=_File).servers
    except (ValueError, RecursionError) as error:
        raise _refusal(
            path,
            name,
            f"it is not a JSON file of profiles ({error})",
            'Expected {"servers": {"default": {…}}}.',
        ) from None
    if name not in servers:
        if not required:
            return {}
        have = ", ".join(sorted(servers)) or "none"
        raise _refusal(path, name, f"the file has no such profile (it has: {have})", "Name one of these.")
    found: dict[str, tuple[str, str]] = {}
    for theirs, value in servers[name].items():
        if value in (None, "", [], {}):
            continue
        if theirs in _VAULT or theirs.startswith(_KERBEROS):
            raise _refusal(
                path,
                name,
                f"it has {theirs}, a way to sign in that this project does not support",
                "Use username and password, client_id with client_secret and token_url, or access_token.",
            )
        if theirs in _KEYS:
            found[_KEYS[theirs]] = (_as_text(path, name, theirs, value), theirs)
    return found


def _as_text(path: Path, name: str, theirs: str, value: object) -> str:
    if isinstance(value, list) and theirs == "scopes" and all(isinstance(scope, str) for scope in value):
        return " ".join(value)
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, (str, int)):
        return str(value)
    raise _refusal(path, name, f"{theirs} is a {type(value).__name__}", "Expected a text.")


def _refusal(path: Path, name: str, came_back: str, next_step: str) -> SettingsError:
    return SettingsError(f"Profile {name!r} of {path} can't be used", came_back, next_step)
