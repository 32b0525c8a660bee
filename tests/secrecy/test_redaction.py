"""A secret is not shown, in whatever form a server, a proxy or a library repeats it."""

import json
import logging
import re
import time
from base64 import b64encode

import httpx
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from keyfactor_provider.command.credentials import Credentials
from keyfactor_provider.command.redaction import Redaction, secrets_of_proxies
from tests.secrecy.canaries import FORMS, PASSWORDS, PROXY_BASIC, PROXY_PASSWORD, traces

TOKEN = "eyJhbGciOiJSUzI1NiJ9." + "eyJzdWIiOiJjYW5hcnkifQ" * 80 + ".canary-signature_-"
WRITTEN = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)


def redaction(password: str, *more: str) -> Redaction:
    return Redaction(Credentials("basic", username="PLANT\\svc", password=password), more)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("password", PASSWORDS.values(), ids=PASSWORDS)
def test_no_form_of_a_password_is_shown(password: str, form: str) -> None:
    echo, redact = FORMS[form](password), redaction(password)
    for text in (echo, f"Refused: {echo}", f"x {echo} {echo}", json.dumps({"Message": f"Refused: {echo}"})):
        assert traces(redact.line(text)) == []
        assert traces(redact(text)) == []
        assert traces(redact.line("x" * 290 + text)) == []


@pytest.mark.parametrize("form", ["as it is", "JSON", "HTML", "URL", "form", "repr", "base64", "base64 with its user"])
@pytest.mark.parametrize("password", PASSWORDS.values(), ids=PASSWORDS)
def test_what_stands_around_a_usual_form_is_shown(password: str, form: str) -> None:
    shown = redaction(password).line(f"Refused: {FORMS[form](password)} (code 7)")
    assert shown == "Refused: [secret] (code 7)"


@settings(max_examples=300, deadline=None)
@given(WRITTEN, st.sampled_from([form for form in FORMS if not re.search("cut|UTF|case$", form)]), WRITTEN)
@example("[secret]", "HTML", "")
@example("%", "with an invisible character inside", "%")
def test_whatever_is_in_a_password_it_is_cut_out(middle: str, form: str, around: str) -> None:
    password = f"canary{middle}canary"
    shown = redaction(password).line(f"{around} {FORMS[form](password)} {around}")
    assert traces(shown) == []
    assert shown.isprintable()


def test_a_line_is_safe_and_bounded_and_is_cut_after_its_secrets_are_out() -> None:
    redact = redaction("canary pass word")
    assert redact.line("\x1b[31mNo\n::error::canary pass word\u202e") == "No : :error::[secret]"
    for length in range(280, 310):
        shown = redact.line("x" * length + " canary pass word " + "y" * 600)
        assert len(shown) == 300
        assert traces(shown) == []


def test_the_beginning_of_a_secret_at_the_end_of_what_is_read_is_not_shown() -> None:
    password = "canary-password-of-many-characters"
    for blanks in range(64 * 1024 - 40, 64 * 1024 + 2):
        assert traces(redaction(password).line(" " * blanks + password + "x" * 999)) == []


@pytest.mark.parametrize(
    ("password", "text", "shown"),
    [
        ("pw1", "Refused: pw1", "Refused: [secret]"),
        ("pw1", '{"password":"pw1"}', '{"password":"[secret]"}'),
        ("pw1", "user:pw1@host", "user:[secret]@host"),
        ("pw1", f"Basic {b64encode(b'PLANT' + bytes([92]) + b'svc:pw1').decode()}", "Basic [secret]"),
        ("t", "All attempts failed", "All attempts failed"),
        ("é!", "Refused: %C3%A9%21", "Refused: [secret]"),
        ("secret", "a secret text", "a [secret] text"),
        ("   ", "a   b", "a b"),
        ("", "a b", "a b"),
    ],
)
def test_short_secrets_are_cut_out_where_they_stand_alone(password: str, text: str, shown: str) -> None:
    assert redaction(password).line(text) == shown


