"""No error, traceback, repr or log of the client has a secret, whatever Command or a proxy responds."""

import dataclasses
import json
import logging
import os
import socket
import threading
import traceback
from base64 import b64decode
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from keyfactor_provider.command.client import CommandClient
from keyfactor_provider.command.settings import Settings, load
from keyfactor_provider.errors import CommandError, SettingsError
from keyfactor_provider.status import ReenrollmentStatus
from keyfactor_standins.command.process import Command
from tests.secrecy.canaries import (
    CLIENT_SECRET,
    FETCHED_TOKEN,
    FORMS,
    PASSWORD,
    PASSWORDS,
    PROXY_BASIC,
    PROXY_PASSWORD,
    SENT,
    environment,
    planted,
    settings,
    traces,
)

ONE = "3f2504e0-4f89-11d3-9a0c-0305e82c3301"
TOKEN = {
    "on": "POST /identity/token",
    "act": "body",
    "body": json.dumps({"access_token": FETCHED_TOKEN, "token_type": "Bearer", "expires_in": 300}),
}


@pytest.fixture(scope="module")
def command(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Command]:
    with planted(tmp_path_factory.mktemp("command")) as command:
        yield command


def answers(echo: str) -> dict[str, dict[str, Any]]:
    """Responses in which Command or a proxy repeats a secret."""
    message = json.dumps({"ErrorCode": "0xA0110001", "Message": f"Refused: {echo}"})
    page = f"<html><h1>Bad Gateway</h1><pre>{echo}</pre></html>"
    return {
        **{
            f"{status} in its Message": {"status": status, "body": message} for status in (400, 401, 403, 404, 429, 500)
        },
        "400 in its ErrorCode": {"status": 400, "body": json.dumps({"ErrorCode": echo, "Message": echo})},
        "400 over several lines": {"status": 400, "body": json.dumps({"Message": f"{echo}\n {echo}"})},
        "502 with a page": {"status": 502, "body": page, "content_type": "text/html"},
        "200 with a page": {"act": "body", "body": page, "content_type": "text/html"},
        "200 with half a JSON": {"act": "body", "body": f'[{{"AgentId": {json.dumps(echo)}'},
        "200 with other types": {"act": "body", "body": json.dumps([{"AgentId": [echo]}])},
        "200 with it for a GUID": {"act": "body", "body": json.dumps([{"AgentId": echo}])},
        "200 with it for a failed GUID": {"act": "body", "body": json.dumps({"FailedOrchestratorIds": [echo]})},
        "a redirect": {"act": "redirect", "to": f"https://elsewhere.example.com/?said={echo}"},
        "a redirect with it as a user": {"act": "redirect", "to": f"https://user:{echo}@elsewhere.example.com/"},
        "no answer": {"act": "reset"},
    }


CALLS: dict[str, Callable[[CommandClient], object]] = {
    "page": lambda client: client.agents_page(1, 10, deadline=once(client)),
    "agent": lambda client: client.agent(ONE, deadline=once(client)),
    "ask": lambda client: client.set_status([ONE], ReenrollmentStatus.REQUESTED, "integer", deadline=once(client)),
}


def once(client: CommandClient) -> Any:
    return dataclasses.replace(client.deadline(), retries=False)


def settings_of(command: Command, method: str) -> Settings:
    return load(settings(command, method).get, {}, Path("/nowhere"))


def everything(client: CommandClient, call: Callable[[CommandClient], object]) -> str:
    """Everything readable that a call leaves."""
    try:
        return repr(call(client))
    except CommandError as error:
        return "\n".join([str(error), repr(error), *traceback.format_exception(error)])


@pytest.mark.parametrize("method", SENT)
@pytest.mark.parametrize("answer", answers(""))
def test_an_answer_that_echoes_what_was_sent_tells_nobody(
    command: Command, caplog: pytest.LogCaptureFixture, method: str, answer: str
) -> None:
    caplog.set_level(logging.DEBUG)
    for echo in SENT[method]:
        fault = {"act": "status", **answers(echo)[answer]}
        faults = [{"on": "GET /Agents", **fault}, {"on": "POST /Agents", **fault}]
        command.faults(faults=[TOKEN, *faults])
        client = CommandClient(settings_of(command, method))
        said = [everything(client, call) for call in CALLS.values()]
        client.close()
        assert traces("\n".join(said)) == []
    assert traces(caplog.text) == []


