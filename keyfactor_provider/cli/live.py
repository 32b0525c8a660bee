"""Reads Keyfactor Command for the command line, with settings from the environment or a profile."""

import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Final

import msgspec

from keyfactor_provider.cli.recorded import Fleet
from keyfactor_provider.command.settings import Settings, load
from keyfactor_provider.command.settings_table import SETTINGS
from keyfactor_provider.command.wire import Agent
from keyfactor_provider.operations.operations import Operations
from keyfactor_provider.reenrollment.record import Record
from keyfactor_provider.vocabulary import Vocabulary

Warn = Callable[[str], None]

VOCABULARY: Final = Vocabulary(
    preview="the command",
    up="the next run",
    config="the environment",
    settings={key: setting.environment[0] for key, setting in SETTINGS.items()},
)


def everyone(warn: Warn) -> Sequence[Agent]:
    """Every orchestrator that Command lists.

    Raises:
        SettingsError: the settings are wrong or missing.
        CommandError: Command can't be read.
    """
    operations = _operations(warn)
    try:
        return operations.lookups.everyone()
    finally:
        operations.close()


def look(fleets: Sequence[Fleet], warn: Warn) -> tuple[list[Fleet], dict[str, Agent]]:
    """The fleets judged by what Command shows now; nothing is requested or recorded.

    Returns:
        The fleets, and the agents of their members that Command has, by GUID.

    Raises:
        SettingsError: the settings are wrong or missing.
        CommandError: Command can't be read.
    """
    operations = _operations(warn)
    try:
        judged: list[Fleet] = []
        agents: dict[str, Agent] = {}
        for fleet in fleets:
            if fleet.record is None:
                judged.append(fleet)
                continue
            record, _ = operations.run.read(fleet.record)
            found = ((member_id, operations.lookups.agent(member_id)) for member_id in record.members)
            agents |= {member_id: agent for member_id, agent in found if agent is not None}
            judged.append(replace(fleet, record=record if fleet.timed else _untimed(record)))
        return judged, agents
    finally:
        operations.close()


def _operations(warn: Warn) -> Operations:
    def settings() -> Settings:
        return load(lambda _key: None, os.environ, vocabulary=VOCABULARY)

    return Operations(settings, lambda message: warn(message.text()), VOCABULARY)


def _untimed(record: Record) -> Record:
    """The record without times, for state that has none: the judgement set them to the present."""
    members = {
        member_id: msgspec.structs.replace(member, requested_at="", reenrolled_at="")
        for member_id, member in record.members.items()
    }
    return replace(record, members=members)