@pytest.mark.parametrize(
    "text",
    [
        "400, 0xA0110001: The orchestrator was not found.",
        "ConnectError: [Errno 111] Connection refused",
        "edge-001 (3f2504e0-4f89-11d3-9a0c-0305e82c3301): “é” 漢字 100 % of 5 + 3 <b> & \\x41 %41",
    ],
)
@pytest.mark.parametrize("password", PASSWORDS.values(), ids=PASSWORDS)
def test_a_text_without_a_secret_stays_as_it_is(password: str, text: str) -> None:
    redact = redaction(password)
    redact.add(TOKEN)
    assert redact.line(text) == redact(text) == text


def test_several_secrets_are_known_at_once_and_the_mark_is_none_of_them() -> None:
    redact = redaction("canary-one", "canary-two", "secret", "e")
    redact.add("canary-three")
    assert redact.line("canary-one canary-two canary-three") == "[secret] [secret] [secret]"


@pytest.mark.parametrize("form", ["as it is", "URL", "JSON", "base64", "base64 over lines"])
def test_a_token_that_was_fetched_is_not_shown(form: str) -> None:
    redact = redaction("x")
    redact.add(TOKEN)
    assert "eyJ" not in redact.line(f"Authorization: Bearer {FORMS[form](TOKEN)} y")
    assert traces(redact.line(f"Authorization: Bearer {FORMS[form](TOKEN)} y")) == []


def test_the_secret_of_a_client_is_known_as_its_basic_header_has_it() -> None:
    redact = Redaction(Credentials("oauth", client_id="a b", client_secret="c/+"))
    assert redact.line(f"Basic {b64encode(b'a%20b:c%2F%2B').decode()}") == "Basic [secret]"


@pytest.mark.parametrize(
    ("proxy", "secrets"),
    [
        ("http://user:pass@proxy:3128", {"user:pass", "pass"}),
        ("user:pa%2Fss@proxy", {"user:pa%2Fss", "user:pa/ss", "pa%2Fss", "pa/ss"}),
        ("http://user:pa/ss@proxy", {"user:pa/ss", "pa/ss"}),
        ("http://user:pa@ss@proxy", {"user:pa@ss", "pa@ss"}),
        ("http://token@proxy", {"token"}),
        ("http://proxy:3128", set()),
        ("http://@proxy", set()),
    ],
)
@pytest.mark.parametrize("name", ["HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "all_proxy"])
def test_the_credentials_of_a_proxy_are_secrets(name: str, proxy: str, secrets: set[str]) -> None:
    assert set(secrets_of_proxies({name: proxy, "NO_PROXY": "a@b", "PATH": "c@d"})) == secrets


def test_what_a_proxy_was_sent_is_not_shown() -> None:
    redact = redaction("x", *secrets_of_proxies({"HTTPS_PROXY": f"http://user:{PROXY_PASSWORD}@proxy:3128"}))
    assert redact.line(f"407 Basic {PROXY_BASIC} user:{PROXY_PASSWORD}") == "407 Basic [secret] [secret]"


def test_the_log_of_requests_has_the_usual_reason_and_not_the_peers(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    for status in (200, 404, 799):
        reason = {"reason_phrase": b"canary"}
        with httpx.Client(transport=httpx.MockTransport(lambda _: httpx.Response(status, extensions=reason))) as http:  # noqa: B023
            http.get("https://keyfactor.example.com/")
    assert [record.getMessage().rpartition("HTTP/1.1 ")[2] for record in caplog.records] == [
        '200 OK"',
        '404 Not Found"',
        '799 "',
    ]


@pytest.mark.timeout(20)
@pytest.mark.parametrize("password", [*PASSWORDS.values(), TOKEN, '"canary', " canary"], ids=lambda it: repr(it[:30]))
def test_no_text_takes_long(password: str) -> None:
    redact = redaction(password)
    began = time.process_time()
    for repeated in (" ", "a", "\\", "%25", "&amp;", "canary ", "\\u0041"):
        redact.line(repeated * 100_000)
    assert time.process_time() - began < 5
