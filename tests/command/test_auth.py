"""Authentication over real HTTP: three methods, tokens that expire early, and failures of the token endpoint."""

from base64 import b64decode
from collections.abc import Callable
from urllib.parse import parse_qs

import httpx
import pytest

from keyfactor_provider.command.client import CommandClient
from keyfactor_provider.command.settings import Settings, load
from keyfactor_provider.errors import BadAnswer, Rejected, Unauthorized, Unreachable
from keyfactor_standins.command.process import Command
from tests.support.clients import LIST, ONE, SET, TOKEN, Lab, settings_for

Labs = Callable[..., Lab]


def token_requests(command: Command) -> list[dict[str, str]]:
    return [entry["form"] for entry in command.journal() if entry["path"].endswith("/token")]


@pytest.mark.parametrize("method", ["basic", "token", "oauth"])
def test_each_way_to_sign_in_lets_a_client_read_and_ask(command: Command, lab: Labs, method: str) -> None:
    agent_id = command.ids()[0]
    assert lab(method).fleet().up([agent_id]) == {agent_id: "pending"}
    assert command.flags()[agent_id] == "Requested"


def test_one_token_serves_many_requests_and_carries_scopes_and_audience(command: Command, lab: Labs) -> None:
    client = lab("oauth", scopes="agents.read, agents.write", audience="https://kf.example.com/api?x=1").client
    client.agents_page(1, 5)
    client.agents_page(2, 5)
    assert token_requests(command) == [
        {
            "grant_type": "client_credentials",
            "scope": "agents.read agents.write",
            "audience": "https://kf.example.com/api?x=1",
        }
    ]


def test_a_renewal_names_the_audience_as_well(command: Command, lab: Labs) -> None:
    client = lab("oauth", audience="kf").client
    client.agents_page(1, 5)
    command.faults(revoke_tokens=True)
    client.agents_page(1, 5)
    assert [form.get("audience") for form in token_requests(command)] == ["kf", "kf"]


def test_without_scopes_and_audience_neither_is_sent(command: Command, lab: Labs) -> None:
    lab("oauth").client.agents_page(1, 5)
    assert token_requests(command) == [{"grant_type": "client_credentials"}]


def test_a_client_that_the_header_does_not_bring_in_comes_in_by_form_and_stays_with_it(
    command: Command, lab: Labs
) -> None:
    command.faults(form_only=True)
    client = lab("oauth").client
    client.agents_page(1, 5)
    command.faults(revoke_tokens=True)
    client.agents_page(1, 5)
    forms = token_requests(command)
    assert ["client_id" in form for form in forms] == [False, True, True]


def test_a_client_with_odd_characters_is_form_encoded_before_it_becomes_a_header() -> None:
    seen: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return httpx.Response(401, stream=httpx.ByteStream(b""))

    given = {
        "KEYFACTOR_HOSTNAME": "command.example.com",
        "KEYFACTOR_AUTH_CLIENT_ID": "a:b",
        "KEYFACTOR_AUTH_CLIENT_SECRET": "c d+é%",
        "KEYFACTOR_AUTH_TOKEN_URL": "https://login.example.com/token",
    }
    client = CommandClient(load(lambda _: None, given), transport=httpx.MockTransport(answer))
    with pytest.raises(Unauthorized):
        client.agents_page(1, 5)
    client.close()
    # RFC 6749, 2.3.1; the second attempt uses form fields.
    assert b64decode(seen[0].headers["Authorization"].split()[1]) == b"a%3Ab:c%20d%2B%C3%A9%25"
    assert parse_qs(seen[1].content.decode())["client_secret"] == ["c d+é%"]


def test_a_token_near_its_end_is_replaced_before_it_is_used(command: Command, lab: Labs) -> None:
    command.faults(token_life=20)
    client = lab("oauth").client
    client.agents_page(1, 5)
    client.agents_page(1, 5)
    assert len(token_requests(command)) == 2
    assert all(entry["status"] == 200 for entry in command.journal())


