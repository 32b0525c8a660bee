"""One orchestrator with the behaviour of Keyfactor's C agent: its sessions, its key and its certificate."""

import base64
import ssl
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

import httpx
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

ENROLL = ("A0100007", "A0100008")
"""The codes that make an orchestrator enroll again (Keyfactor-CAgent, session.c)."""


@cache
def _trusting(ca: str) -> ssl.SSLContext:
    # Creating a context takes longer than a session, and a fleet has one CA.
    return ssl.create_default_context(cafile=ca or None)


class Orchestrator:
    """One orchestrator; its key never leaves this object.

    Args:
        agents_url: of Command's API for orchestrators.
        login: Basic credentials.
        machine: ClientMachine.
        agent_id: its GUID; empty if it has not registered yet.
        ca: path of the CA of an https server; empty for the system's.
        failing: it can register but not renew, because it sends an invalid CSR.
    """

    def __init__(
        self,
        agents_url: str,
        login: tuple[str, str],
        machine: str,
        *,
        agent_id: str = "",
        ca: str = "",
        failing: bool = False,
    ) -> None:
        self.machine, self.agent_id, self.failing = machine, agent_id, failing
        self.certificate: x509.Certificate | None = None
        self._url, self._login, self._ca = f"{agents_url}/Session/Register", login, ca
        self._key: ec.EllipticCurvePrivateKey | None = None
        self._http = self._client()

    @property
    def thumbprint(self) -> str:
        """The thumbprint of its certificate; empty without one."""
        return self.certificate.fingerprint(hashes.SHA1()).hex().upper() if self.certificate else ""

    def session(self) -> str:
        """Register for a session, and enroll if told to; returns the result in a few words.

        Raises:
            httpx.HTTPError: Command can't be reached, or responds with an HTTP error.
        """
        if not self.agent_id:
            return self._enroll("registered")
        response = self._register("")
        code = (response["Result"].get("Error") or {}).get("CodeString")
        if code in ENROLL:
            return self._enroll("re-enrolled")
        if response["Session"].get("Token"):
            return "in session"
        return f"no session: {(response['Result'].get('Error') or {}).get('Message')}"

    def _enroll(self, done: str) -> str:
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, self.machine)])
        csr = x509.CertificateSigningRequestBuilder().subject_name(name).sign(key, hashes.SHA256())
        broken = self.failing and self.agent_id
        der = b"no request" if broken else csr.public_bytes(serialization.Encoding.DER)
        response = self._register(base64.b64encode(der).decode())
        text = response["Session"].get("Certificate")
        if not text:
            return f"could not enroll: {(response['Result'].get('Error') or {}).get('Message')}"
        self.agent_id = response["Session"]["AgentId"]
        self._key, self.certificate = key, x509.load_der_x509_certificate(base64.b64decode(text))
        self._http.close()
        self._http = self._client()
        # Command sees the new certificate in use in the next registration.
        self._register("")
        return f"{done}, certificate {self.thumbprint[:12]}"

    def _register(self, csr: str) -> dict[str, Any]:
        response = self._http.post(
            self._url,
            auth=self._login,
            json={
                "AgentPlatform": 5,
                "AgentVersion": (2 << 48) | (8 << 32) | (7 << 16),
                "TenantId": "00000000-0000-0000-0000-000000000000",
                "ClientMachine": self.machine,
                "CSR": csr,
                "AgentId": self.agent_id,
                "Capabilities": ["CertStores.PEM.Inventory", "CertStores.PEM.Management"],
                "ClientParameters": {},
            },
        )
        return response.raise_for_status().json()  # type: ignore[no-any-return]

    def _client(self) -> httpx.Client:
        """A client that presents the certificate: over TLS, or over http in the header of a reverse proxy."""
        context, headers = _trusting(self._ca), {}
        if self._key and self.certificate:
            if self._url.startswith("https"):
                context = self._presenting(self._key, self.certificate)
            else:
                der = self.certificate.public_bytes(serialization.Encoding.DER)
                headers["X-ARR-ClientCert"] = base64.b64encode(der).decode()
        return httpx.Client(verify=context, headers=headers, trust_env=False)

    def _presenting(self, key: ec.EllipticCurvePrivateKey, certificate: x509.Certificate) -> ssl.SSLContext:
        context = ssl.create_default_context(cafile=self._ca or None)
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "own.pem"
            file.touch(0o600)
            file.write_bytes(
                key.private_bytes(
                    serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
                )
                + certificate.public_bytes(serialization.Encoding.PEM)
            )
            context.load_cert_chain(file)
        return context

    def close(self) -> None:
        """Close its connection."""
        self._http.close()
