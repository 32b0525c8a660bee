"""The README is short and describes the demo as it is."""

import re
from pathlib import Path

README = (Path(__file__).resolve().parents[1] / "README.md").read_text()


def test_it_is_short() -> None:
    assert len(README.splitlines()) < 150


def test_its_commands_are_targets() -> None:
    makefile = (Path(__file__).resolve().parents[1] / "Makefile").read_text()
    named = set(re.findall(r"`make ([\w-]+)", README)) | set(re.findall(r"^ *make ([\w-]+)", README, re.MULTILINE))
    assert len(named) > 3
    assert [target for target in named if not re.search(rf"^{target}:", makefile, re.MULTILINE)] == []
