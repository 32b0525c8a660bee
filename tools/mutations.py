"""Mutations: changes to single lines of the product that each break one rule.

`tests/test_mutations.py` runs the fast tests against a copy with each mutation; every mutation must fail a test.
"""

from typing import NamedTuple


class Mutation(NamedTuple):
    """One mutation; `old` must occur in the file exactly once."""

    file: str
    old: str
    new: str
    rule: str


def _in(file: str, *breaks: tuple[str, str, str]) -> list[Mutation]:
    return [Mutation(f"keyfactor_provider/{file}.py", *one) for one in breaks]


MUTATIONS = [
    *_in(
        "reenrollment/life",
        ("triggered or recorded.phase is Phase.LEAVING", "recorded.phase is Phase.LEAVING", "triggers begin a round"),
        ("triggered or recorded.phase is Phase.LEAVING", "triggered", "coming back begins a round"),
        ("(recorded.desired is NONE and desired is not NONE)", "False", "leaving None begins a round"),
        ("closes = desired is NONE and recorded.desired is not NONE", "closes = False", "None closes a round"),
        ("            owned_flags=recorded.owned_flags,\n", "", "a new round forgets no owned flag"),
        ("            accepted_at=recorded.accepted_at,\n", "", "a closed round remembers when it was last requested"),
        (
            "recorded.phase is Phase.REENROLLED or recorded.phase in FAILED",
            "recorded.phase in FAILED",
            "another status leaves those alone that have re-enrolled",
        ),
        (
            "recorded.phase is Phase.REENROLLED or recorded.phase in FAILED",
            "recorded.phase is Phase.REENROLLED",
            "another status keeps the failed failed",
        ),
        ('desired=desired, phase=Phase.DUE, reason="")', "desired=desired)", "another status is requested"),
        (
            "{Phase.PENDING, Phase.REENROLLED, Phase.UNVERIFIED, Phase.SETTLED}",
            "{Phase.PENDING, Phase.REENROLLED, Phase.SETTLED}",
            "unverified members are left alone",
        ),
        ("(member.in_use or member.reason == GONE)", "member.in_use", "who is gone since it re-enrolled is good"),
        (
            "at.stale_after < member.accepted_at <= at.now\n        and",
            "True\n        and",
            "a stale reading has an end",
        ),
        (
            "    if doubtful and member.phase is Phase.PENDING:\n        return Judged(member)\n",
            "",
            "a stale reading is no drift",
        ),
        ("< at.overdue_before\n", "< at.now\n", "overdue is later than requested"),
        ("        and not good(judged.member)\n", "", "who is good is not overdue"),
        (
            "    if member.phase is Phase.REENROLLED:\n        return _judge_reenrolled(member, observed)\n",
            "",
            "what has re-enrolled stays so",
        ),
        (
            "Judged(member if member.queued else missing(member))",
            "Judged(missing(member))",
            "a queued member may be away",
        ),
        ("Judged(member if member.queued else missing(member))", "Judged(member)", "who is not found is missing"),
        (
            "observed.thumbprint is not None and observed.thumbprint != member.baseline_thumbprint",
            "observed.thumbprint != member.baseline_thumbprint",
            "a vanished thumbprint is no re-enrollment",
        ),
        ('reason="", reenrolled_at=at.now)', 'reason="")', "the time of a re-enrollment is recorded"),
        (
            "    if observed.flag == member.desired:\n        return Judged(_adopted(member, at))\n",
            "",
            "a flag that stands as desired is adopted",
        ),
        (
            'if member.requested_status is member.desired and member.baseline_thumbprint == "":',
            'if member.baseline_thumbprint == "":',
            "only what was requested is unverified",
        ),
        ("    if status is NONE:\n        return _settled(member)\n", "", "what was cleared as desired is settled"),
        (
            "owned_flags=_ALONE[status.value],",
            "owned_flags=member.owned_flags | _ALONE[status.value],",
            "an accepted request replaces the flag that stood",
        ),
        (
            "first = not member.requested_at or member.requested_status is not status",
            "first = True",
            "a retry keeps the time of the first request",
        ),
        ("accepted_at=at.now,", 'accepted_at="",', "the time of an acceptance is recorded"),
        ("if outcome_open and member.desired is not NONE:", "if False:", "a lost answer may have left an owned flag"),
        (
            "if outcome_open and member.desired is not NONE:",
            "if member.desired is not NONE:",
            "a call that was not sent left no flag",
        ),
        ("Departed(member, clear=bool(member.owned_flags))", "Departed(member)", "leaving clears what is owned"),
        (
            "if member.owned_flags or observed.flag == NONE:",
            "if True:",
            "leaving names a flag that is not owned",
        ),
        ("min(member.requested_at, at.now)", "member.requested_at", "a recorded time is never in the future"),
        (
            "baseline is UNSEEN and member.desired is not NONE",
            "member.desired is not NONE",
            "later requests keep the baseline",
        ),
        (
            "owned = standing if standing <= owned else NO_FLAGS",
            "pass",
            "a flag seen gone is no longer owned",
        ),
        (
            "observed is None or (observed.flag == NONE and not doubtful)",
            "observed is None",
            "under None, what is cleared is settled",
        ),
        (
            "observed is None or (observed.flag == NONE and not doubtful)",
            "observed is None or observed.flag == NONE",
            "None is posted whatever a stale reading shows",
        ),
        ("in_use = member.in_use or observed.in_use", "in_use = observed.in_use", "once in use, it stays so"),
        ("if observed.flag in member.owned_flags:", "if observed.flag != NONE:", "the warning is about an owned flag"),
        (
            "owned_flags=member.owned_flags | _ALONE[member.desired.value],",
            "owned_flags=member.owned_flags,",
            "what was adopted is owned",
        ),
        (
            "    if member.phase in (Phase.REJECTED, Phase.UNREACHED):\n        return member\n",
            "",
            "failed members keep their phase and reason",
        ),
        (
            "        return replace(member, reason=_APPEARED)\n",
            "        pass\n",
            "one that has appeared stays so until it is requested",
        ),
        (
            "    if member.requested_status is member.desired:\n",
            "    if True:\n",
            "drift only where the flag had stood",
        ),
    ),
    *_in(
        "reenrollment/rollout",
        ("len(self.bad) > self.budget or bool(self.bad_canaries)", "len(self.bad) > self.budget", "a bad canary fails"),
        ("member.phase in _BAD or member.overdue", "member.phase in _BAD", "overdue members are bad"),
        (
            "floor(share(rollout.max_failed, len(started)))",
            "floor(share(rollout.max_failed, len(members)))",
            "the budget is of those started",
        ),
        ('blocked = "halted"', "pass", "nobody starts while halted"),
        ('blocked = "paused" if rollout.paused else ""', 'blocked = ""', "nobody starts while paused"),
        ("max(0, upto - len(started))", "upto", "who has started takes room"),
        (
            "return () if counted.open_canaries else counted.queued[: counted.room]",
            "return counted.queued[: counted.room]",
            "nobody starts before the canaries are good",
        ),
        ("yield max(1, ceil(share(size, members)))", "yield max(1, floor(share(size, members)))", "percents round up"),
    ),
    *_in(
        "reenrollment/fleet",
        (
            "if member_id not in staying and (owned or member_id not in held):",
            "if member_id not in staying:",
            "what another fleet holds is let go",
        ),
        (
            "owned = member.owned_flags - held.get(member_id, frozenset())",
            "owned = member.owned_flags",
            "what another fleet owns is not cleared",
        ),
        (
            "for member_id, member in leaving.items() if member.owned_flags",
            "for member_id, member in leaving.items()",
            "only what has an owned flag is stuck",
        ),
        ("plan.members[member_id] = life.missing(member)", "pass", "a selected member that is not found fails"),
        ("if only is None else tuple(", "if True else tuple(", "an apply starts nobody whom its plan did not name"),
        (
            "self.options_changed or self.fails or bool(acts)",
            "self.options_changed or bool(acts)",
            "a failure is a change",
        ),
    ),
    *_in(
        "reenrollment/claims",
        ("if self._owner.get(guid) == fleet}", "}", "a fleet holds only what it claims"),
        ("if owner != fleet}", "if False}", "one orchestrator in two fleets is refused"),
    ),
    *_in(
        "operations/execution",
        (
            "del plan.clears[member_id], plan.members[member_id]",
            "pass",
            "a lost clearing is not sent again without need",
        ),
        (
            "            plan.members[member_id] = life.leaving(plan.clears[member_id], reason)\n",
            "            pass\n",
            "who could not be reached stays recorded",
        ),
    ),
    *_in(
        "operations/run",
        (
            "            context.claims.hold(desired.fleet, after.members)\n",
            "",
            "what a fleet owns is not cleared by another",
        ),
        (
            "        if failure := report.failure(rest):\n            raise failure from trouble\n",
            "",
            "a stuck destroy fails",
        ),
        ("plan.members | plan.clears", "plan.members", "a refresh keeps who is leaving"),
    ),
    *_in(
        "reenrollment/record",
        (
            "frozenset({Phase.REJECTED, Phase.UNREACHED, Phase.MISSING})",
            "frozenset({Phase.REJECTED, Phase.UNREACHED})",
            "members that are not found are retried",
        ),
    ),
]
