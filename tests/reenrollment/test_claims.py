"""Which fleet claims an orchestrator in a run, and which holds its flags."""

from keyfactor_provider.reenrollment.claims import Claims
from keyfactor_provider.reenrollment.record import Member, Phase
from keyfactor_provider.status import ReenrollmentStatus

REQUESTED = ReenrollmentStatus.REQUESTED
PENDING = Member(REQUESTED, Phase.PENDING, owned_flags=frozenset({REQUESTED}))


def test_a_fleet_holds_only_what_it_claims() -> None:
    claims = Claims()
    claims.claim("edge", ["a"])
    claims.hold("rim", {"a": PENDING, "b": PENDING})
    assert claims.held(["a", "b"]) == {}
    claims.hold("edge", {"a": PENDING, "b": PENDING})
    assert claims.held(["a", "b"]) == {"a": {REQUESTED}}


def test_a_fleet_does_not_hold_what_it_no_longer_claims() -> None:
    claims = Claims()
    claims.claim("edge", ["a"])
    claims.hold("edge", {"a": PENDING})
    claims.claim("edge", ["b"])
    assert claims.held(["a"]) == {}
