"""docs/reliability.md names tests that exist, and docs/troubleshooting.md messages that the product has."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PROMISES = (ROOT / "docs" / "reliability.md").read_text()
FAILURES = (ROOT / "docs" / "troubleshooting.md").read_text()
NOT_OURS = {"pending operations", "error reading from server", "Socket closed", "failed to connect to all addresses"}


@pytest.mark.parametrize("file", sorted(set(re.findall(r"`(tests/[^`]+)`", PROMISES))))
def test_every_test_that_it_names_is_there(file: str) -> None:
    assert (ROOT / file).is_file()


def said() -> str:
    """Every text of the product and of the engine stand-in, with texts over several lines joined."""
    files = [*(ROOT / "keyfactor_provider").rglob("*.py"), *(ROOT / "keyfactor_standins" / "engine").rglob("*.py")]
    return re.sub(r'"\s*\n\s*f?"', "", "\n".join(file.read_text() for file in files))


def test_every_message_that_it_explains_is_said_somewhere() -> None:
    rows = [line.split("|")[1] for line in FAILURES.splitlines() if line.startswith("| `")]
    messages = {message for row in rows for message in re.findall(r"`([^`]+)`", row)} - NOT_OURS
    assert len(messages) > 20
    text = said()
    assert [message for message in sorted(messages) if message not in text] == []
