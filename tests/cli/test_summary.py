"""`summary`: a plan as Markdown that no untrusted text can break out of."""

import json
import re
from html.parser import HTMLParser
from typing import Any

import pytest
from markdown_it import MarkdownIt

from keyfactor_provider.cli.markdown import MARKER, MOST, code
from tests.cli.conftest import Cli
from tests.cli.states import DATA, HOSTILE, fleet, guid

TYPE = "pulumi-python:dynamic/keyfactor:OrchestratorReenrollment"
FLEET = "keyfactorcommand_orchestrator_reenrollment"
PENDING = {"phase": "pending", "requested_status": "Requested", "owned_flags": ["Requested"]}


def inputs(*ids: str, **options: Any) -> dict[str, Any]:
    status = options.get("status", "Requested")
    arguments = {"fleet": "edge", "status": status, "on_removal": "unset", "on_failure": "error", **options}
    return arguments | {"orchestrators": dict.fromkeys(ids, status)}


def step(op: str, old: Any, new: Any, name: str = "edge") -> dict[str, Any]:
    document: dict[str, Any] = {"op": op, "urn": f"urn:pulumi:dev::p::{TYPE}::{name}"}
    if old is not None:
        document["oldState"] = {"type": TYPE, "outputs": old, "inputs": {}}
    if new is not None:
        document["newState"] = {"type": TYPE, "inputs": new}
    return document


def preview(*steps: dict[str, Any], diagnostics: Any = ()) -> bytes:
    return json.dumps({"steps": steps, "diagnostics": list(diagnostics), "changeSummary": {}}).encode()


def counts(cli: Cli, source: Any, stdin: bytes = b"") -> dict[str, dict[str, int]]:
    ran = cli("summary", source, "--json", stdin=stdin)
    assert ran.code == 0, ran.err
    return {
        one["name"].removeprefix(f"{FLEET}."): {name: number for name, number in one["counts"].items() if number}
        for one in json.loads(ran.out)["fleets"]
    }


@pytest.mark.parametrize("engine", ["pulumi", "terraform"])
def test_the_same_history_gives_the_same_summary_on_either_engine(cli: Cli, engine: str) -> None:
    assert counts(cli, DATA / f"{engine}-create.json") == {
        "edge": {"first": 5},
        "lab": {"first": 2},
        "slow": {"first": 1, "queued": 1},
    }
    assert counts(cli, DATA / f"{engine}-{'preview' if engine == 'pulumi' else 'plan'}.json") == {
        "edge": {"first": 1, "retried": 1, "drifted": 1, "removed": 1, "unchanged": 2, "re_enrolled": 1},
        "lab": {"kept": 2},
        "slow": {"queued": 1, "unchanged": 1},
    }


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ({guid(1): PENDING}, inputs(guid(1), status="Required"), {"status_changed": 1}),
        ({guid(1): PENDING}, inputs(guid(1), status="None"), {"cleared": 1}),
        ({guid(1): PENDING}, inputs(guid(1), triggers={"ca": "2"}), {"first": 1}),
        ({guid(1): PENDING, guid(2): PENDING}, inputs(guid(1)), {"removed": 1, "unchanged": 1}),
        ({guid(1): PENDING, guid(2): PENDING}, inputs(guid(1), on_removal="retain"), {"kept": 1, "unchanged": 1}),
        ({guid(1): {"phase": "rejected"}}, inputs(guid(1)), {"retried": 1}),
        ({guid(1): {"phase": "unreached"}}, inputs(guid(1)), {"retried": 1}),
        ({guid(1): {"phase": "missing"}}, inputs(guid(1)), {"retried": 1}),
        ({guid(1): {"phase": "changed", "requested_status": "Requested"}}, inputs(guid(1)), {"drifted": 1}),
        ({guid(1): {"phase": "re-enrolled"}}, inputs(guid(1)), {"unchanged": 1, "re_enrolled": 1}),
    ],
)
def test_an_update_is_summarised_from_the_record(cli: Cli, old: Any, new: Any, expected: dict[str, int]) -> None:
    assert counts(cli, "-", preview(step("update", fleet(old), new)))["edge"] == expected


def test_a_member_that_another_fleet_takes_over_is_not_cleared(cli: Cli) -> None:
    steps = [
        step("create", None, inputs(guid(1)), "north"),
        step("delete", fleet({guid(1): PENDING, guid(2): PENDING}), None, "south"),
    ]
    assert counts(cli, "-", preview(*steps)) == {"north": {"first": 1}, "south": {"removed": 1, "moved": 1}}


