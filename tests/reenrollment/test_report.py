"""What a failed run says about its members: which are retried, and which are not."""

import pytest

from keyfactor_provider.reenrollment.desired import Rollout
from keyfactor_provider.reenrollment.record import Member, Phase, Record
from keyfactor_provider.reenrollment.report import failure
from keyfactor_provider.status import ReenrollmentStatus

REQUESTED = ReenrollmentStatus.REQUESTED
AT = "2027-03-01T08:00:00Z"
PENDING = Member(REQUESTED, Phase.PENDING, "AA", requested_status=REQUESTED, requested_at=AT)
OVERDUE = Member(REQUESTED, Phase.PENDING, "AA", requested_status=REQUESTED, requested_at=AT, overdue=True)
REJECTED = Member(REQUESTED, Phase.REJECTED, "AA", reason="listed in FailedOrchestratorIds")


@pytest.mark.parametrize(
    ("members", "says", "silent"),
    [
        ([REJECTED, PENDING], ["1 of 2", "retries it", "1 pending"], ["Overdue"]),
        ([REJECTED, REJECTED, PENDING], ["2 of 3", "retries these 2", "1 pending"], ["Overdue"]),
        ([OVERDUE, PENDING, PENDING], ["1 of 3", "Overdue", "2 pending"], ["retries"]),
        ([OVERDUE, OVERDUE, REJECTED], ["3 of 3", "Overdue", "retries 1 of them"], ["recorded"]),
    ],
    ids=["one rejected", "two rejected", "overdue", "both"],
)
def test_a_failed_run_retries_rejected_members_and_leaves_overdue_ones_pending(
    members: list[Member], says: list[str], silent: list[str]
) -> None:
    record = Record("edge", REQUESTED, {f"{n:08}": member for n, member in enumerate(members)}, rollout=Rollout(("1",)))
    error = failure(record)
    assert error is not None
    text = str(error)
    assert [part for part in says if part not in text] == []
    assert [part for part in silent if part in text.replace("overdue", "")] == []