@pytest.mark.parametrize("life", ['"soon"', "null", "0", "-5", "[1]", '"9e99"'])
def test_a_token_whose_life_is_not_told_is_used_until_a_401_says_otherwise(
    command: Command, lab: Labs, life: str
) -> None:
    token = command.said["access_token"]
    body = f'{{"access_token": "{token}", "expires_in": {life}}}'
    command.faults(faults=[{"on": TOKEN, "act": "body", "body": body}])
    client = lab("oauth").client
    assert client.agents_page(1, 5).agents
    assert client.agents_page(2, 5).agents
    assert len(token_requests(command)) == 1


def test_a_revoked_token_is_replaced_once_and_the_request_sent_again(command: Command, lab: Labs) -> None:
    client = lab("oauth").client
    client.agents_page(1, 5)
    command.faults(revoke_tokens=True)
    command.forget()
    assert client.agents_page(1, 5).agents
    assert [entry["status"] for entry in command.journal()] == [401, 200, 200]


@pytest.mark.parametrize("life", [0, 300])
def test_an_endpoint_that_gives_expired_tokens_ends_after_one_more_try(command: Command, lab: Labs, life: int) -> None:
    body = f'{{"access_token": "expired-canary", "expires_in": {life}}}'
    command.faults(faults=[{"on": TOKEN, "act": "body", "body": body}])
    client = lab("oauth").client
    with pytest.raises(Unauthorized, match="does not accept OAuth2 client reenrollment") as raised:
        client.agents_page(1, 5)
    assert [entry["status"] for entry in command.journal()] == [200, 401, 200, 401]
    assert "expired-canary" not in str(raised.value)


@pytest.mark.parametrize("method", ["basic", "token"])
def test_a_401_is_not_tried_again_where_there_is_no_fresh_token(command: Command, lab: Labs, method: str) -> None:
    command.faults(faults=[{"on": LIST, "act": "status", "status": 401}])
    with pytest.raises(Unauthorized, match="Correct the credentials"):
        lab(method).client.agents_page(1, 5)
    assert len(command.journal()) == 1


def test_a_401_in_the_middle_of_the_batches_goes_on_with_a_fresh_token(command: Command, lab: Labs) -> None:
    revoked = {"on": SET, "act": "pass", "skip": 1, "times": 1, "settings": {"revoke_tokens": True}}
    command.faults(faults=[revoked])
    fleet = lab("oauth", batchSize="4").fleet()
    fleet.up(command.ids())
    assert fleet.counts() == {"pending": 12}
    assert set(command.flags().values()) == {"Requested"}


@pytest.mark.parametrize(
    ("fault", "kind", "says", "times"),
    [
        ({"act": "status", "status": 500, "body": "<html>down</html>"}, Unreachable, "answered 500 (", 0),
        ({"act": "status", "status": 429}, Unreachable, "answered 429 (", 0),
        ({"act": "drop"}, Unreachable, "incomplete response (RemoteProtocolError", 0),
        ({"act": "body", "body": "<html>sign in</html>"}, BadAnswer, "200 with an HTML page and no token", 1),
        ({"act": "status", "status": 404, "body": "nothing here"}, BadAnswer, "answered 404 and no token", 1),
        ({"act": "redirect", "to": "https://elsewhere.example.com"}, BadAnswer, "answered 302 and no token", 1),
        ({"act": "body", "body": '{"access_token": "half'}, BadAnswer, "no token in JSON", 1),
        ({"act": "body", "body": "[" * 100000}, BadAnswer, "no token in JSON", 1),
        ({"act": "body", "body": '{"token_type": "Bearer"}'}, BadAnswer, "no token in JSON", 1),
        ({"act": "body", "body": '{"access_token": "two\\nlines"}'}, BadAnswer, "no token in JSON", 1),
        ({"act": "body", "body": '{"access_token": 7}'}, BadAnswer, "no token in JSON", 1),
        ({"act": "huge"}, BadAnswer, "larger than 64 MiB", 1),
        ({"act": "status", "status": 401, "body": "no JSON"}, Unauthorized, "it was refused (401", 2),
        (
            {"act": "status", "status": 400, "body": '{"error": "invalid_scope"}'},
            Unauthorized,
            "invalid_scope: no description",
            1,
        ),
    ],
)
def test_a_token_endpoint_in_trouble_is_named_with_what_it_answered(
    command: Command, lab: Labs, fault: dict[str, object], kind: type[Exception], says: str, times: int
) -> None:
    command.faults(faults=[{"on": TOKEN, **fault}])
    with pytest.raises(kind) as raised:
        lab("oauth").client.agents_page(1, 5)
    assert says in str(raised.value)
    assert f"from {command.said['token_url']}" in str(raised.value)
    assert times in (0, len(token_requests(command)))


