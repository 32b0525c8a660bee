"""A client of the Command stand-in whose pauses take no time, and the life of a fleet on plain values."""

import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from keyfactor_provider.command.client import CommandClient
from keyfactor_provider.command.settings import Settings, load
from keyfactor_provider.dynamic import forms
from keyfactor_provider.messages import Message
from keyfactor_standins.command.process import Command
from tests.support.plain import Plain

SET = "POST /Agents/SetAuthCertificateReenrollment"
ONE = "GET /Agents/"
LIST = "GET /Agents?"
TOKEN = "POST /identity/token"


class Clock:
    """The real time plus all pauses, which take no time.

    Attributes:
        slept: every pause in seconds, in order.
    """

    def __init__(self) -> None:
        self.slept: list[float] = []

    def __call__(self) -> float:
        return time.monotonic() + sum(self.slept)

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)


def settings_for(command: Command, method: str = "basic", **config: str) -> Settings:
    """Settings for the stand-in with one of the three ways to sign in: basic, token or oauth."""
    said = command.said
    environment = {"KEYFACTOR_HOSTNAME": said["url"], "KEYFACTOR_CA_CERT": said.get("ca_cert", "")}
    environment |= {
        "basic": command.environment(),
        "token": {"KEYFACTOR_AUTH_ACCESS_TOKEN": said["access_token"]},
        "oauth": {
            "KEYFACTOR_AUTH_CLIENT_ID": said["client_id"],
            "KEYFACTOR_AUTH_CLIENT_SECRET": said["client_secret"],
            "KEYFACTOR_AUTH_TOKEN_URL": said["token_url"],
        },
    }[method]
    return load(config.get, environment, Path("/nonexistent"))


@dataclass
class Fleet:
    """One fleet, run through `Operations` as an engine would run it.

    Attributes:
        state: the recorded state.
        said: the messages to the user.
    """

    operations: Plain
    said: list[Message]
    name: str = "edge"
    state: dict[str, Any] = field(default_factory=dict)

    def up(self, ids: list[str], status: str = "Requested", **options: Any) -> dict[str, str]:
        """Check, diff, then create or update; returns the recorded phases."""
        raw = {"fleet": self.name, "orchestrator_ids": ids, "status": status, **options}
        checked = self.operations.check(raw, {}, preview=False)
        assert checked.desired is not None, checked.problems
        inputs = forms.inputs(checked.desired)
        if not self.state:
            self.state = self.operations.create(inputs)
        elif self.operations.diff(self.state, inputs):
            self.state = self.operations.update(self.state, inputs)
        return self.phases()

    def phases(self) -> dict[str, str]:
        """The recorded phase of each member."""
        return {member_id: member["phase"] for member_id, member in self.state["members"].items()}

    def counts(self) -> dict[str, int]:
        """The number of members in each phase."""
        return dict(sorted(Counter(self.phases().values()).items()))

    @property
    def trouble(self) -> str:
        """The trouble that the last run recorded."""
        return str(self.state["trouble"])


@dataclass
class Lab:
    """The operations of one process on the stand-in: fleets, their client and its clock."""

    command: Command
    config: Mapping[str, str] = field(default_factory=dict)
    method: str = "basic"

    def __post_init__(self) -> None:
        self.clock = Clock()
        self.said: list[Message] = []
        self.fleets: list[Fleet] = []
        settings = settings_for(self.command, self.method, **self.config)
        self.client = CommandClient(settings, clock=self.clock, sleep=self.clock.sleep)
        self.operations = Plain(lambda: self.client, self.said.append)

    def fleet(self, name: str = "edge", state: Mapping[str, Any] | None = None) -> Fleet:
        """Add a fleet, new or with the state of an earlier run."""
        self.fleets.append(Fleet(self.operations, self.said, name, dict(state or {})))
        return self.fleets[-1]

    def reads(self) -> int:
        """The number of GETs that Command received."""
        return sum(entry["method"] == "GET" for entry in self.command.journal())
