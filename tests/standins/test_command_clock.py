"""Simulated time: the clock of the stand-in, and sessions of orchestrators that do not run."""

import base64
import tracemalloc
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from cryptography import x509

from keyfactor_standins.command.process import Command, running
from keyfactor_standins.command.world import World
from tests.standins.test_command_sessions import Agent as Session
from tests.standins.test_command_sessions import csr

START = datetime.fromisoformat("2031-03-01T06:00:00+00:00")
REQUESTED, REQUIRED = 1, 2


@pytest.fixture
def fleet(command: Command) -> Iterator[list[str]]:
    """Two Universal Orchestrators, approved, at the start of the simulated time."""
    command.world(now=START.isoformat())
    yield command.world(populate=4)[1::2]
    command.world(now=None)


def shown(api: httpx.Client, agent_id: str) -> dict[str, Any]:
    found: dict[str, Any] = api.get(f"/Agents/{agent_id}").json()
    return found


def test_the_clock_stands_where_it_was_set_and_goes_again_when_told(
    api: httpx.Client, command: Command, fleet: list[str]
) -> None:
    for days, text in ((0, "2031-03-01T06:00:00.000Z"), (2, "2031-03-03T06:00:00.000Z")):
        command.world(now=(START + timedelta(days=days)).isoformat(), check_in=fleet)
        assert shown(api, fleet[0])["LastSeen"] == text
    command.world(now=None, check_in=fleet)
    assert datetime.fromisoformat(shown(api, fleet[0])["LastSeen"]) < START


@pytest.mark.parametrize(
    ("fault", "shown"),
    [
        ({}, "Sat, 01 Mar 2031 06:00:00 GMT"),
        ({"act": "status", "status": 503}, "Sat, 01 Mar 2031 06:00:00 GMT"),
        ({"act": "drip", "seconds": 0.0}, "Sat, 01 Mar 2031 06:00:00 GMT"),
        ({"act": "status", "headers": {"Date": "yesterday"}}, "yesterday"),
    ],
    ids=["well", "status", "drip", "a Date of its own"],
)
def test_answers_are_dated_by_the_clock(
    api: httpx.Client, command: Command, fleet: list[str], fault: dict[str, Any], shown: str
) -> None:
    command.faults(faults=[{"on": "GET /Agents", **fault}] if fault else [])
    for path in (f"/Agents/{fleet[0]}", "/Agents/none"):
        assert api.get(path).headers.get_list("Date") == [shown]


def test_answers_are_dated_by_the_machine_where_the_clock_goes(api: httpx.Client) -> None:
    before = datetime.now(UTC).replace(microsecond=0)
    assert before <= parsedate_to_datetime(api.get("/Agents").headers["Date"]) <= datetime.now(UTC)


def test_a_time_without_an_offset_is_utc_and_one_with_an_offset_is_converted(
    command: Command, api: httpx.Client
) -> None:
    for text in ("2031-03-01T06:00:00", "2031-03-01T07:00:00+01:00", "2031-03-01T06:00:00Z"):
        made = command.world(now=text, populate=1)[0]
        assert shown(api, made)["LastSeen"] == "2031-03-01T06:00:00.000Z"
    command.world(now=None)


def test_the_clock_survives_a_restart(tmp_path: Path) -> None:
    state = ["--orchestrators", "1", "--state", str(tmp_path / "state")]
    with running(*state) as command:
        command.world(now=START.isoformat())
    with running(*state) as command:
        command.world(check_in=command.ids())
        assert command.agents()[0]["last_seen"] == "2031-03-01T06:00:00.000Z"


def test_a_session_enrolls_for_what_was_requested_and_the_next_one_uses_it(
    api: httpx.Client, command: Command, fleet: list[str]
) -> None:
    asked, other = fleet
    before = shown(api, asked)["Thumbprint"]
    command.world(change={asked: {"flag": REQUESTED}})
    command.world(now=(START + timedelta(hours=1)).isoformat(), check_in=fleet)
    found = shown(api, asked)
    assert (found["AuthCertificateReenrollment"], found["LegacyThumbprint"], found["LastThumbprintUsed"]) == (
        "None",
        before,
        before,
    )
    assert found["Thumbprint"] not in (before, shown(api, other)["Thumbprint"])
    command.world(now=(START + timedelta(hours=2)).isoformat(), check_in=[asked])
    found = shown(api, asked)
    assert (found["LastThumbprintUsed"], found["LegacyThumbprint"]) == (found["Thumbprint"], None)
    assert (found["LastSeen"], shown(api, other)["LastSeen"]) == (
        "2031-03-01T08:00:00.000Z",
        "2031-03-01T07:00:00.000Z",
    )