@pytest.mark.parametrize(
    "answer",
    [
        *(
            {"act": "status", "status": status, "body": json.dumps(body)}
            for status in (400, 401, 500)
            for body in ({"error": "invalid_client", "error_description": "ECHO"}, {"error": "ECHO"}, ["ECHO"])
        ),
        {"act": "status", "status": 403, "body": "<html>ECHO</html>", "content_type": "text/html"},
        {"act": "body", "body": '{"access_token": "ECHO'},
        {"act": "body", "body": json.dumps({"error": "invalid_scope", "error_description": "ECHO"})},
        {"act": "body", "body": json.dumps({"access_token": ["ECHO"]})},
        {"act": "body", "body": json.dumps({"ECHO": "ECHO"})},
        {"act": "redirect", "to": "https://user:ECHO@elsewhere.example.com/ECHO"},
        {"act": "drop"},
    ],
    ids=lambda answer: " ".join(str(part) for part in answer.values())[:60],
)
def test_a_token_endpoint_that_echoes_the_client_tells_nobody(
    command: Command, caplog: pytest.LogCaptureFixture, answer: dict[str, Any]
) -> None:
    caplog.set_level(logging.DEBUG)
    for echo in SENT["oauth"][:4]:
        filled = {
            name: value.replace("ECHO", echo) if isinstance(value, str) else value for name, value in answer.items()
        }
        command.faults(faults=[{"on": "POST /identity/token", **filled}])
        client = CommandClient(settings_of(command, "oauth"))
        said = everything(client, CALLS["page"])
        client.close()
        assert "Getting a token" in said
        assert traces(said) == []
    assert traces(caplog.text) == []


@pytest.mark.parametrize("method", SENT)
def test_a_success_tells_nobody(command: Command, caplog: pytest.LogCaptureFixture, method: str) -> None:
    caplog.set_level(logging.DEBUG)
    command.faults(faults=[])
    found = settings_of(command, method)
    client = CommandClient(found)
    assert len(client.agents_page(1, 50).agents) == 12
    said = [repr(each) for each in (found, found.credentials, client, *vars(client).values())]
    said += [everything(client, call) for call in CALLS.values()]
    client.close()
    assert traces("\n".join(said)) == []
    assert traces(caplog.text) == []


@pytest.mark.parametrize("password", PASSWORDS.values(), ids=PASSWORDS)
def test_a_password_is_not_told_in_whatever_form_command_repeats_it(
    command: Command, caplog: pytest.LogCaptureFixture, password: str
) -> None:
    caplog.set_level(logging.DEBUG)
    client = CommandClient(load((settings(command, "basic") | {"password": password}).get, {}, Path("/nowhere")))
    for write in FORMS.values():
        echo = write(password)
        body = json.dumps({"ErrorCode": echo, "Message": f"Refused: {echo}"})
        command.faults(faults=[{"on": "POST /Agents", "act": "status", "status": 400, "body": body}])
        said = everything(client, CALLS["ask"])
        assert "400" in said
        assert traces(said) == []
        assert all(line.isprintable() for line in said.splitlines())
    client.close()
    assert traces(caplog.text) == []


def test_a_client_secret_is_not_told_in_whatever_form_a_token_endpoint_repeats_it(
    command: Command, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    for write in FORMS.values():
        echo = write(CLIENT_SECRET)
        body = json.dumps({"error": "invalid_scope", "error_description": f"Refused: {echo}\x1b[31m\n::error::"})
        command.faults(faults=[{"on": "POST /identity/token", "act": "status", "status": 400, "body": body}])
        client = CommandClient(settings_of(command, "oauth"))
        said = everything(client, CALLS["page"])
        client.close()
        assert "invalid_scope" in said or "withheld" in said
        assert traces(said) == []
        assert all(line.isprintable() for line in said.splitlines())
    assert traces(caplog.text) == []


class Proxy:
    """A proxy that refuses every connection and repeats the secret as the reason."""

    def __init__(self) -> None:
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self._listening.getsockname()[1]}"
        self.repeated: list[str] = []
        self.form: Callable[[str], str] = str
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listening.accept()
            except OSError:
                return
            with connection, connection.makefile("rb") as lines:
                head = list(iter(lambda: lines.readline().decode().strip(), ""))
                sent = next(line.rpartition(" ")[2] for line in head if line.lower().startswith("proxy-authorization"))
                self.repeated.append(sent)
                told = f"{sent} {self.form(b64decode(sent).decode())}"
                connection.sendall(f"HTTP/1.1 407 {told}\r\nContent-Length: 0\r\n\r\n".encode())

    def close(self) -> None:
        self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()


@pytest.fixture
def proxy() -> Iterator[Proxy]:
    proxy = Proxy()
    yield proxy
    proxy.close()


@pytest.mark.parametrize("form", ["as it is", "URL", "HTML", "JSON", "base64", "hexadecimal"])
@pytest.mark.parametrize("password", [PROXY_PASSWORD, "canary/Pass word+%"])
def test_a_proxy_that_repeats_its_credentials_tells_nobody(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, proxy: Proxy, password: str, form: str
) -> None:
    caplog.set_level(logging.DEBUG)
    proxy.form = FORMS[form]
    monkeypatch.setenv("HTTPS_PROXY", f"http://user:{quote(password, safe='')}@{proxy.address}")
    found = {"hostname": "keyfactor.example.com", "accessToken": "token", "timeout": "1"}
    client = CommandClient(load(found.get, {}, Path("/nowhere")))
    said = everything(client, CALLS["page"])
    client.close()
    assert b64decode(proxy.repeated[0]).decode() == f"user:{password}"
    assert "407" in said or "withheld" in said
    assert traces(said) == []
    assert traces(caplog.text) == []
    assert proxy.repeated[0].rstrip("=") not in said


