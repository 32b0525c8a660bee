"""The three values of an orchestrator's AuthCertificateReenrollment, named as Command names them."""

from enum import StrEnum


class ReenrollmentStatus(StrEnum):
    """What an orchestrator is told to do at its next session registration.

    Numbers and names: the vendor's page of POST /Agents/SetAuthCertificateReenrollment.
    """

    NONE = "None"
    """Nothing; clears the flag."""
    REQUESTED = "Requested"
    """Enroll for a new client-authentication certificate; its work continues meanwhile."""
    REQUIRED = "Required"
    """Enroll likewise, but start no new session and do no work until it holds the new certificate."""

    @property
    def number(self) -> int:
        """The integer that Command's documentation gives the value."""
        return list(ReenrollmentStatus).index(self)

    @classmethod
    def parse(cls, value: object) -> "ReenrollmentStatus":
        """The status for an enum member, a number (0 to 2, also as text or float) or a name in any case.

        Raises:
            ValueError: the value is no status; the message quotes it and says what was expected.
        """
        if isinstance(value, ReenrollmentStatus):
            return value
        if isinstance(value, str):
            by_name = {status.value.lower(): status for status in cls}
            by_name |= {str(status.number): status for status in cls}
            if value.strip().lower() in by_name:
                return by_name[value.strip().lower()]
        elif isinstance(value, (int, float)) and not isinstance(value, bool) and value in (0, 1, 2):
            return list(cls)[int(value)]
        raise ValueError(
            f"{value!r} is not a re-enrollment status; "
            "expected Requested (1), Required (2) or None (0), by name or number"
        )