def test_one_that_fails_is_seen_and_keeps_its_flag_and_certificate_until_it_succeeds(
    api: httpx.Client, command: Command, fleet: list[str]
) -> None:
    agent = fleet[0]
    before = shown(api, agent)["Thumbprint"]
    command.world(change={agent: {"flag": REQUESTED}})
    command.world(
        now=(START + timedelta(days=1)).isoformat(), check_in=fleet, fail={agent.upper(): "No extension for renewals."}
    )
    found = shown(api, agent)
    assert (found["AuthCertificateReenrollment"], found["Thumbprint"]) == ("Requested", before)
    assert found["LastSeen"] == "2031-03-02T06:00:00.000Z"
    assert found["LastErrorMessage"] == "No extension for renewals."
    assert isinstance(found["LastErrorCode"], int)
    for _ in range(2):
        command.world(check_in=[agent])
    found = shown(api, agent)
    assert (found["LastErrorCode"], found["LastErrorMessage"]) == (None, None)
    assert found["Thumbprint"] != before


@pytest.mark.parametrize(
    ("version", "platform", "flag", "obeys"),
    [
        ("2.15.1.9", 5, REQUESTED, False),
        ("2.8.7.0", 5, REQUESTED, False),
        ("2.8.7.0", 5, REQUIRED, True),
        ("2.15.2.0", 5, REQUESTED, True),
        ("2.8.7.0", 1, REQUESTED, True),
    ],
)
def test_a_c_agent_that_is_too_old_for_requested_ignores_it(
    api: httpx.Client, command: Command, fleet: list[str], version: str, platform: int, flag: int, obeys: bool
) -> None:
    agent = fleet[0]
    before = shown(api, agent)["Thumbprint"]
    command.world(change={agent: {"version": version, "agent_platform": platform, "flag": flag}}, check_in=[agent])
    assert (shown(api, agent)["Thumbprint"] != before) is obeys


def test_one_that_is_not_approved_has_no_session(api: httpx.Client, command: Command) -> None:
    agent = command.world(populate=1, unapproved=1)[0]
    before = shown(api, agent)["Thumbprint"]
    command.world(change={agent: {"flag": REQUIRED}}, check_in=[agent])
    found = shown(api, agent)
    assert (found["Thumbprint"], found["LastErrorMessage"]) == (before, "The orchestrator is not approved.")


def test_without_a_client_certificate_the_flag_stands_for_ever(api: httpx.Client, command: Command) -> None:
    agent, other = command.world(populate=2, without_certificate=1)
    found = shown(api, agent)
    assert (found["AgentPlatform"], found["Version"], found["Status"]) == (1, "25.4.1.0", 2)
    assert shown(api, other)["Thumbprint"]
    command.world(change={agent: {"flag": REQUIRED}})
    for _ in range(2):
        command.world(check_in=[agent])
    session = Session(command, api, agent).register()
    assert (session["Result"]["Status"], session["Session"]["Token"] is not None) == (1, True)
    found = shown(api, agent)
    assert [found[name] for name in ("Thumbprint", "LegacyThumbprint", "LastThumbprintUsed")] == ["", "", ""]
    assert found["AuthCertificateReenrollment"] == "Required"
    with pytest.raises(ValueError, match="uses no client certificate"):
        command.world(reenroll=[agent])


@pytest.mark.parametrize("years", [-5, 5])
def test_a_certificate_issued_on_another_day_is_good_today_as_tls_judges_it(years: int) -> None:
    with running("--tls", "--orchestrators", "0") as command:
        command.world(now=f"{datetime.now().year + years}-03-01T06:00:00Z")
        with httpx.Client(
            auth=(f"{command.said['domain']}\\{command.said['username']}", command.said["password"]),
            trust_env=False,
            verify=False,
        ) as api:
            answer = Session(command, api).register(csr())
        certificate = x509.load_der_x509_certificate(base64.b64decode(answer["Session"]["Certificate"]))
        now = datetime.now(certificate.not_valid_after_utc.tzinfo)
        assert certificate.not_valid_before_utc < now < certificate.not_valid_after_utc


def test_a_fleet_of_100_000_orchestrators_takes_less_than_80_mb() -> None:
    world, count = World(), 5_000
    tracemalloc.start()
    try:
        world.populate(count)
        taken, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert taken / count * 100_000 < 80e6
