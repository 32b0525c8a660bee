"""The status page: its source, and its behaviour in a real browser."""

import base64
import hashlib
import json
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from tests.cli import browser
from tests.cli.conftest import Cli
from tests.cli.states import DATA, HOSTILE, at, fleet, guid, pulumi_export, rollout

in_a_browser = pytest.mark.skipif(
    browser.FOUND is None, reason=f"none of {', '.join(browser.NAMES)} on the PATH: the page was shown in no browser"
)
WIDTHS = (390, 1280)


class Source(HTMLParser):
    """The page's source, parsed without JavaScript.

    Attributes:
        rows: the cells of each row in the list of stragglers, by label.
    """

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.rows: list[dict[str, str]] = []
        self.inner = {"style": "", "script": ""}
        self._label: str | None = None
        self._in = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        attributes = dict(attrs)
        self.tags.append((tag, attributes))
        self._in = tag if tag in self.inner else ""
        if tag == "tr" and attributes.get("role") == "row":
            self.rows.append({})
        if tag in ("td", "th"):
            self._label = attributes.get("data-label")

    def handle_endtag(self, tag: str) -> None:
        self._in = ""
        if tag in ("td", "th"):
            self._label = None

    def handle_data(self, data: str) -> None:
        if self._in:
            self.inner[self._in] += data
        elif self._label and self.rows:
            self.rows[-1][self._label] = (self.rows[-1].get(self._label, "") + data).strip()


@pytest.fixture
def page(cli: Cli, tmp_path: Path) -> Any:
    """Writes the page of a state; returns its file."""

    def make(state: bytes) -> Path:
        file = tmp_path / "status.html"
        ran = cli("status", "-", "--html", file, stdin=state)
        assert ran.code == 0, ran.err
        return file

    return make


def hostile_state() -> bytes:
    """Two roll-outs in progress, with hostile names."""
    return pulumi_export(edge=rollout(), **{"</h2><script>alert(1)</script>": rollout(12, 2)})


def test_without_javascript_every_straggler_is_in_the_table(cli: Cli, page: Any) -> None:
    source = Source(page(hostile_state()).read_text())
    fleets = json.loads(cli("status", "-", "--json", stdin=hostile_state()).out)["fleets"]
    expected = {(one["id"], one["machine"]) for fleet in fleets for one in fleet["stragglers"]}
    assert len(expected) > 25
    assert {(row["Orchestrator"], row["Machine"]) for row in source.rows if row} == expected
    assert not [tag for tag, _ in source.tags if tag in ("input", "button", "form")]


def test_the_page_loads_nothing_and_runs_only_its_own_script(page: Any) -> None:
    source = Source(page(hostile_state()).read_text())
    loading = {"src", "href", "action", "srcset", "data", "poster", "background"}
    assert [(tag, attrs) for tag, attrs in source.tags if loading & attrs.keys()] == [
        ("a", {"class": "skip", "href": "#stragglers"})
    ]
    assert not [name for _, attrs in source.tags for name in attrs if name.startswith("on") or name == "style"]
    [policy] = [attrs["content"] for _, attrs in source.tags if attrs.get("http-equiv") == "Content-Security-Policy"]
    assert policy is not None
    assert policy.startswith("default-src 'none';")
    assert "unsafe" not in policy
    for tag, inner in source.inner.items():
        digest = base64.b64encode(hashlib.sha256(inner.encode()).digest()).decode()
        assert f"{tag}-src 'sha256-{digest}'" in policy


def test_hostile_names_are_text(page: Any) -> None:
    named = {guid(n): {"phase": "rejected", "machine": name, "reason": name} for n, name in enumerate(HOSTILE)}
    text = page(pulumi_export(edge=fleet(named, trouble=" ".join(HOSTILE)))).read_text()
    source = Source(text)
    assert len([row for row in source.rows if row]) == len(HOSTILE)
    assert [tag for tag, _ in source.tags].count("script") == 1
    assert not [tag for tag, _ in source.tags if tag == "img"]
    assert [tag for tag, _ in source.tags].count("h1") == 1
    assert "\x1b" not in text
    assert "\u202e" not in text


