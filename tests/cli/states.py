"""States of version 2 for tests, as an engine exports them, and hostile names of machines."""

import json
import random
import uuid
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

DATA = Path(__file__).with_name("data")
NOW = datetime(2026, 11, 26, 16, 0, tzinfo=UTC)

HOSTILE = (
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "</details></td></tr><h1>owned</h1>",
    "[click](https://evil.example) @everyone #1",
    "`` ` ``` a|b | c",
    "```\n\n# owned\n\n```",
    "\x1b[31mred\x1b[0m\r\n::error::forged\u202etxt",
    "{{ 7*7 }}{% raw %}",
    "--><!--",
    "www.evil.example mail@evil.example https://evil.example",
)


def guid(number: int) -> str:
    """The GUID with a number."""
    return str(uuid.UUID(int=number + 2**127))


def at(**ago: float) -> str:
    """A time before NOW, in the recorded form."""
    return (NOW - timedelta(**ago)).strftime("%Y-%m-%dT%H:%M:%SZ")


def fleet(members: Mapping[str, Mapping[str, Any]], **options: Any) -> dict[str, Any]:
    """The recorded state of one fleet; the status of members is Requested by default."""
    return {
        "version": 2,
        "fleet": "edge",
        "status": "Requested",
        "triggers": {},
        "on_removal": "unset",
        "on_failure": "error",
        **options,
        "members": {key: {"status": "Requested", **member} for key, member in members.items()},
    }


def pulumi_export(**fleets: Mapping[str, Any]) -> bytes:
    """The output of `pulumi stack export` for a stack with these fleets."""
    kind = "pulumi-python:dynamic/keyfactor:OrchestratorReenrollment"
    resources = [
        {"urn": f"urn:pulumi:dev::fleets::{kind}::{name}", "type": kind, "id": name, "inputs": {}, "outputs": state}
        for name, state in fleets.items()
    ]
    return json.dumps({"version": 3, "deployment": {"resources": resources}}).encode()


def terraform_state(**fleets: Mapping[str, Any]) -> bytes:
    """The output of `terraform show -json` for a state with these fleets, each in a separate module."""
    kind = "keyfactorcommand_orchestrator_reenrollment"
    modules = [
        {
            "address": f"module.{name}",
            "resources": [
                {
                    "address": f"module.{name}.{kind}.{name}",
                    "mode": "managed",
                    "type": kind,
                    "name": name,
                    "schema_version": 2,
                    "values": {**{k: v for k, v in state.items() if k not in ("fleet", "version")}, "id": "x"},
                    "sensitive_values": {},
                }
            ],
        }
        for name, state in fleets.items()
    ]
    return json.dumps({"format_version": "1.0", "values": {"root_module": {"child_modules": modules}}}).encode()


def rollout(members: int = 200, seed: int = 1) -> dict[str, Any]:
    """A roll-out in progress, with canaries and waves of `5` and `25%`; some machines have hostile names."""
    chance = random.Random(seed)
    canaries = [guid(number) for number in range(3)]
    recorded: dict[str, dict[str, Any]] = {}
    for number in range(members):
        wave = 0 if number < 3 else 1 if number < 8 else 2 if number < 58 else 3 if number < 108 else 9
        member: dict[str, Any] = {"phase": "due", "machine": f"edge-{number:03}.plant.example"}
        if number >= 8 and number % 9 == 0:
            member["machine"] = HOSTILE[number // 9 % len(HOSTILE)]
        if wave < 9:
            days = (12, 9, 6, 2)[wave] - chance.random()
            member |= {"requested_at": at(days=days), "requested_status": "Requested", "owned_flags": ["Requested"]}
            member |= {"phase": "pending", "baseline_thumbprint": "AB" * 20}
            if chance.random() < (1.0, 1.0, 0.96, 0.5)[wave]:
                member |= {"phase": "re-enrolled", "reenrolled_at": at(days=days * chance.random()), "in_use": True}
                member.pop("owned_flags")
            elif chance.random() < 0.15:
                member |= {"phase": "rejected", "reason": "listed in FailedOrchestratorIds"}
            elif wave == 2:
                member["overdue"] = True
            elif chance.random() < 0.1:
                member |= {"phase": "cleared", "reason": "its flag was cleared outside this stack"}
        recorded[guid(number)] = member
    return fleet(recorded, waves=["5", "25%"], canary_ids=canaries, max_failed="5%", overdue_after=5 * 86400)
