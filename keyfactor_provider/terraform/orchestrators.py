"""The data sources keyfactorcommand_orchestrator and keyfactorcommand_orchestrators."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any, Final

from tf.schema import Attribute, Schema
from tf.types import Bool, List, Number, String
from tf.utils import Diagnostics

from keyfactor_provider import guid
from keyfactor_provider.errors import InputError, LookupRefused, Problem
from keyfactor_provider.terraform.calls import Call, State
from keyfactor_provider.terraform.diagnostics import add_problems
from keyfactor_provider.terraform.shared import Shared
from keyfactor_provider.terraform.values import Object, has_unknown
from keyfactor_provider.text import count, listed, named, safe

_FIELDS: Final = {
    "agent_id": ("id", String(), "Its GUID."),
    "client_machine": ("machine", String(), "Its machine; not unique."),
    "username": ("identity", String(), "Its identity in Command."),
    "agent_platform": ("platform", Number(), "Command's number for its platform."),
    "version": ("version", String(), "Its version."),
    "status": ("status", Number(), "1 New, 2 Approved, 3 Disapproved."),
    "last_seen": ("last_seen", String(), "As Command writes it, UTC."),
    "capabilities": ("capabilities", List(String()), "What it can do."),
    "blueprint": ("blueprint", String(), "The blueprint applied to it."),
    "thumbprint": ("thumbprint", String(), "The certificate that Command expects of it."),
    "legacy_thumbprint": ("legacy_thumbprint", String(), "The previous one, until it registers with the new one."),
    "last_thumbprint_used": ("last_thumbprint_used", String(), "The certificate that it last presented."),
    "last_error_code": ("last_error_code", Number(), "Of its last session."),
    "last_error_message": ("last_error_message", String(), "Of its last session."),
    "auth_certificate_reenrollment": ("flag", String(), "Its flag: None, Requested or Required."),
}
"""Attributes, named as in Keyfactor's own provider, with the field of an orchestrator that each shows."""

_ORCHESTRATOR: Final = Object({name: of for name, (_, of, _) in _FIELDS.items()})

_MOST_HOURS: Final = 10 * 365 * 24


class OneOrchestrator:
    """One orchestrator, by its GUID or its machine name."""

    def __init__(self, shared: Shared) -> None:
        self._shared = shared

    @classmethod
    def get_name(cls) -> str:
        """Its type, without the provider's prefix."""
        return "orchestrator"

    @classmethod
    def get_schema(cls) -> Schema:
        """Its attributes."""
        return Schema(
            attributes=[
                Attribute("agent_identifier", String(), "Its GUID or its machine name.", required=True),
                Attribute("id", String(), "Its GUID.", computed=True),
                *(Attribute(name, of, text, computed=True) for name, (_, of, text) in _FIELDS.items()),
            ],
            description="One orchestrator of Keyfactor Command.",
        )

    def validate(self, _diagnostics: Diagnostics, _config: State) -> None:
        """Accepts any string, since it may be a machine name."""

    def read(self, _call: Call, config: State) -> State:
        """Looks it up; fails if several orchestrators have the name."""
        identifier = config["agent_identifier"]
        agents = self._find(identifier)
        if len(agents) != 1:
            names = listed([named(agent.machine, agent.id) for agent in agents], rest="")
            raise LookupRefused(
                f'Looking up orchestrator "{safe(identifier)}"',
                f"{count(len(agents))} have that name: {names}" if agents else "not found in Command",
                "Set agent_identifier to the GUID of the one you mean." if agents else "Correct agent_identifier.",
            )
        return {**config, "id": agents[0].id, **_shown(agents[0])}

    def _find(self, identifier: str) -> Sequence[Any]:
        lookups = self._shared.operations.lookups
        try:
            agent = lookups.agent(guid.canonical(identifier))
        except ValueError:
            return [agent for agent in lookups.everyone() if agent.machine.lower() == identifier.lower()]
        return [agent] if agent else []