def test_the_course_has_one_path_for_requests_and_one_for_re_enrollments(page: Any) -> None:
    member = {"phase": "re-enrolled", "requested_at": at(days=3), "reenrolled_at": at(days=1), "in_use": True}
    text = page(pulumi_export(edge=fleet({guid(n): member for n in range(4)}))).read_text()
    paths = re.findall(r'<path class="(requested|reenrolled)" d="([^"]*)"', text)
    assert [name for name, _ in paths] == ["requested", "reenrolled"]
    # Each has one step from none to all members, the first at the left and the second later.
    (left, up), (later, up_again) = (re.findall(r"H(\d+)V([\d.]+)", path)[0] for _, path in paths)
    assert int(later) > int(left)
    assert up == up_again


@pytest.mark.parametrize("name", ["pulumi-export-v1", "terraform-state-v1"])
def test_a_state_without_times_has_a_page_without_a_chart(cli: Cli, tmp_path: Path, name: str) -> None:
    file = tmp_path / "status.html"
    assert cli("status", DATA / f"{name}.json", "--html", file).code == 0
    assert "<svg" not in file.read_text()


def test_the_page_of_ten_thousand_members_is_of_bounded_size(page: Any) -> None:
    file = page(pulumi_export(edge=rollout(10_000)))
    assert file.stat().st_size < 1_000_000


def test_a_page_that_cannot_be_written_is_an_error(cli: Cli, tmp_path: Path) -> None:
    ran = cli("status", DATA / "pulumi-export.json", "--html", tmp_path / "none" / "page.html")
    assert ran.code == 1
    assert "page.html" in ran.err


@pytest.fixture(scope="module")
def _browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[browser.Page]:
    with browser.browser(tmp_path_factory.mktemp("profile")) as opened:
        yield opened


@pytest.fixture
def shown(page: Any, _browser: browser.Page) -> Any:
    """Opens the page of a state in the browser."""

    def show(state: bytes, **options: Any) -> browser.Page:
        _browser.open(page(state), **{"width": 1280, **options})
        return _browser

    return show


@in_a_browser
@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("dark", [False, True])
def test_the_page_fits_its_width_and_nothing_is_blocked(shown: Any, width: int, dark: bool) -> None:
    opened = shown(hostile_state(), width=width, dark=dark)
    assert opened.evaluate("document.documentElement.scrollWidth") <= width
    assert opened.complaints == []
    assert opened.evaluate("document.querySelectorAll('#list tbody tr').length") > 25


CONTRAST = """(() => {
  const rgb = (text) => text.match(/[\\d.]+/g).map(Number);
  const light = ([r, g, b]) => [r, g, b].map((c) => c / 255)
    .map((c) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4))
    .reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
  const paper = (node) => {
    for (; node; node = node.parentElement) {
      const found = rgb(getComputedStyle(node).backgroundColor);
      if (found.length < 4 || found[3] > 0) return found;
    }
    return [255, 255, 255];
  };
  let least = 99;
  for (const node of document.querySelectorAll("body *")) {
    const own = [...node.childNodes].some((child) => child.nodeType === 3 && child.data.trim());
    if (!own || node.closest("script, style, title, desc")) continue;
    const style = getComputedStyle(node);
    const ink = rgb(node.closest("svg") ? style.fill : style.color);
    const [a, b] = [light(ink), light(paper(node))].sort((x, y) => y - x);
    least = Math.min(least, (a + 0.05) / (b + 0.05));
  }
  return least;
})()"""


@in_a_browser
@pytest.mark.parametrize(("dark", "media"), [(False, "screen"), (True, "screen"), (True, "print")])
def test_every_text_has_enough_contrast(shown: Any, dark: bool, media: str) -> None:
    assert shown(hostile_state(), dark=dark, media=media).evaluate(CONTRAST) >= 4.5