@pytest.mark.parametrize(
    "proxy",
    [
        f"http://user:{PROXY_PASSWORD}@127.0.0.1:1",
        f"http://user:{PROXY_PASSWORD}@127.0.0.1:port",
        f"http://user:{PROXY_PASSWORD}/@127.0.0.1:1",
        f"http://user:1{PROXY_PASSWORD}/@127.0.0.1:1",
        f"user:{PROXY_PASSWORD}@127.0.0.1:1",
        f"ftp://user:{PROXY_PASSWORD}@127.0.0.1:1",
        f"socks5://user:{PROXY_PASSWORD}@127.0.0.1:1",
        f"{PROXY_PASSWORD}://:::",
    ],
)
def test_a_proxy_with_credentials_in_its_address_is_not_repeated(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, proxy: str
) -> None:
    caplog.set_level(logging.DEBUG)
    monkeypatch.setenv("HTTPS_PROXY", proxy)
    found = {"hostname": "keyfactor.example.com", "accessToken": "t", "timeout": "1"}
    try:
        client = CommandClient(load(found.get, {}, Path("/nowhere")))
    except SettingsError as error:
        said = "\n".join([str(error), *traceback.format_exception(error)])
        assert "proxy" in said
    else:
        said = everything(client, CALLS["page"])
        assert "GET https://keyfactor.example.com" in said
        client.close()
    assert traces(said) == []
    assert traces(caplog.text) == []
    assert PROXY_BASIC not in said


@pytest.mark.parametrize(
    "given",
    [
        {"KEYFACTOR_HOSTNAME": f"https://svc:{PASSWORD}@keyfactor.example.com"},
        {"KEYFACTOR_HOSTNAME": "keyfactor.example.com?token=canary"},
        {"KEYFACTOR_USERNAME": "svc:canary"},
        {"KEYFACTOR_PASSWORD": "canary", "KEYFACTOR_USERNAME": "a@b@c"},
        {"KEYFACTOR_PASSWORD": "canary", "KEYFACTOR_DOMAIN": "OTHER", "KEYFACTOR_USERNAME": "PLANT\\svc"},
        {"KEYFACTOR_AUTH_ACCESS_TOKEN": "canary"},
        {"KEYFACTOR_AUTH_CLIENT_SECRET": "canary"},
        {"KEYFACTOR_CA_CERT": "-----BEGIN PRIVATE KEY-----\ncanary\n-----END PRIVATE KEY-----"},
        {"KEYFACTOR_CA_CERT": "-----BEGIN CERTIFICATE-----\ncanary\n-----END CERTIFICATE-----"},
        {"KEYFACTOR_AUTH_CONFIG_FILE": "profile.json", "content": '{"servers": {"default": {"password": "canary'},
        {"KEYFACTOR_AUTH_CONFIG_FILE": "profile.json", "content": '{"servers": {"default": "canary"}}'},
        {
            "KEYFACTOR_AUTH_CONFIG_FILE": "profile.json",
            "content": '{"servers": {"default": {"password": ["canary"]}}}',
        },
        {"KEYFACTOR_AUTH_CONFIG_FILE": "profile.json", "content": '{"servers": {"other": {"password": "canary"}}}'},
        {
            "KEYFACTOR_AUTH_CONFIG_FILE": "profile.json",
            "content": '{"servers": {"default": {"password": "canary", "auth_provider": {"token": "canary"}}}}',
        },
    ],
    ids=lambda given: " ".join(given.values())[:70],
)
def test_a_setting_that_is_refused_is_named_without_any_secret(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, given: Mapping[str, str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "profile.json").write_text(given.get("content", ""))
    usual = {"KEYFACTOR_HOSTNAME": "keyfactor.example.com", "KEYFACTOR_USERNAME": "svc", "KEYFACTOR_PASSWORD": "secret"}
    with pytest.raises(SettingsError) as caught:
        CommandClient(load(lambda _: None, {**usual, **given}, tmp_path))
    assert traces("\n".join([str(caught.value), repr(caught.value), *traceback.format_exception(caught.value)])) == []


@pytest.mark.parametrize("token", ["canary\n", "canary\r\nX-Other: canary", "canary \u2019"])
def test_an_access_token_that_is_no_header_is_not_repeated(
    command: Command, caplog: pytest.LogCaptureFixture, token: str
) -> None:
    caplog.set_level(logging.DEBUG)
    found = {**environment(command, "token"), "KEYFACTOR_AUTH_ACCESS_TOKEN": token}
    try:
        client = CommandClient(load(lambda _: None, found, Path("/nowhere")))
    except SettingsError as error:
        said = "\n".join([str(error), repr(error)])
    else:
        said = everything(client, CALLS["page"])
        client.close()
    assert traces(said) == []
    assert traces(caplog.text) == []


def test_the_search_finds_what_it_is_to_find() -> None:
    for sent in (each for method in SENT.values() for each in method):
        assert traces(f"x{sent}y")
    assert traces("nothing here, " + os.sep) == []
