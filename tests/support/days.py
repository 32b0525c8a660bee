"""Days that pass while a shell script sleeps: its `sleep` sets the stand-in's clock, and orchestrators check in.

`python -m tests.support.days SECONDS` is that `sleep`; the file that DAYS names says who checks in how often.
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
    """How the orchestrators of a test live.

    Attributes:
        control: the control endpoint of their Command.
        hourly: those that check in at every full hour.
        daily: those that check in at six o'clock.
        failing: those of them that fail to renew, until they are taken out.
    """

    control: str
    hourly: Sequence[str] = ()
    daily: Sequence[str] = ()
    failing: list[str] = field(default_factory=list)

    def passes(self, seconds: float) -> None:
        """Lets time pass, session by session."""
        with httpx.Client(base_url=self.control, trust_env=False, timeout=30) as control:
            now = datetime.fromisoformat(control.get("/world").raise_for_status().json()["now"])
            until = now + timedelta(seconds=seconds)
            while now < until:
                now = min(now.replace(minute=0, second=0, microsecond=0) + HOUR, until)
                at_once = [*self.hourly, *(self.daily if now.hour == 6 else ())] if now.minute == 0 else []
                fail = {each: ERROR for each in self.failing if each in at_once}
                control.post("/world", json={"now": now.isoformat(), "check_in": at_once, "fail": fail})

    def sleep(self, folder: Path) -> dict[str, str]:
        """Makes the `sleep` of a shell that lets this life go on; the variables that the shell needs for it."""
        folder.mkdir(exist_ok=True)
        (folder / "life.json").write_text(json.dumps(asdict(self)))
        (folder / "sleep").write_text(f'#!/bin/sh\nexec "{sys.executable}" -m tests.support.days "$1"\n')
        (folder / "sleep").chmod(0o755)
        return {"DAYS": str(folder / "life.json"), "PYTHONPATH": str(ROOT)}


def scheduled(readme: Path) -> str:
    """The command of the crontab's line in the README of an example, without the way into its folder."""
    (line,) = re.findall(r"^17 \* \* \* \*  cd /srv/my-fleet && (.*)$", readme.read_text(), re.MULTILINE)
    return str(line)


if __name__ == "__main__":
    Life(**json.loads(Path(os.environ["DAYS"]).read_text())).passes(float(sys.argv[1]))
