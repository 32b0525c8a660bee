"""Look-ups: filters, exclusions and bounds."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from keyfactor_provider.command.wire import Agent
from keyfactor_provider.errors import InputError, LookupRefused
from keyfactor_provider.operations.lookup import Filter, find

NOW = datetime(2026, 1, 10, tzinfo=UTC)
EDGE, CORE, BARE = (f"3f2504e0-4f89-11d3-9a0c-00000000000{number}" for number in (1, 2, 3))
EVERYONE = [
    Agent(CORE, "core-1.example", "PLANT\\svc-core", platform=1, status=2, capabilities=("CertStores.IIS.Inventory",)),
    Agent(BARE, "bare", status=1),
    Agent(
        EDGE,
        "Edge-1.example",
        "PLANT\\svc-edge",
        platform=5,
        status=2,
        thumbprint="AA",
        last_seen="2026-01-09T00:00:00Z",
        capabilities=("CertStores.PEM.Inventory", "LOGS"),
    ),
]


def found(**filters: Any) -> list[str]:
    return list(find(EVERYONE, Filter(**filters), NOW).ids)


@pytest.mark.parametrize(
    ("filters", "ids"),
    [
        ({}, [EDGE, CORE, BARE]),
        ({"machine": ["edge-*"]}, [EDGE]),
        ({"machine": ["EDGE-?.example", "core*"]}, [EDGE, CORE]),
        ({"machine": ["edge"]}, []),
        ({"platform": ["Native"]}, [EDGE]),
        ({"platform": [" native ", 1, "0"]}, [EDGE, CORE, BARE]),
        ({"with_certificate": True}, [EDGE]),
        ({"with_certificate": False}, [CORE, BARE]),
        ({"with_certificate": None}, [EDGE, CORE, BARE]),
        ({"capability": ["logs"]}, [EDGE]),
        ({"capability": ["CertStores"]}, []),
        ({"identity": ["plant\\*"]}, [EDGE, CORE]),
        ({"status": ["approved"]}, [EDGE, CORE]),
        ({"status": [1]}, [BARE]),
        ({"seen_within": timedelta(days=2)}, [EDGE]),
        ({"seen_within": timedelta(hours=1)}, []),
        ({"machine": ["*.example"], "platform": [1]}, [CORE]),
        ({"exclude": [f"{{{CORE.upper()}}}"]}, [EDGE, BARE]),
        ({"exclude": ["EDGE*", BARE]}, [CORE]),
        ({"machine": ["edge*"], "exclude": ["edge*"]}, []),
    ],
)
def test_it_returns_matches_of_every_filter_sorted_by_guid(filters: dict[str, Any], ids: list[str]) -> None:
    assert found(**filters) == ids


@pytest.mark.parametrize(
    ("platform", "numbers"),
    [
        ("Universal", [1, 7]),
        ("universal", [1, 7]),
        ("7", [7]),
        (7, [7]),
        (1, [1]),
        (".NET", [1]),
        ("Native", [5]),
    ],
)
def test_universal_means_both_of_its_numbers_and_a_number_itself_alone(platform: str | int, numbers: list[int]) -> None:
    agents = [Agent(EDGE[:-1] + str(number), platform=number) for number in range(8)]
    assert [agent.platform for agent in find(agents, Filter(platform=[platform]))] == numbers


def test_a_filter_that_cannot_be_meant_is_repeated_safely() -> None:
    with pytest.raises(InputError) as caught:
        find(EVERYONE, Filter(platform=["\x1b[31m\n::error::" + "x" * 999]))
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 500


def test_what_is_found_can_be_counted_and_gone_through() -> None:
    result = find(EVERYONE, Filter(platform=[5]), NOW)
    assert (len(result), [agent.machine for agent in result]) == (1, ["Edge-1.example"])


def test_now_is_the_present_unless_told_otherwise() -> None:
    just = Agent(EDGE, "edge", last_seen=datetime.now(UTC).isoformat())
    assert len(find([just], Filter(seen_within=timedelta(minutes=5)))) == 1


@pytest.mark.parametrize(
    ("exclude", "unmatched"), [([EDGE, "core*"], ()), ([EDGE, "cor", EDGE[:-1] + "9"], ("cor", EDGE[:-1] + "9"))]
)
def test_an_exclusion_without_a_match_is_reported(exclude: list[str], unmatched: tuple[str, ...]) -> None:
    assert find(EVERYONE, Filter(exclude=exclude), NOW).unmatched == unmatched


@pytest.mark.parametrize(
    ("filters", "unstable"),
    [
        ({"machine": ["*"]}, ()),
        ({"with_certificate": True}, ()),
        ({"status": [2]}, ("status",)),
        ({"status": [2], "seen_within": timedelta(days=9)}, ("status", "seen_within")),
    ],
)
def test_guids_know_by_which_filters_they_would_come_and_go(filters: dict[str, Any], unstable: tuple[str, ...]) -> None:
    assert find(EVERYONE, Filter(**filters), NOW).ids.unstable == unstable


@pytest.mark.parametrize(
    ("filters", "says"),
    [
        (
            {"platform": ["Windows", 9]},
            r"platform: Unknown platform 'Windows'; expected one of Unknown \(0\), .*Universal \(7\); platform: .* 9;",
        ),
        (
            {"status": ["Blocked"]},
            r"status: Unknown status 'Blocked'; expected one of New \(1\), Approved \(2\), Disapproved \(3\)",
        ),
        ({"at_least": 3, "at_most": 2}, "at_least is 3 and at_most 2; expected 0 <= at_least <= at_most"),
        ({"at_least": -1}, "at_least is -1"),
        ({"at_most": 0}, "at_most 0"),
    ],
)
def test_a_filter_that_cannot_be_meant_is_refused(filters: dict[str, Any], says: str) -> None:
    with pytest.raises(InputError, match=says):
        find(EVERYONE, Filter(**filters), NOW)


@pytest.mark.parametrize("filters", [{"at_least": 3}, {"at_most": 3}, {"at_least": 3, "at_most": 3}])
def test_as_many_as_a_bound_allows_are_found(filters: dict[str, Any]) -> None:
    assert len(found(**filters)) == 3


@pytest.mark.parametrize(
    ("filters", "says"),
    [
        ({"at_least": 4}, "with no filter: 3 found, at_least 4 expected"),
        ({"at_most": 2}, "with no filter: 3 found, at_most 2 expected"),
        ({"machine": ["edge*"], "at_least": 2}, r"with machine edge\*: 1 found, at_least 2 expected"),
        ({"with_certificate": False, "at_least": 9}, "with with_certificate False: 2 found"),
        ({"machine": ["a\x1b[31m\nb"], "at_least": 9}, "with machine a b: 0 found"),
    ],
)
def test_fewer_or_more_than_a_bound_allows_are_refused_with_both_numbers(filters: dict[str, Any], says: str) -> None:
    with pytest.raises(LookupRefused, match=says):
        found(**filters)
