"""What the pytest fixture `keyfactor_command` gives a test: Keyfactor Command in small, to set up and to look at."""

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
    """One request for re-enrollment that Command has seen.

    Attributes:
        status: the status asked for: None, Requested or Required, however it was encoded.
        ids: the GUIDs, in the order in which they were sent.
        code: the HTTP status of the answer.
    """

    status: str
    ids: tuple[str, ...]
    code: int


@dataclass(frozen=True)
class Orchestrator:
    """An orchestrator as Command knows it.

    Attributes:
        id: its GUID.
        machine: ClientMachine.
        flag: AuthCertificateReenrollment: None, Requested or Required.
        thumbprint: of the certificate that Command expects; empty without one.
        in_use: whether it has presented that certificate.
        last_seen: of its last session; None before the first one.
        last_error: Command's message about its last session, where that failed.
    """

    id: str
    machine: str
    flag: str
    thumbprint: str
    in_use: bool
    last_seen: datetime | None
    last_error: str | None


class KeyfactorCommand:
    """A stand-in for Keyfactor Command; it begins without orchestrators."""

    def __init__(self, command: Command) -> None:
        self._command = command

    @property
    def url(self) -> str:
        """Where it serves, on loopback."""
        return self._command.url

    @property
    def environment(self) -> dict[str, str]:
        """The settings for a client, as environment variables; in the test's own process they are set already."""
        return self._command.environment()

    def set_environment(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Sets `environment`, and takes out every other KEYFACTOR_ variable."""
        for name in list(os.environ):
            if name.startswith("KEYFACTOR_"):
                monkeypatch.delenv(name)
        for name, value in self.environment.items():
            monkeypatch.setenv(name, value)

    # Orchestrators

    def populate(self, count: int, *, unapproved: int = 0, without_certificate: int = 0) -> list[str]:
        """Makes orchestrators that enrolled long ago; their GUIDs.

        Args:
            count: how many in all.
            unapproved: so many of them are not approved, so Command rejects requests for them.
            without_certificate: so many of them use no client certificate, so they never re-enroll.
        """
        return self._command.world(populate=count, unapproved=unapproved, without_certificate=without_certificate)

    def add(self, machine: str, **fields: Any) -> str:
        """Makes one orchestrator, a Universal Orchestrator that enrolled long ago; its GUID.

        Args:
            machine: its ClientMachine.
            fields: in what else it differs, by the names of `keyfactor_standins.command.world.Agent`: agent_id,
                agent_platform, version, capabilities, status, ...

        Raises:
            ValueError: there is no such field.
        """
        thumbprint = secrets.token_hex(20).upper()
        usual = {
            "agent_id": str(uuid.uuid4()),
            "agent_platform": 1,
            "version": "25.4.1.0",
            "status": 2,
            "last_seen": self._command.now().isoformat(),
            "capabilities": ["LOGS"],
            "thumbprint": thumbprint,
            "last_thumbprint_used": thumbprint,
        }
        self._command.world(add=[{**usual, "client_machine": machine, **fields}])
        return str(fields.get("agent_id", usual["agent_id"]))

    def change(self, agent_id: str, **fields: Any) -> None:
        """Sets fields of an orchestrator, as somebody else would; flag is 0, 1 or 2.

        Raises:
            ValueError: there is no such orchestrator, field or flag.
        """
        self._command.world(change={agent_id: fields})

    def remove(self, *ids: str) -> None:
        """Deletes orchestrators."""
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
        """Lets orchestrators re-enroll, whatever their flag: new certificate, in use, flag None."""
        self._command.world(reenroll=ids)

    def check_in(self, *ids: str, failing: Mapping[str, str] | None = None) -> None:
        """Lets orchestrators have one session each: they present their certificate, then do what their flag says.

        Args:
            ids: who has a session.
            failing: Command's error message, by GUID, for those of them that fail.
        """
        self._command.world(check_in=ids, fail=failing or {})

    # The clock

    def set_clock(self, time: datetime) -> None:
        """Stops Command's clock at a time; without a time zone it is UTC. It has no effect on any other clock."""
        self._command.world(now=(time if time.tzinfo else time.replace(tzinfo=UTC)).isoformat())

    def advance_clock(self, by: timedelta) -> None:
        """Stops Command's clock that much after the time that it shows."""
        self.set_clock(self._command.now() + by)

    # Faults

    def reject(self, *ids: str) -> None:
        """From now on Command lists these, and no others, in FailedOrchestratorIds."""
        self._command.faults(refused=ids)

    def fault(self, on: str, act: str, **how: Any) -> None:
        """Makes requests go wrong from now on, in addition to other faults.

        Args:
            on: the beginning of "METHOD /path", such as "GET /Agents".
            act: status, delay, drop, ...: see `keyfactor_standins.command.faults.Fault`, also for `how`.
        """
        self._command.faults(more_faults=[{"on": on, "act": act, **how}])

    def settings(self, **settings: Any) -> None:
        """Sets what else can be set: see the attributes of `keyfactor_standins.command.faults.Faults`."""
        self._command.faults(**settings)

    def no_faults(self) -> None:
        """Takes back `reject`, `fault` and `settings`."""
        self._command.calm()

    # What it has seen

    @property
    def requests(self) -> Sequence[Request]:
        """Every request for re-enrollment that could be read, the oldest first."""
        found = []
        for entry in self._command.journal():
            body = entry.get("body")
            if isinstance(body, dict) and isinstance(body.get("OrchestratorIds"), list):
                status = str(body.get("Status"))
                name = FLAGS[int(status)] if status in ("0", "1", "2") else status
                found.append(Request(name, tuple(body["OrchestratorIds"]), entry.get("status", 0)))
        return found

    @property
    def journal(self) -> list[dict[str, Any]]:
        """Every HTTP request: method, path, query, and the status of the answer."""
        return self._command.journal()
