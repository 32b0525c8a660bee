"""A certificate authority, which issues the orchestrators' client certificates and the server certificate."""

import base64
import ipaddress
import re
import ssl
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from keyfactor_standins.command.world import Refused, World

_YEAR = timedelta(days=365)


class Authority:
    """The CA; its key is kept with the world, so that certificates stay valid across restarts.

    Its certificates are valid from the earlier of the world's time and the machine's until a year after the later one,
    since TLS checks them against the machine's clock, whatever the world's.
    """

    def __init__(self, world: World) -> None:
        self._world = world
        if "ca" in world.kept:
            pem = world.kept["ca"].encode()
            self._key = serialization.load_pem_private_key(pem, None)
            self.certificate = x509.load_pem_x509_certificate(pem)
            return
        self._key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Stand-in CA for orchestrators")])
        self.certificate = self._sign(
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(name)
            .public_key(self._key.public_key())
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            # Python 3.13 and newer do not trust a chain without key identifiers.
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(self._key.public_key()), critical=False)
            .add_extension(
                x509.KeyUsage(
                    digital_signature=True,
                    key_cert_sign=True,
                    crl_sign=True,
                    content_commitment=False,
                    key_encipherment=False,
                    data_encipherment=False,
                    key_agreement=False,
                    encipher_only=False,
                    decipher_only=False,
                ),
                critical=True,
            ),
            10 * _YEAR,
        )
        world.keep("ca", _pem(self._key) + self.pem)

    @property
    def pem(self) -> str:
        """The CA's certificate."""
        return self.certificate.public_bytes(serialization.Encoding.PEM).decode()

    def issue(self, csr_text: str) -> x509.Certificate:
        """A client certificate for a CSR in base64 DER, as orchestrators send it, or in PEM.

        Raises:
            Refused: it is not a CSR, or its signature is invalid.
        """
        try:
            csr = x509.load_der_x509_csr(_der(csr_text))
            signed = csr.is_signature_valid
        except (ValueError, UnsupportedAlgorithm):
            raise Refused("The CSR can't be read.", "0xA0110007") from None
        if not signed:
            raise Refused("The CSR's signature is invalid.", "0xA0110007")
        return self._sign(
            x509.CertificateBuilder()
            .subject_name(csr.subject)
            .issuer_name(self.certificate.subject)
            .public_key(csr.public_key())
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False)
            .add_extension(self._identifier(), critical=False),
            _YEAR,
        )

    def presented(self, given: bytes | str) -> str | None:
        """The thumbprint of a certificate that a client presents; None if this CA did not issue it.

        Args:
            given: DER, or base64 text. Keyfactor's agent sends PEM without line ends.
        """
        try:
            certificate = x509.load_der_x509_certificate(given if isinstance(given, bytes) else _der(given))
            certificate.verify_directly_issued_by(self.certificate)
        except (ValueError, TypeError, InvalidSignature):
            return None
        return thumbprint(certificate)

    def server_context(self) -> ssl.SSLContext:
        """TLS for this server on loopback; client certificates are optional."""
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
        names = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
        certificate = self._sign(
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(self.certificate.subject)
            .public_key(key.public_key())
            .add_extension(x509.SubjectAlternativeName(names), critical=False)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
            .add_extension(self._identifier(), critical=False),
            _YEAR,
        )
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "server.pem"
            file.touch(0o600)
            file.write_text(_pem(key) + certificate.public_bytes(serialization.Encoding.PEM).decode())
            context.load_cert_chain(file)
        context.load_verify_locations(cadata=self.pem)
        context.verify_mode = ssl.CERT_OPTIONAL
        return context

    def _identifier(self) -> x509.AuthorityKeyIdentifier:
        return x509.AuthorityKeyIdentifier.from_issuer_public_key(self.certificate.public_key())  # type: ignore[arg-type]

    def _sign(self, builder: x509.CertificateBuilder, life: timedelta) -> x509.Certificate:
        clocks = sorted((self._world.now(), datetime.now(UTC)))
        return (
            builder.serial_number(x509.random_serial_number())
            .not_valid_before(clocks[0] - timedelta(minutes=5))
            .not_valid_after(clocks[1] + life)
            .sign(self._key, hashes.SHA256())  # type: ignore[arg-type]  # a loaded key is an EC key here
        )


def thumbprint(certificate: x509.Certificate) -> str:
    """The SHA-1 of the DER in upper-case hex, as in Command."""
    return certificate.fingerprint(hashes.SHA1()).hex().upper()


def _der(text: str) -> bytes:
    return base64.b64decode(re.sub(r"-----[A-Z ]+-----|\s", "", text), validate=True)


def _pem(key: ec.EllipticCurvePrivateKey) -> str:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()
