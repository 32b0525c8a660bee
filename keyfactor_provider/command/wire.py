"""Command's wire format: encodes requests strictly and decodes responses tolerantly.

The published sources disagree on types (a status is an integer, a digit string or a name; a single agent is an object
or a list), so fields are decoded leniently and unknown ones ignored. Only AgentId must be a GUID, because nothing else
identifies an orchestrator.
"""

import sys
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, Final, Literal, TypeVar

import msgspec

from keyfactor_provider import guid
from keyfactor_provider.status import ReenrollmentStatus

NAMES: Final = {
    spelling: status.value
    for status in ReenrollmentStatus
    for spelling in (str(status.number), status.value, status.value.lower())
}


class Agent(msgspec.Struct, frozen=True, gc=False):
    """An orchestrator as Command shows it (Keyfactor API: GET Agents).

    Attributes:
        id: its canonical GUID.
        machine: ClientMachine; not unique.
        identity: Username, shown as Identity in the portal.
        status: 1 New, 2 Approved, 3 Disapproved; other numbers have no documented meaning.
        last_seen: as sent, in UTC; empty if never seen.
        thumbprint: the certificate that Command expects it to present, in upper case, or None.
        last_thumbprint_used: the certificate it last presented, in upper case, or None.
        legacy_thumbprint: the certificate before a renewal, until it registers with the new one.
        flag: its AuthCertificateReenrollment by name; an unknown value as sent.
    """

    id: str
    machine: str = ""
    identity: str = ""
    platform: int = 0
    version: str = ""
    status: int = 0
    last_seen: str = ""
    capabilities: tuple[str, ...] = ()
    blueprint: str = ""
    thumbprint: str | None = None
    legacy_thumbprint: str | None = None
    last_thumbprint_used: str | None = None
    last_error_code: int | None = None
    last_error_message: str = ""
    flag: str = "None"

    @property
    def seen_at(self) -> datetime | None:
        """`last_seen` as a time, in UTC if it has no offset; None if it is not a time."""
        try:
            at = datetime.fromisoformat(self.last_seen.strip())
        except ValueError:
            return None
        return at if at.tzinfo else at.replace(tzinfo=UTC)


class _WireAgent(msgspec.Struct, rename="pascal", gc=False):
    agent_id: str
    client_machine: str | None = None
    username: str | None = None
    agent_platform: int | str | None = None
    version: str | None = None
    status: int | str | None = None
    last_seen: str | None = None
    capabilities: list[str] | None = None
    blueprint: str | None = None
    thumbprint: str | None = None
    legacy_thumbprint: str | None = None
    auth_certificate_reenrollment: int | str | None = None
    last_thumbprint_used: str | None = None
    last_error_code: int | str | None = None
    last_error_message: str | None = None


_TEXTS: Final = ("client_machine", "username", "version", "last_seen", "blueprint", "last_error_message")
_THUMBPRINTS: Final = ("thumbprint", "legacy_thumbprint", "last_thumbprint_used")

_page = msgspec.json.Decoder(list[_WireAgent])
_one_or_many = msgspec.json.Decoder(_WireAgent | list[_WireAgent])
_loose_page = msgspec.json.Decoder(list[dict[str, Any]])
_loose_one_or_many = msgspec.json.Decoder(dict[str, Any] | list[dict[str, Any]])
_anything = msgspec.json.Decoder()

Decoded = TypeVar("Decoded")

Encoding = Literal["integer", "string", "digits"]
"""How a status is written: 1, "Requested" or "1"."""


class OtherStatus(ValueError):
    """The response says that a status other than the one requested was set."""


def encode_request(members: Sequence[str], status: ReenrollmentStatus, encoding: Encoding) -> bytes:
    """The body of POST /Agents/SetAuthCertificateReenrollment."""
    written = {"integer": status.number, "string": status.value, "digits": str(status.number)}[encoding]
    return msgspec.json.encode({"OrchestratorIds": members, "Status": written})


def decode_page(body: bytes) -> list[Agent]:
    """The agents of one page.

    Raises:
        ValueError: the body is not such a page; the message says where.
    """
    try:
        return [_agent(agent) for agent in _decoded(_page.decode, body)]
    except msgspec.ValidationError:
        return [_agent(_loosely(agent)) for agent in _decoded(_loose_page.decode, body)]


def decode_one(body: bytes) -> list[Agent]:
    """The agents in the response to GET /Agents/{id}: an object or, in some versions, a list.

    Raises:
        ValueError: the body is neither.
    """
    try:
        return [_agent(agent) for agent in _listed(_decoded(_one_or_many.decode, body))]
    except msgspec.ValidationError:
        return [_agent(_loosely(agent)) for agent in _listed(_decoded(_loose_one_or_many.decode, body))]


