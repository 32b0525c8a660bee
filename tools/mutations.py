"""The rules broken on purpose, one by one: which line, how, and which rule no longer holds.

`tests/test_mutations.py` runs the fast tests against a copy with each of them; every one must fail a test.
"""

from typing import NamedTuple


class Mutation(NamedTuple):
    """One break: `old` must stand in the file exactly once."""

    file: str
    old: str
    new: str
    rule: str


def _in(file: str, *breaks: tuple[str, str, str]) -> list[Mutation]:
    return [Mutation(f"keyfactor_provider/{file}.py", *each) for each in breaks]


MUTATIONS = [
    *_in(
        "reenrollment/life",
        ("triggered or recorded.phase is Phase.LEAVING", "recorded.phase is Phase.LEAVING", "triggers begin a round"),
        ("triggered or recorded.phase is Phase.LEAVING", "triggered", "coming back begins a round"),
        ("(recorded.desired is NONE and desired is not NONE)", "False", "leaving None begins a round"),
        ("closes = desired is NONE and recorded.desired is not NONE", "closes = False", "None closes a round"),
        (
            "desired, Phase.DUE, ours=recorded.ours,",
            "desired, Phase.DUE,",
            "a new round forgets no flag of ours",
        ),
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
        ('desired=desired, phase=Phase.DUE, reason="")', "desired=desired)", "another status is asked for"),
        (
            "{Phase.PENDING, Phase.REENROLLED, Phase.UNVERIFIED, Phase.SETTLED}",
            "{Phase.PENDING, Phase.REENROLLED, Phase.SETTLED}",
            "unverified members are left alone",
        ),
        (
            "{Phase.PENDING, Phase.REENROLLED, Phase.UNVERIFIED, Phase.SETTLED}",
            "{Phase.PENDING, Phase.REENROLLED, Phase.UNVERIFIED, Phase.SETTLED, Phase.CLEARED}",
            "drift is asked again",
        ),
        (
            "frozenset({Phase.REFUSED, Phase.UNREACHED})",
            "frozenset({Phase.REFUSED})",
            "unreached members stay so until asked",
        ),
        (
            "frozenset({Phase.REFUSED, Phase.UNREACHED})",
            "frozenset({Phase.UNREACHED})",
            "refused members stay so until asked",
        ),
        (
            "    if member.phase is Phase.REENROLLED:\n        return Judged(member, warning=_oddity(member, seen))\n",
            "",
            "what has re-enrolled stays so",
        ),
        (
            "Judged(member, warning=_oddity(member, seen))",
            "Judged(member)",
            "a flag that stands after the re-enrollment is warned about",
        ),
        (
            'phase=Phase.MISSING, reason="no such orchestrator"))',
            "phase=Phase.MISSING), ask=member.desired)",
            "a missing one is not asked",
        ),
        (
            "first = member.baseline is UNSEEN and member.desired is not NONE",
            "first = member.desired is not NONE",
            "later asks keep the baseline",
        ),
        (
            "seen.thumbprint is not None and seen.thumbprint != member.baseline",
            "seen.thumbprint != member.baseline",
            "a vanished thumbprint is no re-enrollment",
        ),
        (
            "seen.thumbprint is not None and seen.thumbprint != member.baseline",
            "seen.thumbprint != member.baseline and member.baseline",
            "no certificate is a baseline too",
        ),
        (
            'phase=Phase.REENROLLED, reason="")\n',
            'phase=Phase.REENROLLED, reason="", ours=frozenset())\n',
            "a flag that stands on after a re-enrollment stays ours",
        ),
        (
            "    if seen.flag == member.desired.value:\n        return Judged(_holds(member, member.ours))\n",
            "",
            "a flag that stands as wanted is adopted",
        ),
        (
            'Judged(_still_to_ask(member, Phase.CHANGED, f"its flag is {seen.flag}"), ask=member.desired)',
            'Judged(_still_to_ask(member, Phase.CHANGED, f"its flag is {seen.flag}"))',
            "another flag is asked over",
        ),
        (
            'if member.asked is member.desired and member.baseline == "":',
            'if member.baseline == "":',
            "only what was asked is unverified",
        ),
        (
            'if member.asked is member.desired and member.baseline == "":',
            "if member.asked is member.desired and seen.thumbprint is None:",
            "a Reset is asked again, not unverified",
        ),
        (
            'Judged(_still_to_ask(member, Phase.CLEARED, "its flag was taken back"), ask=member.desired)',
            'Judged(_still_to_ask(member, Phase.CLEARED, "its flag was taken back"))',
            "what was cleared is asked again",
        ),
        (
            "_settled(member) if asked is NONE else",
            "_holds(member) if asked is NONE else",
            "what was cleared as wanted is settled",
        ),
        (
            "_holds(member, NONE_OURS)",
            "_holds(member, member.ours)",
            "an accepted request replaces the flag that stood",
        ),
        (
            "if outcome_open and member.desired is not NONE else member.ours",
            "if False else member.ours",
            "a lost answer may have left a flag of ours",
        ),
        (
            "if outcome_open and member.desired is not NONE else member.ours",
            "if member.desired is not NONE else member.ours",
            "a call that was not sent left no flag",
        ),
        ("Departed(member, take_back=bool(member.ours))", "Departed(member)", "leaving takes back what is ours"),
        (
            "if member.ours or seen.flag == NONE.value:\n        return Departed(member, take_back=bool(member.ours))",
            "if seen.flag:\n        return Departed(member, take_back=seen.flag != NONE.value)",
            "leaving leaves alone what is not ours",
        ),
        (
            "if seen is None or seen.flag == NONE.value:",
            "if seen is None:\n        return Judged(member)\n    if seen.flag == NONE.value:",
            "under None, an agent that is gone is settled",
        ),
        ("return Judged(member, ask=NONE)", "return Judged(member)", "under None, any flag is cleared"),
        ("if member.phase in (Phase.SETTLED, Phase.CHANGED):", "if False:", "under None, a flag set later is drift"),
        (
            "asked=member.desired, ours=ours)",
            "ours=ours)",
            "what was asked is remembered",
        ),
        (
            "asked=member.desired, ours=ours)",
            "asked=member.desired)",
            "what was asked or adopted is ours",
        ),
        (
            "    if member.phase in _NOT_ASKED_SINCE:\n        return member\n",
            "",
            "failed members keep their phase and reason",
        ),
        (
            "    if member.asked is member.desired:\n",
            "    if True:\n",
            "drift only where the flag had been seen in place",
        ),
        (
            "ours=standing if standing <= member.ours else NONE_OURS",
            "ours=member.ours",
            "a flag seen gone is no longer ours",
        ),
        (
            "if seen.flag in {status.value for status in member.ours}:",
            "if seen.flag != NONE.value:",
            "the warning is about our own flag",
        ),
    ),
    *_in(
        "reenrollment/fleet",
        (
            'if (desired.on_removal if desired else record.on_removal) == "retain":',
            "if False:",
            "retain takes nothing back",
        ),
        (
            "if member_id not in staying and (left or member_id not in held):",
            "if member_id not in staying:",
            "what another fleet holds is let go",
        ),
        (
            "if member_id not in staying and (left or member_id not in held):",
            "if member_id not in staying and member_id not in held:",
            "a flag that the new owner could not replace is taken back",
        ),
        (
            "left = member.ours - held.get(member_id, frozenset())",
            "left = member.ours",
            "what another fleet adopted is not taken back",
        ),
        (
            "member if life.at_rest(member) else life.unreached(member, reason, outcome_open=False)",
            "member",
            "what could not be read is unreached",
        ),
        (
            "member if life.at_rest(member) else life.unreached(member, reason, outcome_open=False)",
            "life.unreached(member, reason, outcome_open=False)",
            "an outage loses no phase",
        ),
        (
            "life.leaving(member, reason) for member_id, member in leaving.items() if member.ours}",
            "life.leaving(member, reason) for member_id, member in leaving.items()}",
            "only what has a flag of ours is stuck",
        ),
        (
            "life.leaving(member, reason) for member_id, member in leaving.items() if member.ours}",
            "life.leaving(member, reason) for member_id, member in leaving.items() if False}",
            "an outage forgets nobody who leaves",
        ),
        (
            "judged.member.phase in DRIFTED:",
            "judged.member.phase in (*DRIFTED, Phase.REENROLLED):",
            "a re-enrolled member is no drift",
        ),
        ("        self.asks.pop(member_id, None)\n", "", "what a second reading shows done is not asked"),
        (
            "dict(record.triggers) != dict(desired.triggers)",
            "record.triggers is not desired.triggers",
            "equal triggers are no new round",
        ),
        ("self.again or self.cleared", "self.cleared", "failed and drifted members are a change"),
        ("self.taken_back or self.let_go", "self.taken_back", "members to be forgotten are a change"),
        (
            "elif desired.status is ReenrollmentStatus.NONE:\n            cleared",
            "elif False:\n            cleared",
            "the line says what is cleared",
        ),
    ),
    *_in(
        "reenrollment/claims",
        ("        self._released.update(members)\n", "", "what was taken back from under a fleet is asked anew"),
        ("        self._released.difference_update(mine)\n", "", "it is asked anew once"),
        ("if self._owner.get(member_id) == name]", "]", "a fleet holds only what it claims"),
        (
            "if self._owner.get(member_id) == name and member_id not in self._held",
            "if False",
            "deleting before replacing cancels no request",
        ),
        (
            "if self._owner.get(member_id) == name and member_id not in self._held",
            "if self._owner.get(member_id) == name",
            "a replacement that is there already is no reason to wait",
        ),
        ("if owner != name}", "if False}", "one orchestrator in two fleets is refused"),
    ),
    *_in(
        "operations/execution",
        (
            "made.members[member_id] = life.unreached(made.members[member_id], _LOST, outcome_open=True)",
            "made.members[member_id] = life.unreached(made.members[member_id], _LOST, outcome_open=False)",
            "the flag of a lost call is ours, whoever has re-enrolled since",
        ),
        (
            "                del made.take_backs[member_id]\n",
            "                pass\n",
            "a lost take-back is not sent again without need",
        ),
        (
            "return [member_id for member_id in asked if member_id in made.asks or member_id in made.take_backs]",
            "return list(asked)",
            "a lost request is not sent again without need",
        ),
        (
            'made.members[member_id] = life.leaving(made.take_backs[member_id], f"refused: {reason}")',
            "pass",
            "who could not be released stays recorded",
        ),
        (
            "            made.members[member_id] = life.leaving(made.take_backs[member_id], reason)\n",
            "            pass\n",
            "who could not be reached stays recorded",
        ),
        ("            before_taking_back()\n", "", "a member that moves keeps its request"),
    ),
    *_in(
        "command/session",
        (
            "            self._outage.note(error, client.clock())\n            raise\n",
            "            raise\n",
            "an outage is shared by the fleets of a run",
        ),
        ("            roster.forget(asked)\n", "", "nobody decides by a reading from before the last write"),
        ("self._outage.note(outcome.trouble, client.clock())", "pass", "an outage while asking is shared"),
    ),
    *_in(
        "operations/run",
        ("self._replaced.pop(desired.fleet, {})", "{}", "a replacement knows the flags of what it replaces"),
        (
            "staying, leaving, self._look(record.members))",
            "staying, {}, self._look(record.members))",
            "a refresh keeps who is leaving",
        ),
        ('inputs["orchestrators"] |= made.drift', "pass", "a refresh shows the real flag of drifted members"),
        (
            "            self._hold(desired.fleet, after.members)\n",
            "",
            "what a fleet has asked is not taken back by another",
        ),
        (
            "            if not changes:\n                self._hold(desired.fleet, record.members)\n",
            "",
            "what an unchanged fleet has is not taken back by another",
        ),
        (
            "        if failure := report.failure(left):\n            raise failure from trouble\n",
            "",
            "a destroy that could not release fails",
        ),
        (
            "        self._hold(desired.fleet, made.members)\n        self._lock.wait_for",
            "        self._lock.wait_for",
            "two fleets that swap members do not wait for each other",
        ),
        ("        self._claims.release(made.take_backs)\n", "", "a flag taken back under a fleet is noted"),
        ("        self._lock.notify_all()\n", "", "a fleet that waits is woken"),
    ),
    *_in(
        "command/asking",
        (
            "                due, was_open = list(self._still_due(due, deadline)), False\n",
            "                pass\n",
            "an open call is not sent again unread",
        ),
        (
            "due, was_open = list(self._still_due(due, deadline)), False",
            "due = list(self._still_due(due, deadline))",
            "a call that a reading shows undone is closed",
        ),
        (
            "dict.fromkeys(due, was_open)",
            "dict.fromkeys(due, error.outcome_open)",
            "a failed reading does not close an open call",
        ),
        (
            "            return due, error\n",
            "            return batch, error\n",
            "who is done is not asked again with the rest",
        ),
    ),
    *_in(
        "reenrollment/record",
        (
            "baseline: str | msgspec.UnsetType = UNSEEN",
            'baseline: str | msgspec.UnsetType = ""',
            "no certificate is a baseline in state too",
        ),
        (
            "frozenset({Phase.REFUSED, Phase.UNREACHED, Phase.MISSING})",
            "frozenset({Phase.REFUSED, Phase.UNREACHED})",
            "missing members fail a run",
        ),
        (
            "self.members.items() if member.phase is not Phase.LEAVING)",
            "self.members.items())",
            "who is leaving is no member",
        ),
    ),
    *_in(
        "reenrollment/completion",
        (
            "reading.last_used == reading.thumbprint and reading.legacy is None",
            "reading.legacy is None",
            "a certificate not in use is not complete",
        ),
        (
            "reading.last_used == reading.thumbprint and reading.legacy is None",
            "reading.last_used == reading.thumbprint",
            "a renewal not finished is not complete",
        ),
    ),
]
