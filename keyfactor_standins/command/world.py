"""The data of this Command and its rules, without HTTP: orchestrators, their flags and certificates."""

import json
import random
import sys
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TextIO

FLAGS = ("None", "Requested", "Required")
NEW, APPROVED, DISAPPROVED = 1, 2, 3
NATIVE, UNIVERSAL = 5, 1
"""AgentPlatform. The recorded server returns 1 for a Universal Orchestrator."""

_EDGE = ["CertStores.PEM.Inventory", "CertStores.PEM.Management", "Custom.FetchLogs"]
_CORE = ["CertStores.IIS.Inventory", "LOGS"]
_OLD_C_AGENT = (2, 15, 2)
"""A C agent older than this ignores the status Requested (Keyfactor-CAgent, session.c)."""
NOT_APPROVED = "0xA0100001"
"""Our choice: no source gives the code for an orchestrator that is not approved."""
_CANNOT_RENEW = 0xA0110008
"""Our choice: no source gives the code that Command records when an orchestrator fails to renew its certificate."""


@dataclass(slots=True)
class Agent:
    """An orchestrator, with the fields of GET /Agents.

    Attributes:
        thumbprint: None before the orchestrator has enrolled; empty, like the other two thumbprints, if it uses no
            client certificate.
    """

    agent_id: str
    client_machine: str
    username: str = ""
    agent_platform: int = NATIVE
    version: str = "2.15.2.0"
    status: int = NEW
    last_seen: str = ""
    capabilities: list[str] = field(default_factory=list)
    blueprint: str | None = None
    thumbprint: str | None = None
    legacy_thumbprint: str | None = None
    flag: int = 0
    last_thumbprint_used: str | None = None
    last_error_code: int | None = None
    last_error_message: str | None = None

    @property
    def uses_certificate(self) -> bool:
        """Whether it authenticates to Command with a client certificate, or will once it has enrolled."""
        return self.thumbprint != ""

    @property
    def obeys(self) -> bool:
        """Whether it enrolls in its next session: its flag is set, and its version supports that flag."""
        if not self.flag or not self.uses_certificate:
            return False
        old = self.agent_platform == NATIVE and _numbers(self.version) < _OLD_C_AGENT
        return FLAGS[self.flag] == "Required" or not old


class Refused(Exception):
    """Command refuses a request, with this HTTP status and error body."""

    def __init__(self, message: str, code: str = "0xA0110001", status: int = 400) -> None:
        super().__init__(message)
        self.message, self.code, self.status = message, code, status


class UnreadableStateError(Exception):
    """The state file was not written by this stand-in."""


def plain(guid: str) -> str:
    """A GUID in this Command's format: lower case, without braces."""
    return (guid[1:-1] if guid[:1] == "{" and guid[-1:] == "}" else guid).lower()


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".") if part.isdecimal())