def decode_outcome(body: bytes, members: Sequence[str], status: ReenrollmentStatus) -> frozenset[str]:
    """The members that Command lists as failed; the flag of the others is set.

    The response must have FailedOrchestratorIds or Status; the other one may be null or absent. The status may be an
    integer, digits or a name.

    Raises:
        OtherStatus: it has another status, and does not list all members as failed.
        ValueError: the body is not such a response, or it belongs to another request.
    """
    answer = _decoded(_anything.decode, body)
    if not isinstance(answer, dict):
        raise ValueError(f"expected an object, got {type(answer).__name__}")
    fields = _folded(answer)
    if len(fields) < len(answer):
        raise ValueError("it has duplicate fields")
    if fields.get("errorcode") is not None:
        raise ValueError("it has an ErrorCode")
    failed, echoed = fields.get("failedorchestratorids"), fields.get("status")
    if failed is None and echoed is None:
        raise ValueError("it has neither FailedOrchestratorIds nor Status")
    if failed is not None and not (isinstance(failed, list) and all(isinstance(entry, str) for entry in failed)):
        raise ValueError("FailedOrchestratorIds is not a list of strings")
    ids = frozenset(guid.canonical(entry) for entry in failed or ())
    if not ids <= set(members):
        raise ValueError("FailedOrchestratorIds has orchestrators that were not requested")
    if echoed is not None:
        try:
            set_to = ReenrollmentStatus.parse(echoed)
        except ValueError:
            raise ValueError("Status has an unknown value") from None
        # If all members failed, no status was set, so none was misread.
        if set_to is not status and ids != set(members):
            raise OtherStatus(f"Status is {set_to.value}, and {status.value} was requested")
    return ids


def decode_error(body: bytes) -> tuple[str | None, str]:
    """`ErrorCode` and `Message` of an error body; (None, "") if it has neither.

    ASP.NET itself rejects a request that does not match its model, with `title` and `errors`.
    """
    try:
        answer = _decoded(_anything.decode, body)
    except ValueError:
        return None, ""
    if not isinstance(answer, dict):
        return None, ""
    fields = _folded(answer)
    code, message = fields.get("errorcode"), fields.get("message")
    if not message and isinstance(fields.get("title"), str):
        message = fields["title"] + (f" {fields['errors']}" if fields.get("errors") else "")
    return (str(code) if code is not None else None), str(message or "")


def _decoded(decode: Callable[[bytes], Decoded], body: bytes) -> Decoded:
    """The decoded body; raises ValueError also if it is nested too deeply."""
    try:
        return decode(body)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def _listed(answer: Decoded | list[Decoded]) -> list[Decoded]:
    return answer if isinstance(answer, list) else [answer]


def _folded(fields: Mapping[str, Any]) -> dict[str, Any]:
    return {name.lower(): value for name, value in fields.items()}


def _loosely(content: Mapping[str, Any]) -> _WireAgent:
    """An agent with fields of unexpected type or spelling; those that can't be read are None."""
    fields = _folded(content)
    values: dict[str, Any] = {name: fields.get(name.replace("_", "")) for name in _WireAgent.__struct_fields__}
    if not isinstance(values["agent_id"], str):
        raise ValueError(f"AgentId is {values['agent_id']!r}")
    for name in (*_TEXTS, *_THUMBPRINTS):
        value = values[name]
        values[name] = str(value) if isinstance(value, (str, int, float)) and not isinstance(value, bool) else None
    for name in ("agent_platform", "status", "last_error_code"):
        values[name] = _integer(values[name])
    capabilities = values["capabilities"]
    listed = capabilities if isinstance(capabilities, list) else []
    values["capabilities"] = [name for name in listed if isinstance(name, str)]
    flag = values["auth_certificate_reenrollment"]
    if isinstance(flag, float) and flag.is_integer():
        flag = int(flag)
    values["auth_certificate_reenrollment"] = flag if flag is None else str(flag)
    return _WireAgent(**values)


def _agent(wire: _WireAgent) -> Agent:
    thumbprint, last_used = _thumbprint(wire.thumbprint), _thumbprint(wire.last_thumbprint_used)
    # Values that many agents share are kept once, to save memory: there may be 100,000 agents.
    return Agent(
        id=guid.canonical(wire.agent_id),
        machine=wire.client_machine or "",
        identity=sys.intern(wire.username or ""),
        platform=_integer(wire.agent_platform) or 0,
        version=sys.intern(wire.version or ""),
        status=_integer(wire.status) or 0,
        last_seen=wire.last_seen or "",
        capabilities=_kept_once(tuple(wire.capabilities or ())),
        blueprint=sys.intern(wire.blueprint or ""),
        thumbprint=thumbprint,
        legacy_thumbprint=_thumbprint(wire.legacy_thumbprint),
        last_thumbprint_used=thumbprint if last_used == thumbprint else last_used,
        last_error_code=_integer(wire.last_error_code),
        last_error_message=sys.intern(wire.last_error_message or ""),
        flag=sys.intern(_flag(wire.auth_certificate_reenrollment)),
    )


@lru_cache(maxsize=512)
def _kept_once(capabilities: tuple[str, ...]) -> tuple[str, ...]:
    return capabilities


def _integer(value: Any) -> int | None:
    if value is None or type(value) is int:
        return value
    if isinstance(value, str):
        text = value.strip().removeprefix("-")
        return int(value) if text.isascii() and text.isdigit() and len(text) < 20 else None
    return int(value) if isinstance(value, float) and value.is_integer() else None


def _thumbprint(text: str | None) -> str | None:
    if not text:
        return None
    return text.replace(" ", "").replace(":", "").upper() or None


def _flag(value: int | str | None) -> str:
    if value is None:
        return "None"
    text = str(value).strip()
    return NAMES.get(text) or NAMES.get(text.lower(), text) or "None"
