"""The API for orchestrators: the responses of Session/Register, and their effects in the Keyfactor API."""

import base64
import re
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from keyfactor_standins.command.process import Command

OK, WARNING, ERROR = 1, 2, 3
UNKNOWN = "00000000-0000-4000-8000-000000000000"
Answer = dict[str, Any]


def request_for(machine: str, key: Any = None) -> x509.CertificateSigningRequest:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, machine)])
    builder = x509.CertificateSigningRequestBuilder().subject_name(name)
    return builder.sign(key or ec.generate_private_key(ec.SECP256R1()), hashes.SHA256())


def csr(machine: str = "edge") -> str:
    return base64.b64encode(request_for(machine).public_bytes(Encoding.DER)).decode()


class Agent:
    """An orchestrator that sends the requests of Keyfactor's C agent."""

    def __init__(self, command: Command, api: httpx.Client, agent_id: str = "", machine: str = "edge") -> None:
        self._command, self._api = command, api
        self.agent_id, self.machine, self.presents = agent_id, machine, ""

    def register(self, csr_text: str = "", **changed: Any) -> Answer:
        answer = self._api.post(
            f"{self._command.said['agents_url']}/Session/Register",
            headers={"X-ARR-ClientCert": self.presents} if self.presents else {},
            json={
                "AgentPlatform": 5,
                "AgentVersion": (2 << 48) | (19 << 32) | 7,
                "TenantId": "00000000-0000-0000-0000-000000000000",
                "ClientMachine": self.machine,
                "CSR": csr_text,
                "AgentId": self.agent_id,
                "Capabilities": ["CertStores.PEM.Inventory", "Custom.FetchLogs"],
                "ClientParameters": {},
                **changed,
            },
        )
        assert answer.status_code == 200, answer.text
        found: Answer = answer.json()
        return found

    def enroll(self) -> str:
        """Enroll and keep the certificate; returns its thumbprint."""
        answer = self.register(csr(self.machine))
        self.agent_id = answer["Session"]["AgentId"]
        self.presents = answer["Session"]["Certificate"]
        return thumbprint(self.presents)

    def shown(self) -> Answer:
        found: Answer = self._api.get(f"/Agents/{self.agent_id}").json()
        return found

    def prints(self) -> tuple[Any, Any, Any]:
        """The thumbprints in the API: expected, previous, last used."""
        shown = self.shown()
        return shown["Thumbprint"], shown["LegacyThumbprint"], shown["LastThumbprintUsed"]


def thumbprint(certificate: str) -> str:
    found = x509.load_der_x509_certificate(base64.b64decode(certificate, validate=True))
    return found.fingerprint(hashes.SHA1()).hex().upper()


def result(answer: Answer) -> tuple[int, str, bool]:
    """The status, the code, and whether there is a session."""
    return answer["Result"]["Status"], answer["Result"]["Error"]["CodeString"], answer["Session"]["Token"] is not None


@pytest.fixture
def enrolled(command: Command, api: httpx.Client) -> Agent:
    """An enrolled and approved orchestrator."""
    made = Agent(command, api)
    made.enroll()
    command.world(approve=[made.agent_id])
    return made


def test_a_first_enrollment_gets_a_certificate_and_a_guid_before_it_is_approved(
    command: Command, api: httpx.Client
) -> None:
    agent = Agent(command, api, machine="edge-new")
    answer = agent.register(csr("edge-new"))
    assert result(answer) == (OK, "", True)
    certificate = x509.load_der_x509_certificate(base64.b64decode(answer["Session"]["Certificate"], validate=True))
    assert certificate.subject.rfc4514_string() == "CN=edge-new"
    agent.agent_id = answer["Session"]["AgentId"]
    shown = agent.shown()
    assert (shown["Status"], shown["ClientMachine"], shown["Version"]) == (1, "edge-new", "2.19.0.7")
    assert (shown["AgentPlatform"], shown["Capabilities"]) == (5, ["CertStores.PEM.Inventory", "Custom.FetchLogs"])
    assert shown["Username"] == f"{command.said['domain']}\\{command.said['username']}"
    assert shown["LastSeen"]
    assert agent.prints() == (thumbprint(answer["Session"]["Certificate"]), None, None)