@in_a_browser
@pytest.mark.parametrize("width", WIDTHS)
def test_a_column_sorts_by_keyboard_and_announces_the_order(shown: Any, width: int) -> None:
    opened = shown(hostile_state(), width=width)
    machines = "[...document.querySelectorAll('#list tbody th')].map((cell) => cell.textContent)"
    sort = "[...document.querySelectorAll('#list thead th')].map((cell) => cell.getAttribute('aria-sort'))"
    before = opened.evaluate(machines)
    opened.evaluate("document.querySelectorAll('#list thead button')[1].focus()")
    orders = []
    for _ in range(2):
        opened.press("Enter", 13, "\r")
        orders.append(opened.evaluate(machines))
    assert opened.evaluate(sort)[1] == "descending"
    assert [order for order in opened.evaluate(sort) if order] == ["descending"]
    assert sorted(orders[0]) == sorted(before)
    assert orders[0] != before
    assert orders[1] == orders[0][::-1]


@in_a_browser
def test_times_sort_as_times_and_rows_without_one_stay_last(shown: Any) -> None:
    recorded = {guid(n): {"phase": "pending", "requested_at": at(days=days)} for n, days in enumerate((2, 30, 1))}
    opened = shown(pulumi_export(edge=fleet({**recorded, guid(3): {"phase": "pending"}})))
    ids = "[...document.querySelectorAll('#list tbody code')].map((cell) => cell.textContent)"
    orders = []
    for _ in range(2):
        opened.evaluate("document.querySelectorAll('#list thead button')[4].click()")
        orders.append([[guid(n) for n in range(4)].index(member_id) for member_id in opened.evaluate(ids)])
    assert orders == [[1, 0, 2, 3], [2, 0, 1, 3]]


@in_a_browser
def test_a_search_shows_and_counts_the_rows_with_every_word(shown: Any) -> None:
    opened = shown(hostile_state())
    visible = "[...document.querySelectorAll('#list tbody tr')].filter((row) => row.offsetHeight).length"
    everyone = opened.evaluate(visible)
    opened.evaluate("document.querySelector('#search').focus()")
    opened.call("Input.insertText", text="REJECTED edge-1")
    found = opened.evaluate(visible)
    assert 0 < found < everyone
    assert opened.evaluate("document.querySelector('#shown').textContent").startswith(f"{found} of {everyone} ")
    opened.evaluate("document.querySelector('#search').value = ''")
    opened.evaluate("document.querySelector('#search').dispatchEvent(new Event('input'))")
    assert opened.evaluate(visible) == everyone


@in_a_browser
@pytest.mark.parametrize("width", WIDTHS)
def test_the_table_stays_a_table_for_assistive_technology(shown: Any, width: int) -> None:
    opened = shown(hostile_state(), width=width)
    nodes = opened.call("Accessibility.getFullAXTree")["nodes"]
    roles = [node["role"]["value"] for node in nodes if not node["ignored"]]
    assert {"table", "row", "columnheader", "rowheader", "cell", "searchbox", "image", "main"} <= set(roles)
    nameless = [
        node["role"]["value"]
        for node in nodes
        if not node["ignored"]
        and node["role"]["value"] in ("button", "searchbox", "image", "link", "table", "region")
        and not node.get("name", {}).get("value")
    ]
    assert nameless == []


@in_a_browser
def test_the_browser_shows_every_row_without_javascript(shown: Any) -> None:
    opened = shown(hostile_state(), scripts=False)
    text = opened.call("Accessibility.getFullAXTree")["nodes"]
    rows = [node for node in text if node["role"]["value"] == "row" and not node["ignored"]]
    assert len(rows) > 25


@in_a_browser
def test_the_page_prints(shown: Any) -> None:
    opened = shown(hostile_state(), dark=True, media="print")
    assert opened.evaluate("getComputedStyle(document.querySelector('#tools')).display") == "none"
    assert opened.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    row = "getComputedStyle(document.querySelector('#list tbody tr')).display"
    assert shown(hostile_state(), media="print", width=700).evaluate(row) == "table-row"
    pdf = base64.b64decode(opened.call("Page.printToPDF")["data"])
    assert pdf.startswith(b"%PDF")
