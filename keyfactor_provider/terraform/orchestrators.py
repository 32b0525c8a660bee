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
    "version": ("version", String(), "Its own."),
    "status": ("status", Number(), "1 New, 2 Approved, 3 Disapproved."),
    "last_seen": ("last_seen", String(), "As Command writes it, UTC."),
    "capabilities": ("capabilities", List(String()), "What it can do."),
    "blueprint": ("blueprint", String(), "The blueprint applied to it."),
    "thumbprint": ("thumbprint", String(), "The certificate that Command expects of it."),
    "legacy_thumbprint": ("legacy_thumbprint", String(), "The one before, until it registers with the new one."),
    "last_thumbprint_used": ("last_thumbprint_used", String(), "The certificate that it last presented."),
    "last_error_code": ("last_error_code", Number(), "Of its last session."),
    "last_error_message": ("last_error_message", String(), "Of its last session."),
    "auth_certificate_reenrollment": ("flag", String(), "Its flag: None, Requested or Required."),
}
"""Named as in Keyfactor's own provider, each with the field that it shows."""

_ORCHESTRATOR: Final = Object({name: of for name, (_, of, _) in _FIELDS.items()})


_MOST_HOURS: Final = 10 * 365 * 24


class OneOrchestrator:
    """One orchestrator, by its GUID or its machine."""

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
                Attribute("agent_identifier", String(), "Its GUID, or its machine's name.", required=True),
                Attribute("id", String(), "Its GUID.", computed=True),
                *(Attribute(name, of, text, computed=True) for name, (_, of, text) in _FIELDS.items()),
            ],
            description="One orchestrator of Keyfactor Command.",
        )

    def validate(self, _diagnostics: Diagnostics, _config: State) -> None:
        """Any text may be a machine's name."""

    def read(self, _call: Call, config: State) -> State:
        """Looks it up; several of one name are never guessed among."""
        wanted = config["agent_identifier"]
        found = self._find(wanted)
        if len(found) != 1:
            names = listed([named(each.machine, each.id) for each in found], rest="")
            raise LookupRefused(
                f'Looking up orchestrator "{safe(wanted)}"',
                f"{count(len(found))} have that name: {names}" if found else "not found in Command",
                "Set agent_identifier to the GUID of the one you mean." if found else "Correct agent_identifier.",
            )
        return {**config, "id": found[0].id, **_shown(found[0])}

    def _find(self, wanted: str) -> Sequence[Any]:
        operations = self._shared.operations
        try:
            agent = operations.lookups.agent(guid.canonical(wanted))
        except ValueError:
            return [each for each in operations.lookups.everyone() if each.machine.lower() == wanted.lower()]
        return [agent] if agent else []


class Orchestrators:
    """The orchestrators that match every filter given."""

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
            "machine": "Machine names; `*` and `?` stand for any text, case does not matter.",
            "platform": "Unknown, .NET, Java, Mac, Android, Native, Bash or Universal, or its number.",
            "capability": "Capabilities of which it must have one, whole and in any case.",
            "identity": "Identities in Command (Username), with `*` and `?`.",
            "exclude": "GUIDs, or machine names with `*` and `?`.",
            "status": "New, Approved or Disapproved, or its number. Not for the members of a re-enrollment.",
        }
        numbers = {
            "seen_within_hours": "How long ago it was seen at most. Not for the members of a re-enrollment.",
            "at_least": "Fewer are refused.",
            "at_most": "More are refused.",
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
                Attribute("orchestrators", List(_ORCHESTRATOR), "Each of them, in the same order.", computed=True),
            ],
            description="The orchestrators of Keyfactor Command that match every filter given.",
        )

    def validate(self, diagnostics: Diagnostics, config: State) -> None:
        """Refuses filters that nothing can match."""
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
        """Looks them up over every page of Command's list."""
        from keyfactor_provider.operations.lookup import find

        found = find(self._shared.operations.lookups.everyone(), _filter(config))
        if found.unmatched:
            entries = listed([safe(entry) for entry in found.unmatched], rest="")
            call.diagnostics.add_warning("Entries of exclude match nothing", f"They exclude nobody: {entries}.")
        return {
            **config,
            "id": "orchestrators",
            "ids": list(found.ids),
            "orchestrators": [_shown(each) for each in found],
        }


def _filter(config: State) -> Any:
    from keyfactor_provider.operations.lookup import Filter

    hours = config["seen_within_hours"]
    names = ("machine", "platform", "capability", "identity", "exclude", "status")
    several: dict[str, Any] = {name: tuple(config[name] or ()) for name in names}
    return Filter(
        **several,
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