def test_one_that_is_not_approved_is_told_so_and_keeps_its_guid(command: Command, api: httpx.Client) -> None:
    agent = Agent(command, api)
    first = agent.enroll()
    answer = agent.register()
    assert result(answer) == (WARNING, "A0100001", False)
    assert answer["Session"]["AgentId"] == agent.agent_id
    assert agent.prints() == (first, None, first)
    assert agent.shown()["LastErrorMessage"] == "The orchestrator is not approved."
    command.world(approve=[agent.agent_id])
    assert result(agent.register()) == (OK, "", True)
    assert (agent.shown()["LastErrorCode"], agent.shown()["LastErrorMessage"]) == (None, None)


@pytest.mark.parametrize(
    ("asked", "told"),
    [("None", (OK, "", True)), ("Requested", (WARNING, "A0100007", True)), ("Required", (ERROR, "A0100008", False))],
)
def test_a_flag_is_told_by_code_and_only_required_takes_the_session(
    enrolled: Agent, api: httpx.Client, asked: str, told: tuple[int, str, bool]
) -> None:
    api.post("/Agents/SetAuthCertificateReenrollment", json={"OrchestratorIds": [enrolled.agent_id], "Status": asked})
    assert result(enrolled.register()) == told
    assert enrolled.shown()["AuthCertificateReenrollment"] == asked


@pytest.mark.parametrize("flag", [1, 2])
def test_a_renewal_moves_the_thumbprints_on_and_takes_the_flag(enrolled: Agent, command: Command, flag: int) -> None:
    old, _, _ = enrolled.prints()
    command.world(change={enrolled.agent_id: {"flag": flag}})
    answer = enrolled.register(csr())
    new = thumbprint(answer["Session"]["Certificate"])
    assert result(answer) == (OK, "", True)
    assert answer["Session"]["AgentId"] == enrolled.agent_id
    assert enrolled.prints() == (new, old, old)
    assert enrolled.shown()["AuthCertificateReenrollment"] == "None"
    enrolled.register()
    assert enrolled.prints() == (new, old, old)
    enrolled.presents = answer["Session"]["Certificate"]
    enrolled.register()
    assert enrolled.prints() == (new, None, new)


@pytest.mark.parametrize(
    "written",
    [
        "{}".format,
        "-----BEGIN CERTIFICATE-----{}-----END CERTIFICATE-----".format,
    ],
    ids=["base64", "PEM without line ends"],
)
def test_a_certificate_in_a_header_counts_as_presented(enrolled: Agent, written: Any) -> None:
    own = enrolled.presents
    enrolled.presents = written(own)
    enrolled.register()
    assert enrolled.prints() == (thumbprint(own), None, thumbprint(own))


def of_another_authority() -> str:
    key, began = ec.generate_private_key(ec.SECP256R1()), datetime(2026, 1, 1, tzinfo=UTC)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Stand-in CA for orchestrators")])
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    builder = builder.serial_number(1).not_valid_before(began).not_valid_after(began + timedelta(days=1))
    return base64.b64encode(builder.sign(key, hashes.SHA256()).public_bytes(Encoding.DER)).decode()


@pytest.mark.parametrize(
    "presented",
    ["", "nothing", "bm90aGluZw==", of_another_authority()],
    ids=["none", "no base64", "no DER", "other CA"],
)
def test_no_certificate_or_one_of_somebody_else_counts_as_none(enrolled: Agent, presented: str) -> None:
    own = thumbprint(enrolled.presents)
    enrolled.presents = presented
    assert result(enrolled.register()) == (OK, "", True)
    assert enrolled.prints() == (own, None, None)


@pytest.mark.parametrize(
    "text",
    [
        base64.b64encode(b"no request").decode(),
        "no base64!",
        base64.b64encode(request_for("edge").public_bytes(Encoding.DER)[:-4] + b"\0\0\0\0").decode(),
    ],
    ids=["no request", "no base64", "wrong signature"],
)
def test_a_renewal_with_a_bad_request_fails_and_is_recorded(enrolled: Agent, command: Command, text: str) -> None:
    command.world(change={enrolled.agent_id: {"flag": 2}})
    before = enrolled.prints()[:2]
    answer = enrolled.register(text)
    assert (result(answer)[0], result(answer)[2], answer["Session"]["Certificate"]) == (ERROR, False, None)
    shown = enrolled.shown()
    assert (shown["AuthCertificateReenrollment"], enrolled.prints()[:2]) == ("Required", before)
    assert shown["LastErrorCode"] == int("0x" + answer["Result"]["Error"]["CodeString"], 16)
    assert shown["LastErrorMessage"] == answer["Result"]["Error"]["Message"]