class Orchestrators:
    """The orchestrators that match all given filters."""

    def __init__(self, shared: Shared) -> None:
        self._shared = shared

    @classmethod
    def get_name(cls) -> str:
        """Its type, without the provider's prefix."""
        return "orchestrators"

    @classmethod
    def get_schema(cls) -> Schema:
        """Its attributes."""
        texts = {
            "machine": "Machine names; `*` and `?` are wildcards, case does not matter.",
            "platform": "Unknown, .NET, Java, Mac, Android, Native, Bash or Universal, or its number.",
            "capability": "Whole names of capabilities, of which it must have one; case does not matter.",
            "identity": "Identities in Command (Username), with `*` and `?`.",
            "exclude": "GUIDs, or machine names with `*` and `?`.",
            "status": "New, Approved or Disapproved, or its number. Not for the members of a re-enrollment.",
        }
        numbers = {
            "seen_within_hours": "How recently it must have been seen. Not for the members of a re-enrollment.",
            "at_least": "The smallest number of matches that is accepted.",
            "at_most": "The largest number of matches that is accepted.",
        }
        return Schema(
            attributes=[
                *(Attribute(name, List(String()), text, optional=True) for name, text in texts.items()),
                *(Attribute(name, Number(), text, optional=True) for name, text in numbers.items()),
                Attribute(
                    "with_certificate",
                    Bool(),
                    "`true`: only orchestrators with a client certificate; `false`: only those without one, which "
                    "sign in with OAuth or Basic and never re-enroll.",
                    optional=True,
                ),
                Attribute("id", String(), "Always `orchestrators`.", computed=True),
                Attribute("ids", List(String()), "Their GUIDs, sorted.", computed=True),
                Attribute("orchestrators", List(_ORCHESTRATOR), "Their attributes, in the same order.", computed=True),
            ],
            description="The orchestrators of Keyfactor Command that match all given filters.",
        )

    def validate(self, diagnostics: Diagnostics, config: State) -> None:
        """Refuses invalid filters."""
        if has_unknown(config):
            return
        hours = config["seen_within_hours"]
        if hours is not None and not 0 < hours <= _MOST_HOURS:
            reason = f"{hours} is not a time; expected hours above 0, up to {_MOST_HOURS}"
            add_problems(diagnostics, [Problem("seen_within_hours", reason)])
            return
        wrong = [
            Problem(name, f"{config[name]} is not a whole number")
            for name in ("at_least", "at_most")
            if config[name] is not None and not isinstance(config[name], int)
        ]
        if wrong:
            add_problems(diagnostics, wrong)
            return
        from keyfactor_provider.operations.lookup import check

        try:
            check(_filter(config))
        except InputError as error:
            add_problems(diagnostics, error.problems)

    def read(self, call: Call, config: State) -> State:
        """Looks them up in all pages of Command's list."""
        from keyfactor_provider.operations.lookup import find

        result = find(self._shared.operations.lookups.everyone(), _filter(config))
        if result.unmatched:
            entries = listed([safe(entry) for entry in result.unmatched], rest="")
            call.diagnostics.add_warning("Entries of exclude match no orchestrator", f"Not matched: {entries}.")
        return {
            **config,
            "id": "orchestrators",
            "ids": list(result.ids),
            "orchestrators": [_shown(agent) for agent in result],
        }


def _filter(config: State) -> Any:
    from keyfactor_provider.operations.lookup import Filter

    hours = config["seen_within_hours"]
    names = ("machine", "platform", "capability", "identity", "exclude", "status")
    lists: dict[str, Any] = {name: tuple(config[name] or ()) for name in names}
    return Filter(
        **lists,
        seen_within=None if hours is None else timedelta(hours=float(hours)),
        with_certificate=config["with_certificate"],
        at_least=config["at_least"] or 0,
        at_most=config["at_most"],
    )


def _shown(agent: Any) -> dict[str, Any]:
    values = {name: getattr(agent, of) for name, (of, _, _) in _FIELDS.items()}
    return {
        name: list(value) if isinstance(value, tuple) else None if value == "" else value
        for name, value in values.items()
    }
