"""The state lists each resource after those that it depends on, as `pulumi stack import` expects."""

from pathlib import Path

import pytest

from tests.support.commands import fresh
from tests.support.stacks import Stack

pytestmark = pytest.mark.engine


def test_a_new_resource_is_listed_before_an_older_one_that_now_depends_on_it(tmp_path: Path) -> None:
    with fresh(2) as command:
        stack, ids = Stack("standin", tmp_path, command), command.ids()
        rest = {"name": "rest", "orchestrator_ids": ids[1:], "status": "Requested"}
        stack.fleets(rest)
        assert stack.run("up").exit_code == 0
        stack.fleets(
            {"name": "canary", "orchestrator_ids": ids[:1], "status": "Requested"}, {**rest, "after": ["canary"]}
        )
        assert stack.run("up").exit_code == 0
        assert list(stack.resources()) == ["canary", "rest"]