class World:
    """All orchestrators, written to the state file, if there is one, after each change.

    Attributes:
        agents: by GUID.
        kept: other values that are kept across restarts, by name.
        flags_before: by GUID, the flag before the last request that named an orchestrator; without orchestrators that
            have re-enrolled since.

    Args:
        seed: determines the GUIDs and thumbprints of a new fleet.
        state: a file with one JSON object a line, of which the last one of an orchestrator counts; None keeps
            everything in memory.
    """

    def __init__(self, seed: int = 1, state: Path | None = None) -> None:
        self.agents: dict[str, Agent] = {}
        self.kept: dict[str, Any] = {}
        self.flags_before: dict[str, int] = {}
        self._order: list[Agent] | None = None
        self._file: TextIO | None = None
        if state is not None:
            self._load(state)
            self._file = state.open("a", encoding="utf-8")
        self._seed = seed
        # The same seed would produce the GUIDs of the stored fleet again.
        self._random = random.Random(None if self.agents else seed)

    @property
    def new(self) -> bool:
        """Whether the state was empty at the start."""
        return not self.agents and not self.kept

    def _load(self, state: Path) -> None:
        lines = state.read_text(encoding="utf-8", errors="replace").split("\n") if state.exists() else [""]
        # A kill can cut off the last line, whose request was never answered. The first line is always complete.
        whole = lines[:-1] or lines[: bool(lines[0])]
        for number, line in enumerate(whole, 1):
            try:
                self._recall(json.loads(line))
            except (ValueError, TypeError, KeyError):
                raise UnreadableStateError(f"line {number} of {state} is not the stand-in's: {line[:60]!r}") from None
        news = state.with_name(f"{state.name}.new")
        news.write_text(
            "".join(
                json.dumps(entry) + "\n"
                for entry in ({"kept": self.kept}, *({"agent": asdict(agent)} for agent in self.agents.values()))
            ),
            encoding="utf-8",
        )
        news.replace(state)

    def _recall(self, entry: dict[str, Any]) -> None:
        if "agent" in entry:
            agent = Agent(**entry["agent"])
            self.agents[agent.agent_id] = agent
        elif "gone" in entry:
            self.agents.pop(entry["gone"], None)
        else:
            self.kept |= entry["kept"]

    def keep(self, name: str, value: Any) -> None:
        """Keep a value, such as a key, across restarts."""
        self.kept[name] = value
        self._write({"kept": {name: value}})

    def _write(self, *entries: dict[str, Any]) -> None:
        if self._file is not None:
            self._file.write("".join(json.dumps(entry) + "\n" for entry in entries))
            self._file.flush()

    def _saved(self, *agents: Agent) -> None:
        if self._file is not None:
            self._write(*({"agent": asdict(agent)} for agent in agents))

    def guid(self) -> str:
        """A new GUID, determined by the seed."""
        return str(uuid.UUID(int=self._random.getrandbits(128), version=4))

    def thumbprint(self) -> str:
        """A new thumbprint, determined by the seed."""
        return f"{self._random.getrandbits(160):040X}"

    def now(self) -> datetime:
        """The time of this Command in UTC: the one that was set, or the machine's."""
        fixed = self.kept.get("now")
        return datetime.fromisoformat(fixed) if fixed else datetime.now(UTC)

    def set_clock(self, time: str | None) -> None:
        """Stop the clock at a time, or follow the machine's clock again; kept across restarts.

        Args:
            time: RFC 3339, UTC without an offset; None for the machine's clock.

        Raises:
            ValueError: the time is malformed.
        """
        moment = datetime.fromisoformat(time) if time is not None else None
        if moment is not None and moment.tzinfo is None:
            moment = moment.replace(tzinfo=UTC)
        self.keep("now", moment.astimezone(UTC).isoformat() if moment else None)

    def stamp(self) -> str:
        """The current time in Command's format: UTC, with milliseconds."""
        return self.now().strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"

    def populate(self, count: int, unapproved: int = 0, without_certificate: int = 0) -> list[Agent]:
        """Add enrolled orchestrators, alternately edge-NNN (C agent) and core-NNN (Universal).

        Args:
            count: the total.
            unapproved: how many, at the end, are not approved.
            without_certificate: how many, at the beginning, use no client certificate (empty thumbprints); these are
                named uo-NNN.
        """
        agents, seen = [], self.stamp()
        for number in range(count):
            plain_login = number < without_certificate
            edge = number % 2 == 0 and not plain_login
            group = "uo" if plain_login else "edge" if edge else "core"
            print_ = "" if plain_login else self.thumbprint()
            agents.append(
                Agent(
                    agent_id=self.guid(),
                    client_machine=f"{group}-{len(self.agents) + number + 1:03}.plant.example",
                    username=sys.intern(f"PLANT\\svc-{group}"),
                    agent_platform=NATIVE if edge else UNIVERSAL,
                    version="2.15.2.0" if edge else "25.4.1.0",
                    status=NEW if number >= count - unapproved else APPROVED,
                    last_seen=seen,
                    capabilities=_EDGE if edge else _CORE,
                    thumbprint=print_,
                    legacy_thumbprint="" if plain_login else None,
                    last_thumbprint_used=print_,
                )
            )
        self.add(*agents)
        return agents

    def add(self, *agents: Agent) -> None:
        """Add orchestrators; their GUIDs are written in this Command's format."""
        for agent in agents:
            agent.agent_id = plain(agent.agent_id)
        self.agents.update((agent.agent_id, agent) for agent in agents)
        self._order = None
        self._saved(*agents)

    def remove(self, agent_id: str) -> None:
        """Delete an orchestrator."""
        gone = self.agents.pop(self.known(agent_id).agent_id)
        self._order = None
        self._write({"gone": gone.agent_id})

    def clear(self) -> None:
        """Delete every orchestrator, follow the machine's clock again, and start again with the GUIDs of the seed."""
        for agent_id in list(self.agents):
            self.remove(agent_id)
        self.flags_before.clear()
        self._random = random.Random(self._seed)
        self.set_clock(None)

    def change(self, agent_id: str, **fields: Any) -> Agent:
        """Set fields of an orchestrator from outside."""
        agent = self.known(agent_id)
        for name, value in fields.items():
            if not hasattr(agent, name):
                raise Refused(f"an orchestrator has no field {name!r}")
            if name == "flag" and value not in range(len(FLAGS)):
                raise Refused(f"{value!r} is not a flag; expected 0, 1 or 2")
            setattr(agent, name, value)
        self._saved(agent)
        return agent

    def known(self, agent_id: str, status: int = 404) -> Agent:
        """The orchestrator with this GUID; raises Refused with this HTTP status if there is none. 404 is our choice."""
        agent = self.agents.get(plain(agent_id))
        if agent is None:
            raise Refused(f"Agent {agent_id} was not found.", status=status)
        return agent

    def in_order(self) -> list[Agent]:
        """All orchestrators in the order in which Command lists them: by GUID."""
        if self._order is None:
            self._order = [self.agents[agent_id] for agent_id in sorted(self.agents)]
        return self._order

    def set_flag(self, agent_ids: Iterable[str], flag: int, refused: frozenset[str]) -> list[str]:
        """Set the flag of many orchestrators; returns the GUIDs that failed, as they were written.

        Our choice, since it is undocumented: an unknown GUID fails, and so does a New or Disapproved orchestrator
        unless its flag is cleared; setting the current value succeeds; a GUID that is listed twice counts twice.
        """
        failed, changed = [], {}
        for agent_id in agent_ids:
            agent = self.agents.get(plain(agent_id))
            if agent is None or agent.agent_id in refused or (flag and agent.status != APPROVED):
                failed.append(agent_id)
                continue
            self.flags_before[agent.agent_id] = agent.flag
            if agent.flag != flag:
                agent.flag = flag
                changed[agent.agent_id] = agent
        self._saved(*changed.values())
        return failed

    def judge(self, agent_ids: Iterable[str], status: int) -> None:
        """Approve or disapprove. Our choice: all or none, and 400 for an unknown GUID, as in Reset."""
        agents = [self.known(agent_id, 400) for agent_id in agent_ids]
        for agent in agents:
            agent.status = status
        self._saved(*agents)

    def reset(self, agent_ids: Iterable[str]) -> None:
        """Reset to New, without certificates (AgentsResetPOST). Our choice: the flag is cleared as well."""
        agents = [self.known(agent_id, 400) for agent_id in agent_ids]
        for agent in agents:
            agent.status, agent.flag = NEW, 0
            agent.thumbprint = agent.legacy_thumbprint = agent.last_thumbprint_used = None
        self._saved(*agents)

    def issued(self, agent: Agent, thumbprint: str) -> None:
        """Expect a newly issued certificate from now on, and clear the flag."""
        self.flags_before.pop(agent.agent_id, None)
        agent.legacy_thumbprint, agent.thumbprint, agent.flag = agent.thumbprint, thumbprint, 0
        self.succeeded(agent)

    def reenroll(self, agent_ids: Iterable[str]) -> None:
        """Re-enroll orchestrators that do not run, with the new certificate in use.

        Raises:
            Refused: an orchestrator is unknown, or uses no client certificate.
        """
        for agent_id in agent_ids:
            agent = self.known(agent_id)
            if not agent.uses_certificate:
                raise Refused(f"{agent_id} uses no client certificate, so it can't re-enroll")
            self.issued(agent, self.thumbprint())
            self.seen(agent, agent.thumbprint)

    def check_in(self, agent_ids: Iterable[str], failing: Mapping[str, str]) -> None:
        """Simulate one session of each of these orchestrators.

        An orchestrator presents its certificate. If its flag is set, it then enrolls for a new one, which it presents
        in its next session. A C agent that is too old for Requested ignores that flag.

        Args:
            agent_ids: the orchestrators.
            failing: by GUID, Command's error message for those that fail to register.

        Raises:
            Refused: an orchestrator is unknown, or `failing` names one that is not in `agent_ids`.
        """
        sessions = {agent.agent_id: agent for agent in map(self.known, agent_ids)}
        errors = {plain(agent_id): message for agent_id, message in failing.items()}
        if strangers := errors.keys() - sessions.keys():
            raise Refused(f"{min(strangers)} is in `fail` but not in `check_in`")
        for agent_id, agent in sessions.items():
            if agent_id in errors:
                self.seen(agent, None)
                self.failed(agent, _CANNOT_RENEW, errors[agent_id])
                continue
            self.seen(agent, agent.thumbprint)
            if agent.status != APPROVED:
                self.failed(agent, int(NOT_APPROVED, 16), "The orchestrator is not approved.")
            elif agent.thumbprint is None or agent.obeys:
                self.issued(agent, self.thumbprint())
            else:
                self.succeeded(agent)

    def failed(self, agent: Agent, code: int, message: str) -> None:
        """Record a failed registration. Our choice: so is one not approved, but not one that is told to enroll."""
        agent.last_error_code, agent.last_error_message = code, message
        self._saved(agent)

    def succeeded(self, agent: Agent) -> None:
        """Record a successful registration, which clears the last error."""
        agent.last_error_code = agent.last_error_message = None
        self._saved(agent)

    def seen(self, agent: Agent, presented: str | None) -> None:
        """Record that an orchestrator registers; `presented` is the thumbprint of its certificate, if any."""
        agent.last_seen = self.stamp()
        if presented:
            agent.last_thumbprint_used = presented
            if presented == agent.thumbprint:
                agent.legacy_thumbprint = None
        self._saved(agent)