@pytest.mark.parametrize("key", ["ecc", "rsa"])
@pytest.mark.parametrize("encoding", [Encoding.DER, Encoding.PEM])
def test_a_request_may_be_of_either_key_and_in_pem(enrolled: Agent, key: str, encoding: Encoding) -> None:
    made = rsa.generate_private_key(65537, 2048) if key == "rsa" else None
    data = request_for("edge", made).public_bytes(encoding)
    answer = enrolled.register(data.decode() if encoding is Encoding.PEM else base64.b64encode(data).decode())
    assert result(answer) == (OK, "", True)
    assert not answer["Session"]["Certificate"].startswith("-")


def test_a_disapproved_one_gets_neither_session_nor_certificate(enrolled: Agent, command: Command) -> None:
    command.world(change={enrolled.agent_id: {"status": 3}})
    before = enrolled.prints()[0]
    for text in ("", csr()):
        answer = enrolled.register(text)
        assert (result(answer), answer["Session"]["Certificate"]) == ((ERROR, "A0100001", False), None)
    assert enrolled.prints()[0] == before


def test_after_a_reset_and_an_approval_it_is_told_to_enroll_again(enrolled: Agent, api: httpx.Client) -> None:
    api.post(f"/Agents/{enrolled.agent_id}/Reset")
    api.post("/Agents/Approve", json=[enrolled.agent_id])
    assert result(enrolled.register()) == (ERROR, "A0100008", False)
    new = enrolled.enroll()
    assert enrolled.shown()["Thumbprint"] == new


@pytest.mark.parametrize("written", [str, str.upper])
def test_a_deleted_one_comes_back_as_new_under_its_guid(enrolled: Agent, command: Command, written: Any) -> None:
    gone = enrolled.agent_id
    command.world(remove=[gone])
    enrolled.agent_id = written(gone)
    assert result(enrolled.register()) == (ERROR, "A0100008", False)
    new = enrolled.enroll()
    assert (enrolled.agent_id, enrolled.shown()["Status"], enrolled.shown()["Thumbprint"]) == (gone, 1, new)


def test_one_without_a_certificate_is_told_to_enroll_and_not_remembered(command: Command, api: httpx.Client) -> None:
    before = command.ids()
    assert result(Agent(command, api).register()) == (ERROR, "A0100008", False)
    assert result(Agent(command, api, UNKNOWN).register()) == (ERROR, "A0100008", False)
    assert command.ids() == before


def test_a_csr_field_of_null_is_none(enrolled: Agent) -> None:
    assert result(enrolled.register(CSR=None)) == (OK, "", True)


def test_the_answer_has_every_field_that_the_c_agent_reads(enrolled: Agent) -> None:
    answer = enrolled.register()
    assert set(answer["Result"]) == {"Status", "Error"}
    assert set(answer["Result"]["Error"]) == {"Code", "CodeString", "HResult", "Message"}
    assert {name: type(value) for name, value in answer["Session"].items()} == {
        "Token": str,
        "AgentId": str,
        "Certificate": type(None),
        "ClientMachine": str,
        "HeartbeatInterval": int,
        "Jobs": list,
        "ClientParameters": dict,
    }
    assert re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", answer["Session"]["Token"])


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ("{half", 400),
        ("[]", 400),
        ('{"AgentId": "edge-001"}', 400),
        ('{"AgentId": 7}', 400),
        ('{"AgentPlatform": "many"}', 400),
        ('{"Capabilities": 7}', 400),
        ("{}", 200),
    ],
)
def test_what_is_no_registration_is_a_bad_request(command: Command, api: httpx.Client, body: str, code: int) -> None:
    url = f"{command.said['agents_url']}/Session/Register"
    assert api.post(url, content=body).status_code == code
    assert api.post(url.replace("KeyfactorAgents", "keyfactoragents"), content=body).status_code == code


def test_a_registration_needs_credentials(command: Command, api: httpx.Client) -> None:
    url = f"{command.said['agents_url']}/Session/Register"
    assert api.post(url, json={}, auth=("PLANT\\svc-enroll", "wrong")).status_code == 401
