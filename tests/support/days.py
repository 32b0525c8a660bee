"""Simulated days for shell scripts: their `sleep` sets the stand-in's clock and lets orchestrators check in.

`python -m tests.support.days SECONDS` is that `sleep`; the variable DAYS names the file of the `Life`.
"""

import json
import os
import re
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

import httpx

ROOT = Path(__file__).resolve().parents[2]
ERROR = "No extension for renewals is installed"
HOUR = timedelta(hours=1)


@dataclass
class Life:
    """When the orchestrators of a test check in.

    Attributes:
        control: the control endpoint of their Command.
        hourly: those that check in every full hour.
        daily: those that check in at six o'clock.
        failing: those that fail to renew while they are in this list.
    """

    control: str
    hourly: Sequence[str] = ()
    daily: Sequence[str] = ()
    failing: list[str] = field(default_factory=list)

    def passes(self, seconds: float) -> None:
        """Let time pass, session by session."""
        with httpx.Client(base_url=self.control, trust_env=False, timeout=30) as control:
            now = datetime.fromisoformat(control.get("/world").raise_for_status().json()["now"])
            until = now + timedelta(seconds=seconds)
            while now < until:
                now = min(now.replace(minute=0, second=0, microsecond=0) + HOUR, until)
                at_once = [*self.hourly, *(self.daily if now.hour == 6 else ())] if now.minute == 0 else []
                fail = {agent_id: ERROR for agent_id in self.failing if agent_id in at_once}
                control.post("/world", json={"now": now.isoformat(), "check_in": at_once, "fail": fail})

    def sleep(self, folder: Path) -> dict[str, str]:
        """Write a `sleep` that simulates this life; returns the variables that the shell needs for it."""
        folder.mkdir(exist_ok=True)
        (folder / "life.json").write_text(json.dumps(asdict(self)))
        (folder / "sleep").write_text(f'#!/bin/sh\nexec "{sys.executable}" -m tests.support.days "$1"\n')
        (folder / "sleep").chmod(0o755)
        return {"DAYS": str(folder / "life.json"), "PYTHONPATH": str(ROOT)}


def scheduled(readme: Path) -> str:
    """The command of the crontab line in the README of an example, without its `cd`."""
    (line,) = re.findall(r"^17 \* \* \* \*  cd /srv/my-fleet && (.*)$", readme.read_text(), re.MULTILINE)
    return str(line)


if __name__ == "__main__":
    Life(**json.loads(Path(os.environ["DAYS"]).read_text())).passes(float(sys.argv[1]))
