"""What this Command knows, and its rules: orchestrators, their flags and certificates. No HTTP in it."""

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
"""AgentPlatform. The recorded server gives 1 for a Universal Orchestrator."""

_EDGE = ["CertStores.PEM.Inventory", "CertStores.PEM.Management", "Custom.FetchLogs"]
_CORE = ["CertStores.IIS.Inventory", "LOGS"]
_OLD_C_AGENT = (2, 15, 2)
"""A C agent older than this ignores the status Requested (Keyfactor-CAgent, session.c)."""
NOT_APPROVED = "0xA0100001"
"""Our choice: no source gives the code for an orchestrator that is not approved."""
_CANNOT_RENEW = 0xA0110008
"""Our choice: no source gives the code that Command notes when an orchestrator fails to renew its certificate."""


@dataclass(slots=True)
class Agent:
    """An orchestrator, with the fields of GET /Agents.

    Attributes:
        thumbprint: an empty string, as are the other two, where the orchestrator uses no client certificate; None
            where it has not enrolled yet.
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
        """Whether it enrolls at its next session: its flag says so, and its version understands that flag."""
        if not self.flag or not self.uses_certificate:
            return False
        old = self.agent_platform == NATIVE and _numbers(self.version) < _OLD_C_AGENT
        return FLAGS[self.flag] == "Required" or not old


class Refused(Exception):
    """A request that Command turns down, with its HTTP status and error body."""

    def __init__(self, message: str, code: str = "0xA0110001", status: int = 400) -> None:
        super().__init__(message)
        self.message, self.code, self.status = message, code, status


class UnreadableStateError(Exception):
    """A file given as the state is not one."""


def plain(guid: str) -> str:
    """A GUID as this Command writes it: lower case, without braces."""
    return (guid[1:-1] if guid[:1] == "{" and guid[-1:] == "}" else guid).lower()


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".") if part.isdecimal())


class World:
    """Every orchestrator, on disk after each change where a file is given.

    Attributes:
        agents: by GUID.
        kept: what survives a restart besides them.
        flags_before: the flag of an orchestrator before the last request that named it, by GUID. An orchestrator
            that has re-enrolled since is not in it.

    Args:
        seed: makes the GUIDs and thumbprints of a fleet the same each time; without effect on one that is kept.
        state: one JSON object a line, the newest of an orchestrator counts; None keeps all in memory.
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
        # Begun again, the sequence would give out what it gave out before.
        self._random = random.Random(None if self.agents else seed)

    @property
    def new(self) -> bool:
        """Whether nobody has used it yet."""
        return not self.agents and not self.kept

    def _load(self, state: Path) -> None:
        lines = state.read_text(encoding="utf-8", errors="replace").split("\n") if state.exists() else [""]
        # A kill can tear the last line; what it would have said was never answered. The first one is always whole.
        whole = lines[:-1] or lines[: bool(lines[0])]
        for number, line in enumerate(whole, 1):
            try:
                self._recall(json.loads(line))
            except (ValueError, TypeError, KeyError):
                raise UnreadableStateError(f"line {number} of {state} is not the stand-in's: {line[:60]!r}") from None
        news = state.with_name(f"{state.name}.new")
        news.write_text(
            "".join(
                json.dumps(each) + "\n"
                for each in (
                    {"kept": self.kept},
                    *({"agent": asdict(agent)} for agent in self.agents.values()),
                )
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
        """Remembers something besides the orchestrators, such as a key, over a restart."""
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
        """A new GUID, the same for the same seed."""
        return str(uuid.UUID(int=self._random.getrandbits(128), version=4))

    def thumbprint(self) -> str:
        """What a certificate's thumbprint looks like, for a fleet that was there before this process."""
        return f"{self._random.getrandbits(160):040X}"

    def now(self) -> datetime:
        """The time of this Command: the one that was set, else the machine's. In UTC."""
        fixed = self.kept.get("now")
        return datetime.fromisoformat(fixed) if fixed else datetime.now(UTC)

    def set_clock(self, time: str | None) -> None:
        """Stops the clock at a time, or starts it again; it survives a restart as it is.

        Args:
            time: RFC 3339; without an offset it is UTC. None for the machine's clock.

        Raises:
            ValueError: it is no such time.
        """
        given = datetime.fromisoformat(time) if time is not None else None
        if given is not None and given.tzinfo is None:
            given = given.replace(tzinfo=UTC)
        self.keep("now", given.astimezone(UTC).isoformat() if given else None)

    def stamp(self) -> str:
        """The time as Command writes it: UTC, with milliseconds."""
        return self.now().strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"

    def populate(self, count: int, unapproved: int = 0, without_certificate: int = 0) -> list[Agent]:
        """Adds orchestrators that were there before: by turns edge-NNN (C agent) and core-NNN (Universal).

        Args:
            count: how many in all.
            unapproved: the last so many are not approved yet.
            without_certificate: the first so many, uo-NNN, use no client certificate: their thumbprints are empty.
        """
        made, seen = [], self.stamp()
        for number in range(count):
            plain_login = number < without_certificate
            edge = number % 2 == 0 and not plain_login
            group = "uo" if plain_login else "edge" if edge else "core"
            print_ = "" if plain_login else self.thumbprint()
            made.append(
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
        self.add(*made)
        return made

    def add(self, *agents: Agent) -> None:
        """Adds orchestrators as they are, but for the spelling of their GUIDs."""
        for agent in agents:
            agent.agent_id = plain(agent.agent_id)
        self.agents.update((agent.agent_id, agent) for agent in agents)
        self._order = None
        self._saved(*agents)

    def remove(self, agent_id: str) -> None:
        """Deletes an orchestrator."""
        gone = self.agents.pop(self.known(agent_id).agent_id)
        self._order = None
        self._write({"gone": gone.agent_id})

    def clear(self) -> None:
        """Deletes every orchestrator, and lets the clock go again."""
        for agent_id in list(self.agents):
            self.remove(agent_id)
        self.flags_before.clear()
        self.set_clock(None)

    def change(self, agent_id: str, **fields: Any) -> Agent:
        """Sets fields of an orchestrator, as somebody else would."""
        agent = self.known(agent_id)
        for name, value in fields.items():
            if not hasattr(agent, name):
                raise Refused(f"an orchestrator has no field {name!r}")
            if name == "flag" and value not in range(len(FLAGS)):
                raise Refused(f"{value!r} is no flag; expected 0, 1 or 2")
            setattr(agent, name, value)
        self._saved(agent)
        return agent

    def known(self, agent_id: str, status: int = 404) -> Agent:
        """The orchestrator of that GUID; Refused with that HTTP status where there is none. 404 is our choice."""
        agent = self.agents.get(plain(agent_id))
        if agent is None:
            raise Refused(f"Agent {agent_id} was not found.", status=status)
        return agent

    def in_order(self) -> list[Agent]:
        """Every orchestrator by its GUID, the order in which Command lists them."""
        if self._order is None:
            self._order = [self.agents[agent_id] for agent_id in sorted(self.agents)]
        return self._order

    def set_flag(self, agent_ids: Iterable[str], flag: int, refused: frozenset[str]) -> list[str]:
        """Sets the flag of many; the GUIDs that failed, as they were written.

        Our choice, since nobody documents it: an unknown GUID fails, so does a New or Disapproved
        orchestrator unless its flag is cleared; setting the value already set succeeds; a GUID that is
        there twice counts twice.
        """
        failed, changed = [], {}
        for given in agent_ids:
            agent = self.agents.get(plain(given))
            if agent is None or agent.agent_id in refused or (flag and agent.status != APPROVED):
                failed.append(given)
                continue
            self.flags_before[agent.agent_id] = agent.flag
            if agent.flag != flag:
                agent.flag = flag
                changed[agent.agent_id] = agent
        self._saved(*changed.values())
        return failed

    def judge(self, agent_ids: Iterable[str], status: int) -> None:
        """Approves or disapproves. Our choice: all or nothing, and 400 for an unknown one, as Reset answers."""
        agents = [self.known(agent_id, 400) for agent_id in agent_ids]
        for agent in agents:
            agent.status = status
        self._saved(*agents)

    def reset(self, agent_ids: Iterable[str]) -> None:
        """Back to New, without certificates (AgentsResetPOST). Our choice: the flag is cleared as well."""
        agents = [self.known(agent_id, 400) for agent_id in agent_ids]
        for agent in agents:
            agent.status, agent.flag = NEW, 0
            agent.thumbprint = agent.legacy_thumbprint = agent.last_thumbprint_used = None
        self._saved(*agents)

    def issued(self, agent: Agent, thumbprint: str) -> None:
        """A new certificate was issued: it is expected from now on, and the flag has done its work."""
        self.flags_before.pop(agent.agent_id, None)
        agent.legacy_thumbprint, agent.thumbprint, agent.flag = agent.thumbprint, thumbprint, 0
        self.succeeded(agent)

    def reenroll(self, agent_ids: Iterable[str]) -> None:
        """Stands for a whole re-enrollment, certificate in use, where no orchestrator runs.

        Raises:
            Refused: there is no such orchestrator, or it uses no client certificate.
        """
        for agent_id in agent_ids:
            agent = self.known(agent_id)
            if not agent.uses_certificate:
                raise Refused(f"{agent_id} uses no client certificate, so it can't re-enroll")
            self.issued(agent, self.thumbprint())
            self.seen(agent, agent.thumbprint)

    def check_in(self, agent_ids: Iterable[str], failing: Mapping[str, str]) -> None:
        """One session of each of these orchestrators, where none runs.

        An orchestrator presents the certificate that it has. If its flag tells it to, it then enrolls for a new
        one, which it presents at its next session. A C agent that is too old for Requested ignores it.

        Args:
            agent_ids: who has a session.
            failing: Command's error message by GUID, for those of them that fail to register.

        Raises:
            Refused: there is no such orchestrator, or one that fails has no session.
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
        """A registration failed. Our choice: so does one that is not approved; an order to enroll is none."""
        agent.last_error_code, agent.last_error_message = code, message
        self._saved(agent)

    def succeeded(self, agent: Agent) -> None:
        """A registration went well: it clears the last error."""
        agent.last_error_code = agent.last_error_message = None
        self._saved(agent)

    def seen(self, agent: Agent, presented: str | None) -> None:
        """An orchestrator registers, with that certificate presented; None where none was."""
        agent.last_seen = self.stamp()
        if presented:
            agent.last_thumbprint_used = presented
            if presented == agent.thumbprint:
                agent.legacy_thumbprint = None
        self._saved(agent)