def test_a_wrong_secret_is_refused_twice_and_never_shown(command: Command) -> None:
    given = settings_for(command, "oauth")
    credentials = type(given.credentials)(**{**vars(given.credentials), "client_secret": "canary&secret"})
    client = CommandClient(Settings(**{**vars(given), "credentials": credentials}))
    with pytest.raises(Unauthorized, match=r"refused \(invalid_client.*Check the client's id, secret") as raised:
        client.agents_page(1, 5)
    client.close()
    assert len(token_requests(command)) == 2
    assert "canary" not in str(raised.value)


def test_what_a_token_endpoint_says_is_shown_as_one_line_without_the_secret(command: Command, lab: Labs) -> None:
    secret = command.said["client_secret"]
    # Entra ID's descriptions have line breaks and quotes, which RFC 6749 does not allow.
    body = f'{{"error": "unauthorized_client", "error_description": "AADSTS7: \\"{secret}\\" is wrong.\\r\\nTrace: 1"}}'
    command.faults(faults=[{"on": TOKEN, "act": "status", "status": 400, "body": body}])
    with pytest.raises(Unauthorized) as raised:
        lab("oauth").client.agents_page(1, 5)
    assert 'AADSTS7: "[secret]" is wrong. Trace: 1' in str(raised.value)
    assert secret not in str(raised.value)


def test_a_token_endpoint_that_is_not_there_is_unreachable_and_nothing_was_sent_to_command(
    command: Command, lab: Labs
) -> None:
    made = lab("oauth", tokenUrl="http://127.0.0.1:9/token")
    fleet = made.fleet()
    fleet.up(command.ids()[:4])
    assert fleet.counts() == {"due": 4}
    assert "no connection to http://127.0.0.1:9/token" in fleet.trouble
    assert command.journal() == []


@pytest.mark.parametrize("method", ["basic", "token", "oauth"])
def test_a_secret_that_command_echoes_is_not_shown(command: Command, lab: Labs, method: str) -> None:
    made = lab(method)
    sent: list[str] = []

    async def watch(request: httpx.Request) -> None:
        sent.append(request.headers["Authorization"])

    made.client._http.event_hooks = {"request": [watch]}
    made.client.agents_page(1, 5)
    secret = sent[0].split(" ")[1]
    made.client._http.event_hooks = {}
    plain = {"basic": command.said["password"], "token": secret, "oauth": command.said["client_secret"]}[method]
    body = f'{{"ErrorCode": "0xA0110001", "Message": "Observation: {secret}\\r\\n{plain}"}}'
    command.faults(faults=[{"on": ONE, "act": "status", "status": 400, "body": body}])
    with pytest.raises(Rejected, match=r"0xA0110001: Observation: \[secret\] \[secret\]") as raised:
        made.client.agent(command.ids()[0])
    assert secret not in str(raised.value)


def test_requests_side_by_side_that_get_the_same_401_fetch_one_token(command: Command, lab: Labs) -> None:
    client = lab("oauth").client
    client.agents_page(1, 5)
    command.faults(revoke_tokens=True)
    command.forget()
    assert len(list(client.agents_pages(range(1, 5), 3))) == 4
    assert len(token_requests(command)) == 1
    # How many requests get a 401 depends on their order.
    assert 1 <= sum(entry["status"] == 401 for entry in command.journal()) <= 4
