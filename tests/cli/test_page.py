"""The status page: what its source says, and how it behaves in a real browser."""

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
    browser.FOUND is None, reason=f"none of {', '.join(browser.NAMES)} on the PATH: the page was seen in no browser"
)
WIDTHS = (390, 1280)


class Source(HTMLParser):
    """The page as it is written, without JavaScript.

    Attributes:
        rows: the cells of each row of the list of stragglers, by the label of the cell.
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
        given = dict(attrs)
        self.tags.append((tag, given))
        self._in = tag if tag in self.inner else ""
        if tag == "tr" and given.get("role") == "row":
            self.rows.append({})
        if tag in ("td", "th"):
            self._label = given.get("data-label")

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
    """Writes the page of a state; its file."""

    def make(state: bytes) -> Path:
        file = tmp_path / "status.html"
        ran = cli("status", "-", "--html", file, stdin=state)
        assert ran.code == 0, ran.err
        return file

    return make


def everybody() -> bytes:
    """A roll-out in its middle, with hostile names in it."""
    return pulumi_export(edge=rollout(), **{"</h2><script>alert(1)</script>": rollout(12, 2)})


def test_without_javascript_every_straggler_is_in_the_table(cli: Cli, page: Any) -> None:
    source = Source(page(everybody()).read_text())
    found = json.loads(cli("status", "-", "--json", stdin=everybody()).out)["fleets"]
    expected = {(one["id"], one["machine"]) for each in found for one in each["stragglers"]}
    assert len(expected) > 25
    assert {(row["Orchestrator"], row["Machine"]) for row in source.rows if row} == expected
    assert not [tag for tag, _ in source.tags if tag in ("input", "button", "form")]


def test_nothing_is_loaded_and_nothing_runs_but_its_own_script(page: Any) -> None:
    source = Source(page(everybody()).read_text())
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


def test_the_course_has_a_path_for_what_was_requested_and_one_for_what_has_re_enrolled(page: Any) -> None:
    member = {"phase": "re-enrolled", "requested_at": at(days=3), "reenrolled_at": at(days=1), "in_use": True}
    text = page(pulumi_export(edge=fleet({guid(n): member for n in range(4)}))).read_text()
    paths = re.findall(r'<path class="(requested|reenrolled)" d="([^"]*)"', text)
    assert [name for name, _ in paths] == ["requested", "reenrolled"]
    # One step from nobody to everybody each, the first at the left and the second later.
    (left, up), (later, up_again) = (re.findall(r"H(\d+)V([\d.]+)", path)[0] for _, path in paths)
    assert int(later) > int(left)
    assert up == up_again


@pytest.mark.parametrize("name", ["pulumi-export-v1", "terraform-state-v1"])
def test_a_state_without_times_has_a_page_all_the_same(cli: Cli, tmp_path: Path, name: str) -> None:
    file = tmp_path / "status.html"
    assert cli("status", DATA / f"{name}.json", "--html", file).code == 0
    assert "<svg" not in file.read_text()


def test_ten_thousand_members_make_a_page_of_bounded_size(page: Any) -> None:
    file = page(pulumi_export(edge=rollout(10_000)))
    assert file.stat().st_size < 1_000_000


def test_a_page_that_can_not_be_written_is_an_error(cli: Cli, tmp_path: Path) -> None:
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
def test_it_fits_its_width_and_nothing_is_blocked(shown: Any, width: int, dark: bool) -> None:
    opened = shown(everybody(), width=width, dark=dark)
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
    assert shown(everybody(), dark=dark, media=media).evaluate(CONTRAST) >= 4.5


@in_a_browser
@pytest.mark.parametrize("width", WIDTHS)
def test_a_column_sorts_by_keyboard_and_says_how(shown: Any, width: int) -> None:
    opened = shown(everybody(), width=width)
    machines = "[...document.querySelectorAll('#list tbody th')].map((cell) => cell.textContent)"
    sort = "[...document.querySelectorAll('#list thead th')].map((cell) => cell.getAttribute('aria-sort'))"
    before = opened.evaluate(machines)
    opened.evaluate("document.querySelectorAll('#list thead button')[1].focus()")
    orders = []
    for _ in range(2):
        opened.press("Enter", 13, "\r")
        orders.append(opened.evaluate(machines))
    assert opened.evaluate(sort)[1] == "descending"
    assert [each for each in opened.evaluate(sort) if each] == ["descending"]
    assert sorted(orders[0]) == sorted(before)
    assert orders[0] != before
    assert orders[1] == orders[0][::-1]


@in_a_browser
def test_times_sort_as_times_and_what_has_none_stays_last(shown: Any) -> None:
    recorded = {guid(n): {"phase": "pending", "requested_at": at(days=days)} for n, days in enumerate((2, 30, 1))}
    opened = shown(pulumi_export(edge=fleet({**recorded, guid(3): {"phase": "pending"}})))
    ids = "[...document.querySelectorAll('#list tbody code')].map((cell) => cell.textContent)"
    found = []
    for _ in range(2):
        opened.evaluate("document.querySelectorAll('#list thead button')[4].click()")
        found.append([[guid(n) for n in range(4)].index(each) for each in opened.evaluate(ids)])
    assert found == [[1, 0, 2, 3], [2, 0, 1, 3]]


@in_a_browser
def test_a_search_shows_what_has_every_word_and_says_how_many(shown: Any) -> None:
    opened = shown(everybody())
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
    opened = shown(everybody(), width=width)
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
def test_without_javascript_the_browser_shows_it_all(shown: Any) -> None:
    opened = shown(everybody(), scripts=False)
    text = opened.call("Accessibility.getFullAXTree")["nodes"]
    rows = [node for node in text if node["role"]["value"] == "row" and not node["ignored"]]
    assert len(rows) > 25


@in_a_browser
def test_it_prints(shown: Any) -> None:
    opened = shown(everybody(), dark=True, media="print")
    assert opened.evaluate("getComputedStyle(document.querySelector('#tools')).display") == "none"
    assert opened.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    row = "getComputedStyle(document.querySelector('#list tbody tr')).display"
    assert shown(everybody(), media="print", width=700).evaluate(row) == "table-row"
    pdf = base64.b64decode(opened.call("Page.printToPDF")["data"])
    assert pdf.startswith(b"%PDF")