def test_a_replaced_fleet_starts_a_new_round(cli: Cli) -> None:
    old, new = fleet({guid(1): PENDING, guid(2): PENDING}), inputs(guid(1))
    steps = [step("create-replacement", old, new), step("replace", old, new), step("delete-replaced", old, None)]
    assert counts(cli, "-", preview(*steps)) == {"edge": {"first": 1, "removed": 1}}


@pytest.mark.parametrize(
    ("source", "most", "code"),
    [
        ("terraform-create", 8, 0),
        ("terraform-create", 7, 7),
        ("pulumi-create", 8, 0),
        ("pulumi-create", 7, 7),
        # This run reads Command itself, may find the first wave finished, and then starts one more.
        ("pulumi-preview", 4, 0),
        ("pulumi-preview", 3, 7),
        ("terraform-plan", 3, 0),
        ("terraform-plan", 2, 7),
        ("terraform-plan", 0, 7),
        ("pulumi-unknown", 1000, 7),
        ("terraform-unknown", 1000, 7),
        # Its members are secret, but the program names five.
        ("pulumi-secret-preview", 5, 0),
        ("pulumi-secret-preview", 4, 7),
    ],
)
def test_more_requests_than_allowed_fail(cli: Cli, source: str, most: int, code: int) -> None:
    ran = cli("summary", DATA / f"{source}.json", "--max-requests", most)
    assert ran.code == code
    assert (f"--max-requests {most}" in ran.err) is (code == 7)
    assert ran.out.startswith(MARKER)


def test_a_deletion_requests_nothing(cli: Cli) -> None:
    ran = cli("summary", "-", "--max-requests", 0, stdin=preview(step("delete", fleet({guid(1): PENDING}), None)))
    assert ran.code == 0


@pytest.mark.parametrize(
    ("source", "fleet_name", "says"),
    [
        ("pulumi-unknown", "lab", "orchestrator\\_ids, status"),
        ("terraform-unknown", "lab", "orchestrator\\_ids"),
        ("pulumi-secret-preview", "edge", "members"),
    ],
)
def test_what_is_not_known_is_named(cli: Cli, source: str, fleet_name: str, says: str) -> None:
    out = cli("summary", DATA / f"{source}.json").out
    [line] = [line for line in out.splitlines() if line.startswith("**Not known:**")]
    assert says in line
    row = next(line for line in out.splitlines() if line.startswith("| `") and fleet_name in line)
    assert "?" in row
    assert out.index(f"{fleet_name}`: changed") < out.index(line)


def test_secret_triggers_may_mean_a_new_round(cli: Cli) -> None:
    stdin = preview(step("update", fleet({guid(1): PENDING, guid(2): PENDING}), inputs(guid(1), triggers="[secret]")))
    [edge] = json.loads(cli("summary", "-", "--json", stdin=stdin).out)["fleets"]
    assert edge["requests_at_most"] == 1
    assert "triggers" in edge["unknown"][0]


def test_sensitive_members_of_terraform_are_counted_and_not_named(cli: Cli) -> None:
    plan = json.loads((DATA / "terraform-plan.json").read_text())
    for change in plan["resource_changes"]:
        change["change"]["before_sensitive"]["members"] = True
    stdin = json.dumps(plan).encode()
    for form in ([], ["--json"]):
        out = cli("summary", "-", *form, stdin=stdin).out
        assert "plant.example" not in out
        assert guid(1)[:8] not in out
        assert not re.search("[0-9a-f]{8}-[0-9a-f]{4}", out)
    assert counts(cli, "-", stdin)["edge"]["retried"] == 1


def test_the_messages_of_the_engine_are_quoted_verbatim(cli: Cli) -> None:
    recorded = json.loads((DATA / "pulumi-preview.json").read_text())["diagnostics"]
    out = cli("summary", DATA / "pulumi-preview.json").out
    assert recorded
    assert all(one["message"].strip() in out for one in recorded)


def test_a_preview_that_failed_says_so_above_its_numbers(cli: Cli) -> None:
    told = [{"severity": "error", "message": "error: Could not\n  continue\n"}]
    out = cli("summary", "-", stdin=preview(step("create", None, inputs(guid(1))), diagnostics=told)).out
    assert out.index("ended with an error") < out.index("| Fleet")
    assert "error: Could not\n" in out


def test_a_failing_postcondition_of_terraform_is_shown(cli: Cli) -> None:
    plan = json.loads((DATA / "terraform-plan.json").read_text())
    plan["checks"] = json.loads((DATA / "terraform-state.json").read_text())["checks"]
    out = cli("summary", "-", stdin=json.dumps(plan).encode()).out
    assert "Failed: 1a2b8f1f-f1fd-42a2-9755-d4c13a902931" in out


