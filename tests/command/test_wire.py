"""Decoding responses of Command: every published type of a field, and unexpected ones."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from keyfactor_provider.command import wire
from keyfactor_provider.status import ReenrollmentStatus

GUID = "3f2504e0-4f89-11d3-9a0c-0305e82c3301"
OTHER = "3f2504e0-4f89-11d3-9a0c-0305e82c3302"


def read(**fields: Any) -> wire.Agent:
    return wire.decode_page(json.dumps([{"AgentId": GUID, **fields}]).encode())[0]


@pytest.mark.parametrize(
    ("value", "flag"),
    [
        (0, "None"),
        (1, "Requested"),
        (2, "Required"),
        ("0", "None"),
        ("1", "Requested"),
        (" 2 ", "Required"),
        ("none", "None"),
        ("REQUESTED", "Requested"),
        ("Required", "Required"),
        (None, "None"),
        ("", "None"),
        (2.0, "Required"),
        # An unknown value is kept as sent.
        (7, "7"),
        ("Suspended", "Suspended"),
        (True, "True"),
        ({"Name": "Required"}, "{'Name': 'Required'}"),
    ],
)
def test_a_flag_is_read_as_number_digits_or_name(value: Any, flag: str) -> None:
    assert read(AuthCertificateReenrollment=value).flag == flag


def test_a_flag_that_is_not_there_is_none() -> None:
    assert read().flag == "None"


@pytest.mark.parametrize(
    ("field", "value", "attribute", "shown"),
    [
        ("ClientMachine", "edge-1", "machine", "edge-1"),
        ("ClientMachine", None, "machine", ""),
        ("ClientMachine", 7, "machine", "7"),
        ("ClientMachine", ["a"], "machine", ""),
        ("ClientMachine", True, "machine", ""),
        ("Username", {"a": 1}, "identity", ""),
        ("Version", 2.5, "version", "2.5"),
        ("AgentPlatform", 99, "platform", 99),
        ("AgentPlatform", "5", "platform", 5),
        ("AgentPlatform", "Native", "platform", 0),
        ("AgentPlatform", [5], "platform", 0),
        ("AgentPlatform", 1.5, "platform", 0),
        ("Status", 4, "status", 4),
        ("Status", "2", "status", 2),
        ("Status", 2.0, "status", 2),
        ("Status", True, "status", 0),
        ("Status", "9" * 5000, "status", 0),
        ("Status", 10**30, "status", 10**30),
        ("LastErrorCode", -2147467259, "last_error_code", -2147467259),
        ("LastErrorCode", "-5", "last_error_code", -5),
        ("LastErrorCode", "--5", "last_error_code", None),
        ("LastErrorCode", "0xA0", "last_error_code", None),
        ("Capabilities", ["LOGS", None, 7, "CertStores"], "capabilities", ("LOGS", "CertStores")),
        ("Capabilities", "LOGS", "capabilities", ()),
        ("Capabilities", None, "capabilities", ()),
        ("Thumbprint", "ab:cd ef", "thumbprint", "ABCDEF"),
        ("Thumbprint", "", "thumbprint", None),
        ("Thumbprint", " ", "thumbprint", None),
        ("Thumbprint", ["AB"], "thumbprint", None),
        ("LegacyThumbprint", 1234, "legacy_thumbprint", "1234"),
        ("LastThumbprintUsed", None, "last_thumbprint_used", None),
        ("Blueprint", False, "blueprint", ""),
    ],
)
def test_a_field_is_read_as_far_as_it_can_be(field: str, value: Any, attribute: str, shown: Any) -> None:
    assert getattr(read(**{field: value}), attribute) == shown


def test_one_odd_agent_in_a_page_of_a_thousand_spoils_neither_itself_nor_the_others() -> None:
    page: list[dict[str, Any]] = [
        {"AgentId": f"00000000-0000-4000-8000-{number:012}", "Thumbprint": f"{number}A"} for number in range(1000)
    ]
    page[500] |= {"AgentPlatform": {}, "Version": 3, "Capabilities": [None], "Status": [], "New": [{}]}
    agents = wire.decode_page(json.dumps(page).encode())
    assert [agent.thumbprint for agent in agents] == [f"{number}A" for number in range(1000)]


def test_another_spelling_of_the_names_is_read_as_well() -> None:
    text = f'[{{"agentId": "{GUID}", "authCertificateReenrollment": "Required", "lastErrorCode": 3}}]'
    (agent,) = wire.decode_page(text.encode())
    assert (agent.id, agent.flag, agent.last_error_code) == (GUID, "Required", 3)


@pytest.mark.parametrize("agent_id", [None, 7, "", "edge-1", [], f"{GUID}0"])
def test_an_agent_that_cannot_be_told_from_others_spoils_the_page(agent_id: Any) -> None:
    page = json.dumps([{"AgentId": GUID}, {"AgentId": agent_id}]).encode()
    with pytest.raises(ValueError, match=r"AgentId|not an orchestrator's GUID"):
        wire.decode_page(page)


@pytest.mark.parametrize("shape", ["{}", "[{}]"])
def test_one_agent_comes_as_object_or_list(shape: str) -> None:
    text = json.dumps({"AgentId": f"{{{GUID.upper()}}}", "Version": 3})
    (agent,) = wire.decode_one(shape.replace("{}", text).encode())
    assert (agent.id, agent.version) == (GUID, "3")


@pytest.mark.parametrize(
    "body", [b"", b"{", b"null", b'"text"', b"[1]", b"{}", b"[[]]", b"\xff", b'{"AgentId":' + b"[" * 90_000]
)
def test_a_body_of_another_kind_is_a_value_error(body: bytes) -> None:
    for decode in (wire.decode_page, wire.decode_one):
        with pytest.raises(ValueError, match=r"."):
            decode(body)


@pytest.mark.parametrize(
    ("text", "at"),
    [
        ("2026-11-25T10:00:00Z", datetime(2026, 11, 25, 10, tzinfo=UTC)),
        ("2026-11-25T10:00:00", datetime(2026, 11, 25, 10, tzinfo=UTC)),
        ("2026-11-25T12:00:00+02:00", datetime(2026, 11, 25, 10, tzinfo=UTC)),
        ("2026-11-25T10:00:00.5Z", datetime(2026, 11, 25, 10, 0, 0, 500_000, tzinfo=UTC)),
        ("2026-11-25T10:00:00.1234567", datetime(2026, 11, 25, 10, 0, 0, 123_456, tzinfo=UTC)),
        ("", None),
        ("yesterday", None),
    ],
)
def test_when_an_agent_was_seen_is_read_in_every_form(text: str, at: datetime | None) -> None:
    assert read(LastSeen=text).seen_at == at


@pytest.mark.parametrize(("encoding", "status"), [("integer", 2), ("string", "Required"), ("digits", "2")])
def test_the_request_is_that_of_the_vendors_page(encoding: wire.Encoding, status: Any) -> None:
    sent = json.loads(wire.encode_request([GUID, OTHER], ReenrollmentStatus.REQUIRED, encoding))
    assert sent == {"OrchestratorIds": [GUID, OTHER], "Status": status}
