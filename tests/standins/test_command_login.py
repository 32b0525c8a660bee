"""Authentication and permissions: Basic, bearer tokens, the token endpoint."""

import base64
import time
from typing import Any

import httpx
import pytest

from keyfactor_standins.command.process import Command

READ, MODIFY = "/agents/management/read/", "/agents/management/modify/"
SET = "/Agents/SetAuthCertificateReenrollment"


def probe(command: Command, authorization: str | bytes | None) -> httpx.Response:
    """Status/Endpoints with this header, in which announced values are filled in and Basic is encoded."""
    headers: dict[str, Any] = {"x-keyfactor-requested-with": "APIClient"}
    if isinstance(authorization, str):
        kind, _, value = authorization.format(**command.said).partition(" ")
        value = base64.b64encode(value.encode()).decode() if kind == "Basic" else value
        headers["Authorization"] = f"{kind} {value}"
    elif authorization is not None:
        headers["Authorization"] = authorization
    return httpx.get(f"{command.url}/KeyfactorAPI/Status/Endpoints", headers=headers, trust_env=False, verify=False)


def fetch(command: Command, form: dict[str, str], auth: tuple[str, str] | None = None) -> httpx.Response:
    return httpx.post(command.said["token_url"], data=form, auth=auth, trust_env=False, verify=False)


def form_of(said: dict[str, str]) -> dict[str, str]:
    return {
        "grant_type": "client_credentials",
        "client_id": said["client_id"],
        "client_secret": said["client_secret"],
    }


@pytest.mark.parametrize(
    "authorization",
    [
        "Basic {domain}\\{username}:{password}",
        "Basic {username}@{domain}:{password}",
        "Basic plant\\SVC-ENROLL:{password}",
        "Bearer {access_token}",
        "bearer {access_token}",
    ],
)
def test_the_announced_credentials_come_in(command: Command, authorization: str) -> None:
    assert probe(command, authorization).status_code == 200


@pytest.mark.parametrize(
    "authorization",
    [
        None,
        "Basic {domain}\\{username}:wrong",
        "Basic {username}:{password}",
        "Basic OTHER\\{username}:{password}",
        b"Basic ???",
        b"Basic Zm9v\xff",
        "Bearer nothing",
        "Digest {access_token}",
    ],
)
def test_anybody_else_gets_401_without_a_body(command: Command, authorization: str | bytes | None) -> None:
    answer = probe(command, authorization)
    assert (answer.status_code, answer.content) == (401, b"")
    assert answer.headers["WWW-Authenticate"] == 'Basic realm="Keyfactor Command", Bearer'


def test_a_token_is_fetched_by_form_or_by_header_and_comes_in_until_it_is_revoked(
    command: Command, api: httpx.Client
) -> None:
    said = command.said
    by_form = fetch(command, {**form_of(said), "scope": "openid agents", "audience": "command"}).json()
    by_header = fetch(command, {"grant_type": "client_credentials"}, (said["client_id"], said["client_secret"])).json()
    assert (by_form["token_type"], by_form["expires_in"], by_form["scope"]) == ("Bearer", 300, "openid agents")
    assert by_form["access_token"] != by_header["access_token"]
    for token in (by_form, by_header):
        assert probe(command, f"Bearer {token['access_token']}").status_code == 200
    command.faults(revoke_tokens=True)
    assert probe(command, f"Bearer {by_form['access_token']}").status_code == 401
    assert probe(command, f"Bearer {said['access_token']}").status_code == 200
    assert api.get("/Agents").status_code == 200


def test_a_token_ends_after_its_life(command: Command, api: httpx.Client) -> None:
    command.faults(token_life=0.2)
    token = fetch(command, form_of(command.said)).json()["access_token"]
    deadline = time.monotonic() + 5
    while probe(command, f"Bearer {token}").status_code == 200:
        assert time.monotonic() < deadline
    assert api.get("/Agents").status_code == 200


@pytest.mark.parametrize(
    ("changed", "code", "error"),
    [
        ({"client_secret": "wrong"}, 401, "invalid_client"),
        ({"client_id": "wrong"}, 401, "invalid_client"),
        ({"grant_type": "password"}, 400, "unsupported_grant_type"),
    ],
)
def test_a_wrong_token_request_gets_the_errors_of_oauth(
    command: Command, changed: dict[str, str], code: int, error: str
) -> None:
    answer = fetch(command, {**form_of(command.said), **changed})
    assert (answer.status_code, answer.json()) == (code, {"error": error})


@pytest.mark.parametrize(
    ("lacking", "method", "path", "code"),
    [
        (READ, "GET", "/Agents", 403),
        (READ, "GET", "/Agents/{}", 403),
        (READ, "POST", SET, 403),
        (READ, "GET", "/Status/Endpoints", 200),
        (READ, "DELETE", "/Agents/{}", 204),
        (MODIFY, "GET", "/Agents", 200),
        (MODIFY, "POST", SET, 403),
        (MODIFY, "POST", "/Agents/Approve", 403),
        (MODIFY, "POST", "/Agents/Disapprove", 403),
        (MODIFY, "POST", "/Agents/Reset", 403),
        (MODIFY, "POST", "/Agents/{}/Reset", 403),
        (MODIFY, "POST", "/Agents/{}/FetchLogs", 403),
        (MODIFY, "DELETE", "/Agents/{}", 403),
    ],
)
def test_a_call_needs_its_permissions_and_the_error_names_the_missing_one(
    command: Command, api: httpx.Client, agent: str, lacking: str, method: str, path: str, code: int
) -> None:
    command.world(change={agent: {"status": 3}})
    command.faults(denied=[lacking])
    answer = api.request(method, path.format(agent), json=[agent] if method == "POST" else None)
    assert answer.status_code == code
    if code == 403:
        assert answer.json()["ErrorCode"] == "0xA0140002"
        assert lacking in answer.json()["Message"]