@pytest.mark.parametrize("refreshed", [False, True])
def test_a_plan_without_a_refresh_says_so(cli: Cli, refreshed: bool) -> None:
    old = fleet({guid(1): PENDING})
    steps = [step("refresh", old, {})] if refreshed else []
    out = cli("summary", "-", stdin=preview(*steps, step("update", old, inputs(guid(1), guid(2))))).out
    assert ("--refresh" in out) is not refreshed


@pytest.mark.parametrize("name", ["pulumi-export", "terraform-state"])
def test_the_error_for_a_state_names_the_command_for_states(cli: Cli, name: str) -> None:
    ran = cli("summary", DATA / f"{name}.json")
    assert ran.code == 1
    assert "status" in ran.err


class _Rendered(HTMLParser):
    """The rendered Markdown: its tags, and its text inside and outside code."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.plain, self.code = "", ""
        self._depth = 0
        self.feed(MarkdownIt("gfm-like", {"html": True, "linkify": False}).render(source))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        assert tag in ("th", "td") or not attrs or attrs == [("class", "language-text")]
        self._depth += tag == "code"

    def handle_endtag(self, tag: str) -> None:
        self._depth -= tag == "code"

    def handle_data(self, data: str) -> None:
        if self._depth:
            self.code += data + "\n"
        else:
            self.plain += data


@pytest.mark.parametrize("name", HOSTILE)
def test_no_name_or_message_gets_out_of_its_code(cli: Cli, name: str) -> None:
    old = fleet({guid(number): {"phase": "rejected", "machine": name, "reason": name} for number in (1, 2)})
    told = [{"severity": "warning", "message": f"{name}\n{name}"}]
    ran = cli("summary", "-", stdin=preview(step("update", old, inputs(guid(1), guid(2)), name), diagnostics=told))
    assert ran.code == 0
    rendered = _Rendered(ran.out)
    harmless = {"h3", "h4", "table", "thead", "tbody", "tr", "th", "td", "code", "p", "strong", "ul", "li", "pre"}
    assert set(rendered.tags) <= harmless | {"details", "summary"}
    assert rendered.tags.count("h3") == rendered.tags.count("h4") == rendered.tags.count("table") == 1
    assert rendered.tags.count("details") == 1
    assert rendered.tags.count("li") == 2
    assert code(name) in ran.out
    for sign in ("@everyone", "#1", "evil.example", "owned", "alert", "onerror", "forged"):
        assert sign not in rendered.plain
    assert guid(1) in rendered.code
    assert "\x1b" not in ran.out
    assert "\u202e" not in ran.out


@pytest.mark.parametrize("words", ["`", "``", "a`b", "`a`", " x ", "", "\n", "a\\", "|", "&lt;b&gt;", *HOSTILE])
def test_a_code_span_shows_any_words_literally(words: str) -> None:
    rendered = _Rendered(f"before {code(words)} after")
    assert rendered.tags == ["p", "code"]
    assert rendered.plain.split() == ["before", "after"]


@pytest.mark.parametrize("members", [40, 600, 20_000])
def test_a_comment_fits_the_limit_of_github(cli: Cli, members: int) -> None:
    names = {guid(n): {"phase": "rejected", "machine": f"{'ü' * 60}-{n}"} for n in range(members)}
    told = [{"severity": "warning", "message": "x" * 100_000} for _ in range(300)]
    ran = cli("summary", "-", stdin=preview(step("update", fleet(names), inputs(*names)), diagnostics=told))
    assert len(ran.out.encode()) <= MOST
    assert f"{members} orchestrators" in ran.out
    assert "x" * 1000 in ran.out


def test_a_comment_on_thousands_of_fleets_fits_and_counts_those_left_out(cli: Cli) -> None:
    steps = [step("create", None, inputs(guid(number)), f"fleet-{'x' * 80}-{number}") for number in range(3000)]
    out = cli("summary", "-", stdin=preview(*steps)).out
    assert len(out.encode()) <= MOST
    assert "3000 orchestrators" in out
    assert re.search(r"\d+ more fleets", out)


def test_a_long_list_is_folded_and_a_short_one_is_not(cli: Cli) -> None:
    def folded(number: int) -> bool:
        ids = [guid(n) for n in range(number)]
        return "<details>" in cli("summary", "-", stdin=preview(step("create", None, inputs(*ids)))).out

    assert (folded(3), folded(30)) == (False, True)
