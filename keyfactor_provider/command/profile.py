"""The profile file that Keyfactor's own tools share: `~/.keyfactor/command_config.json`, `.yaml` or `.yml`."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from keyfactor_provider.command.files import read_text, warn_if_others_can_write
from keyfactor_provider.command.settings_table import SETTINGS
from keyfactor_provider.errors import SettingsError
from keyfactor_provider.text import listed, safe

_YAML: Final = (".yaml", ".yml")
_FILES: Final = tuple(f"command_config{ending}" for ending in (".json", *_YAML))
"""In the order in which Keyfactor's loader tries them (keyfactor-auth-client-go: loader/discovery.go)."""

_MOST_BYTES: Final = 256 * 1024


def _plain(name: str) -> str:
    """A key in the form used for comparison: Keyfactor's loader ignores case and underscores."""
    return name.lower().replace("_", "")


_KEYS: Final[Mapping[str, str]] = {
    _plain(theirs): setting.key for setting in SETTINGS.values() for theirs in setting.profile
}
_UNSUPPORTED: Final = ("authprovider", "kerberos")


def default_file(home: Path) -> Path:
    """The user's profile file: the first that exists, or the path of the JSON file if none does."""
    folder = home / ".keyfactor"
    paths = [folder / name for name in _FILES]
    return next((path for path in paths if _is_there(path)), paths[0])


def _is_there(path: Path) -> bool:
    try:
        path.stat()
    except OSError as error:
        # A file in a folder without access counts as existing, so that reading it raises an error with its name.
        return not isinstance(error, (FileNotFoundError, NotADirectoryError))
    return True


def read_profile(path: Path, name: str, *, required: bool, warnings: list[str]) -> dict[str, tuple[str, str]]:
    """The settings of one profile, by our key: the value and Keyfactor's key.

    Args:
        required: whether it is an error if the file or the profile does not exist.
        warnings: receives warnings about the file.

    Raises:
        SettingsError: the file or the profile is required but missing, can't be read, or uses an authentication method
            that this project does not support.
    """
    try:
        servers = _servers(path, name)
    except (FileNotFoundError, NotADirectoryError):
        if not required:
            return {}
        raise _refusal(path, name, "there is no such file", "Create it, or name another.") from None
    except OSError as error:
        raise _refusal(path, name, error.strerror or str(error), "Make it readable, or name another.") from None
    if name not in servers:
        if not required:
            return {}
        have = listed([safe(server) for server in sorted(servers)]) or "none"
        raise _refusal(path, name, f"the file has no such profile (it has: {have})", "Name one of these.")
    warn_if_others_can_write(path, warnings)
    settings: dict[str, tuple[str, str]] = {}
    for theirs, value in ((str(key), value) for key, value in servers[name].items()):
        if value in (None, "", [], {}):
            continue
        if _plain(theirs).startswith(_UNSUPPORTED):
            raise _refusal(
                path,
                name,
                f"it has {safe(theirs)}, an authentication method that this project does not support",
                "Use username and password, client_id with client_secret and token_url, or access_token.",
            )
        if key := _KEYS.get(_plain(theirs)):
            settings[key] = (_as_text(path, name, theirs, key, value), theirs)
    return settings


def _servers(path: Path, name: str) -> dict[str, dict[str, Any]]:
    """All profiles of a file.

    Raises:
        OSError: the file can't be read.
        SettingsError: it is not a profile file.
    """
    text = read_text(path, _MOST_BYTES)
    file_type = "YAML" if path.suffix.lower() in _YAML else "JSON"

    def refused(reason: str) -> SettingsError:
        came_back = f"it is not a {file_type} file of profiles ({reason})"
        return _refusal(path, name, came_back, 'Expected {"servers": {"default": {…}}}.')

    try:
        content = _from_yaml(text) if file_type == "YAML" else json.loads(text)
    except json.JSONDecodeError as error:
        raise refused(f"line {error.lineno}: {error.msg.partition(':')[0]}") from None
    except _Malformed as error:
        raise refused(str(error)) from None
    except (ValueError, RecursionError):
        raise refused("a number too long, or too many levels") from None
    for key, servers in content.items() if isinstance(content, dict) else ():
        if _plain(str(key)) == "servers" and isinstance(servers, dict):
            profiles = {str(server): settings or {} for server, settings in servers.items()}
            if all(isinstance(settings, dict) for settings in profiles.values()):
                return profiles
    raise refused("it has no map of profiles")


class _Malformed(Exception):
    """Invalid YAML. The message has the line number but no text from the file, which may be a password."""


def _from_yaml(text: str) -> Any:
    """Parses YAML with all scalars as strings, so that passwords such as 0123, 1e3 or `no` stay as written."""
    # Imported here, because few users have a YAML file.
    import yaml

    class Loader(yaml.SafeLoader):
        """A SafeLoader without numbers, dates and booleans."""

    Loader.yaml_implicit_resolvers = {
        char: [(tag, pattern) for tag, pattern in resolvers if tag.endswith((":null", ":merge"))]
        for char, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }

    try:
        return yaml.load(text, Loader)  # noqa: S506  # a SafeLoader with fewer types
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f"at line {mark.line + 1}" if mark else "in its encoding"
        raise _Malformed(f"an error {where}; quote values with special characters") from None


def _as_text(path: Path, name: str, theirs: str, key: str, value: object) -> str:
    if SETTINGS[key].kind == "list" and isinstance(value, list) and all(isinstance(item, str) for item in value):
        return " ".join(value)
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, (str, int)):
        return str(value)
    raise _refusal(path, name, f"{safe(theirs)} is a {type(value).__name__}", "Expected a string.")


def _refusal(path: Path, name: str, came_back: str, next_step: str) -> SettingsError:
    return SettingsError(f"Profile {safe(name)!r} of {safe(str(path))} can't be used", came_back, next_step)
