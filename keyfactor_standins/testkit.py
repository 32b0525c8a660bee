"""The object that the pytest fixture `keyfactor_command` provides: a stand-in for Keyfactor Command."""

import os
import secrets
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from keyfactor_standins.command.process import Command

FLAGS = ("None", "Requested", "Required")


@dataclass(frozen=True)
class Request:
    """A request for re-enrollment that Command received.

    Attributes:
        status: None, Requested or Required, however it was encoded.
        ids: the GUIDs in the order in which they were sent.
        code: the HTTP status of the response.
    """

    status: str
    ids: tuple[str, ...]
    code: int


@dataclass(frozen=True)
class Orchestrator:
    """An orchestrator in Command.

    Attributes:
        id: its GUID.
        machine: ClientMachine.
        flag: AuthCertificateReenrollment: None, Requested or Required.
        thumbprint: of the certificate that Command expects; empty without one.
        in_use: whether it has presented that certificate.
        last_seen: the time of its last session; None before the first one.
        last_error: Command's message about its last session, if that failed.
    """

    id: str
    machine: str
    flag: str
    thumbprint: str
    in_use: bool
    last_seen: datetime | None
    last_error: str | None


class KeyfactorCommand:
    """A stand-in for Keyfactor Command; it starts without orchestrators."""

    def __init__(self, command: Command) -> None:
        self._command = command

    @property
    def url(self) -> str:
        """Its address on loopback."""
        return self._command.url

    @property
    def environment(self) -> dict[str, str]:
        """The settings of a client as environment variables; they are set in the process of the test."""
        return self._command.environment()

    def set_environment(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Set `environment`, and remove every other KEYFACTOR_ variable."""
        for name in list(os.environ):
            if name.startswith("KEYFACTOR_"):
                monkeypatch.delenv(name)
        for name, value in self.environment.items():
            monkeypatch.setenv(name, value)

    # Orchestrators

    def populate(self, count: int, *, unapproved: int = 0, without_certificate: int = 0) -> list[str]:
        """Add enrolled orchestrators; returns their GUIDs.

        Args:
            count: the total.
            unapproved: how many of them are not approved, so that Command rejects requests for them.
            without_certificate: how many of them use no client certificate, so that they never re-enroll.
        """
        return self._command.world(populate=count, unapproved=unapproved, without_certificate=without_certificate)

    def add(self, machine: str, **fields: Any) -> str:
        """Add one orchestrator, by default an enrolled Universal Orchestrator; returns its GUID.

        Args:
            machine: its ClientMachine.
            fields: other fields of `keyfactor_standins.command.world.Agent`: agent_id, agent_platform, version,
                capabilities, status, ...

        Raises:
            ValueError: a field does not exist.
        """
        thumbprint = secrets.token_hex(20).upper()
        defaults = {
            "agent_id": str(uuid.uuid4()),
            "agent_platform": 1,
            "version": "25.4.1.0",
            "status": 2,
            "last_seen": self._command.now().isoformat(),
            "capabilities": ["LOGS"],
            "thumbprint": thumbprint,
            "last_thumbprint_used": thumbprint,
        }
        self._command.world(add=[{**defaults, "client_machine": machine, **fields}])
        return str(fields.get("agent_id", defaults["agent_id"]))

    def change(self, agent_id: str, **fields: Any) -> None:
        """Set fields of an orchestrator from outside; flag is 0, 1 or 2.

        Raises:
            ValueError: the orchestrator, the field or the flag does not exist.
        """
        self._command.world(change={agent_id: fields})

    def remove(self, *ids: str) -> None:
        """Delete orchestrators."""
        self._command.world(remove=ids)

    @property
    def orchestrators(self) -> dict[str, Orchestrator]:
        """All orchestrators, by GUID."""
        return {
            agent["agent_id"]: Orchestrator(
                id=agent["agent_id"],
                machine=agent["client_machine"],
                flag=FLAGS[agent["flag"]],
                thumbprint=agent["thumbprint"] or "",
                in_use=bool(agent["thumbprint"]) and agent["thumbprint"] == agent["last_thumbprint_used"],
                last_seen=datetime.fromisoformat(agent["last_seen"]) if agent["last_seen"] else None,
                last_error=agent["last_error_message"],
            )
            for agent in self._command.agents()
        }

    def reenroll(self, *ids: str) -> None:
        """Re-enroll orchestrators, whatever their flag: new certificate, in use, flag None."""
        self._command.world(reenroll=ids)

    def check_in(self, *ids: str, failing: Mapping[str, str] | None = None) -> None:
        """Simulate one session of each orchestrator: it presents its certificate, then does what its flag says.

        Args:
            ids: the orchestrators.
            failing: by GUID, Command's error message for those that fail.
        """
        self._command.world(check_in=ids, fail=failing or {})

    # The clock

    def set_clock(self, time: datetime) -> None:
        """Stop Command's clock at a time (UTC without a time zone). Other clocks are not affected."""
        self._command.world(now=(time if time.tzinfo else time.replace(tzinfo=UTC)).isoformat())

    def advance_clock(self, by: timedelta) -> None:
        """Stop Command's clock this long after its current time."""
        self.set_clock(self._command.now() + by)

    # Faults

    def reject(self, *ids: str) -> None:
        """Make Command reject requests for these orchestrators, and no others (FailedOrchestratorIds)."""
        self._command.faults(refused=ids)

    def fault(self, on: str, act: str, **how: Any) -> None:
        """Add a fault.

        Args:
            on: the beginning of "METHOD /path", such as "GET /Agents".
            act: status, delay, drop, ...; see `keyfactor_standins.command.faults.Fault`.
            how: other attributes of `Fault`.
        """
        self._command.faults(more_faults=[{"on": on, "act": act, **how}])

    def settings(self, **settings: Any) -> None:
        """Change settings: the attributes of `keyfactor_standins.command.faults.Faults`."""
        self._command.faults(**settings)

    def no_faults(self) -> None:
        """Undo `reject`, `fault` and `settings`."""
        self._command.calm()

    # Received requests

    @property
    def requests(self) -> Sequence[Request]:
        """Every well-formed request for re-enrollment, the oldest first."""
        requests = []
        for entry in self._command.journal():
            body = entry.get("body")
            if isinstance(body, dict) and isinstance(body.get("OrchestratorIds"), list):
                status = str(body.get("Status"))
                name = FLAGS[int(status)] if status in ("0", "1", "2") else status
                requests.append(Request(name, tuple(body["OrchestratorIds"]), entry.get("status", 0)))
        return requests

    @property
    def journal(self) -> list[dict[str, Any]]:
        """Every HTTP request: method, path, query, and the status of the response."""
        return self._command.journal()
