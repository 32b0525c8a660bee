"""Untrusted text becomes one bounded, printable line without terminal and CI commands; harmless text is unchanged."""

import re
import time
import unicodedata

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from keyfactor_provider.text import MOST_MARKS, count, flat, listed, named, safe

GUID = "3f2504e0-4f89-11d3-9a0c-0305e82c3301"

PIECES = st.sampled_from(
    [
        *("::", ":", "##", "#", "[", "##[", "##vso[", "##teamcity[", "::error::", "error", " ", "\t", "\n", "\r\n"),
        *("\x1b", "\x1b[31m", "\x1b]8;;x\x07", "\x9b", "\x9d", "\x9c", "\x07", "\x1b\\", "31m", "\x00", "\x7f"),
        *("\u2028", "\u2029", "\x85", "\u202e", "\u2066", "\u200b", "\u200d", "\ufeff", "\xad", "\ud800", "\u3164"),
        *("\u0301" * 9, "\u0e49", "\u20dd", "\ufe0f", "é", "漢字", "👩", "a", "edge-01", "\U000e0041", "\U0003fffd"),
    ]
)
TEXTS = st.text(max_size=60) | st.lists(PIECES, max_size=25).map("".join)


@settings(max_examples=500, deadline=None)
@given(TEXTS, st.integers(1, 40))
@example("\x1b\x1b[31m[31mred", 40)
@example(":::error::x", 40)
@example("\u0301" * 300, 40)
def test_any_text_becomes_one_printable_bounded_line_that_stays_as_it_is(text: str, most: int) -> None:
    shown = safe(text, most)
    assert len(shown) <= most
    assert shown.isprintable()
    assert shown.splitlines() in ([], [shown])
    assert not re.match(r"\s*::", shown)
    assert not re.search(r"##[A-Za-z]*\[|\s::[A-Za-z-]+::", shown)
    assert not re.search(r"\s\s|^\s|\s$", shown)
    shown.encode()
    marks = "".join("m" if unicodedata.category(char) in ("Mn", "Me") else " " for char in shown)
    assert "m" * (MOST_MARKS + 1) not in marks
    assert safe(shown, most) == shown


@settings(max_examples=200, deadline=None)
@given(TEXTS)
def test_a_whole_text_is_made_safe_in_the_same_way(text: str) -> None:
    assert flat(flat(text)) == flat(text)
    assert safe(text, 1000) == flat(text)


@pytest.mark.parametrize(
    "text",
    [
        *("edge-001.plant.example", "PLANT\\svc-enroll", "a", "", "x: y; z", "C++ #1 [x]", "std::string", "fe80::1"),
        *("[fd00::1]:443", "500 Internal Server Error", "a#b", "at ::1 and ::ffff:10.0.0.1", "50 % (of 9)"),
        *(
            "é",
            "Zürich-01",
            "e\u0301",
            "漢字サーバー",
            "서버",
            "סרבר",
            "خادم",
            "ที่นี่",
            "क्षेत्र",
            "Ω≈ç√",
            "“quoted” — dash…",
        ),
        *("👍", "❤\ufe0f", "👍🏽", "🇨🇭", "x" * 200),
    ],
)
def test_harmless_text_stays_as_it_is(text: str) -> None:
    assert safe(text) == text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("edge\x1b[31;1m-001\x1b[0m", "edge-001"),
        ("\x1b[2J\x1b[H\x1bcgone", "gone"),
        ("\x1b]0;title\x07edge", "edge"),
        ("\x1b]8;;https://evil.example\x1b\\edge\x1b]8;;\x1b\\", "edge"),
        ("\x1bP$q\x1b\\edge\x1b(B", "edge"),
        ("\x9b31medge\x9d0;title\x9c", "edge"),
        ("\x1b]0;no end", "0;no end"),
        ("\x1b", ""),
        ("one\ntwo\r\nthree\x0bfour\x0cfive\x1csix", "one two three four five six"),
        ("one\u2028two\u2029three\x85four", "one two three four"),
        ("edge\r\x1b[Kcore", "edge core"),
        ("\u202eevil\u202c \u2066x\u2069 \u200ey\u200f\u061c", "evil x y"),
        ("ed\u200bge\ufeff \xad\u2060x", "ed ge x"),
        ("a\xa0\u3000\u2003b", "a b"),
        ("a\u3164\u2800\U000e0101b", "a b"),
        ("\ud800x\ue000\uffff", "x"),
        ("a" + "\u0300\u0301" * 50 + "b", "a" + "\u0300\u0301" * 2 + "b"),
        ("  edge  001  ", "edge 001"),
        ("::error file=x::y", ": :error file=x::y"),
        (" \t::set-output name=x::y", ": :set-output name=x::y"),
        (":::stop-commands::t", ": : :stop-commands::t"),
        ("edge ::add-mask::x", "edge : :add-mask::x"),
        ("##[error]x", "# #[error]x"),
        ("edge ##vso[task.setvariable variable=x]y", "edge # #vso[task.setvariable variable=x]y"),
        ("###VSO[task.complete]", "# # #VSO[task.complete]"),
        ("##teamcity[buildStatus text='x']", "# #teamcity[buildStatus text='x']"),
        ("\x1b[0m::error::x", ": :error::x"),
        (":\x1b[0m:error::x", ": :error::x"),
        ("#\x1b[0m#[error]", "# #[error]"),
    ],
)
def test_what_could_be_obeyed_is_plain_text_afterwards(text: str, shown: str) -> None:
    assert safe(text) == shown


@pytest.mark.parametrize("text", ["x" * 201, "é" * 201, "x " * 500, "\x1b[0m" * 10_000 + "x", " " * 10_000 + "x"])
def test_what_is_cut_ends_with_an_ellipsis(text: str) -> None:
    assert safe(text).endswith("…")
    assert len(safe(text)) <= 200


@pytest.mark.parametrize("text", ["\x9d" * 200_000, "\x1b[" + "0" * 200_000, "\x1b]" * 100_000, "#" * 200_000])
def test_no_text_takes_long(text: str) -> None:
    began = time.process_time()
    safe(text)
    flat(text)
    assert time.process_time() - began < 1


def test_a_hundred_thousand_names_take_no_time_worth_naming() -> None:
    names = [f"edge-{number:06}.plant.example" for number in range(100_000)]
    began = time.process_time()
    assert [safe(name) for name in names] == names
    assert time.process_time() - began < 1


@pytest.mark.parametrize(
    ("machine", "name"),
    [("edge", f"edge ({GUID})"), ("", GUID), ("\u200b\n", GUID), ("a\nb", f"a b ({GUID})")],
)
def test_an_orchestrator_is_named_by_what_can_be_shown_of_its_machine(machine: str, name: str) -> None:
    assert named(machine, GUID) == name


def test_a_list_names_twenty_and_counts_the_rest() -> None:
    names = [f"n{number}." for number in range(25)]
    assert sum(name in listed(names) for name in names) == 20
    assert "5 more" in listed(names)
    assert listed(names[:2]) == "n0., n1."


@pytest.mark.parametrize(("number", "text"), [(0, "0 members"), (1, "1 member"), (2, "2 members")])
def test_a_noun_follows_its_number(number: int, text: str) -> None:
    assert count(number, "member") == text
