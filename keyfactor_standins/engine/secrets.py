"""Encrypts secrets with a passphrase in Pulumi's format, so that each engine reads what the other wrote.

Key: PBKDF2 with SHA-256, 1,000,000 rounds, 8 bytes of salt. Cipher: AES-256-GCM, written as `v1:NONCE:CIPHERTEXT` in
base64. Salt line: `v1:SALT:` and the word "pulumi" encrypted, which shows whether a passphrase is right.
"""

import base64
import hashlib
import json
import os
import threading
from collections.abc import Mapping
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from keyfactor_standins.engine.errors import EngineError
from keyfactor_standins.engine.wire import SECRET, SIGNATURE, Secret, mapped

_ROUNDS = {"v1": 1_000_000, "quick": 1_000}
"""Rounds by the version of a salt line. `quick` is the stand-in's own, which the CLI refuses."""
_VERSION = "STANDIN_SALT_VERSION"
_PROOF = "pulumi"


def passphrase(environment: Mapping[str, str]) -> str:
    """The passphrase in the environment; raises EngineError without one."""
    if (phrase := environment.get("PULUMI_CONFIG_PASSPHRASE")) is not None:
        return phrase
    raise EngineError("set PULUMI_CONFIG_PASSPHRASE (it may be empty); this stand-in reads no passphrase file")


class Vault:
    """Encrypts and decrypts with one passphrase and one salt line; without a line it creates a new one.

    Deriving the key takes 0.3 s, so a thread does it while the child processes start. That is still a third of what a
    small run costs: tests that make many runs set STANDIN_SALT_VERSION=quick for new lines.
    """

    def __init__(self, phrase: str, salt: str | None) -> None:
        self._line = salt
        self._error: EngineError | None = None
        self._derivation = threading.Thread(target=self._derive, args=(phrase,), daemon=True)
        self._derivation.start()

    def _derive(self, phrase: str) -> None:
        version, _, rest = (self._line or os.environ.get(_VERSION, "v1")).partition(":")
        salt_text, _, proof = rest.partition(":")
        try:
            salt = base64.b64decode(salt_text) or os.urandom(8)
            self._cipher = AESGCM(hashlib.pbkdf2_hmac("sha256", phrase.encode(), salt, _ROUNDS[version]))
            if self._line is None:
                self._line = f"{version}:{base64.b64encode(salt).decode()}:{self._seal(_PROOF)}"
            elif self._open(proof) != _PROOF:
                raise ValueError(self._line)
        except (InvalidTag, ValueError, KeyError):
            self._error = EngineError(
                "incorrect passphrase: it does not match the stack's encryptionsalt; set PULUMI_CONFIG_PASSPHRASE to"
                " the one that encrypted the stack's secrets"
            )

    def _ready(self) -> None:
        self._derivation.join()
        if self._error is not None:
            raise self._error

    @property
    def salt(self) -> str:
        """The salt line; raises EngineError where the passphrase is not the one of this line."""
        self._ready()
        assert self._line is not None
        return self._line

    def decrypt(self, sealed: str) -> str:
        """The text of a `v1:NONCE:CIPHERTEXT`."""
        self._ready()
        try:
            return self._open(sealed)
        except (InvalidTag, ValueError) as error:
            raise EngineError(
                "a secret cannot be decrypted: it was not encrypted with this stack's passphrase and encryptionsalt;"
                " set the secret again"
            ) from error

    def encrypt(self, text: str) -> str:
        """`v1:NONCE:CIPHERTEXT` of a text."""
        self._ready()
        return self._seal(text)

    def hidden(self, value: Any) -> Any:
        """The value with its secrets encrypted, as the state holds it."""
        return mapped(
            value,
            lambda leaf: (
                {SIGNATURE: SECRET, "ciphertext": self.encrypt(json.dumps(leaf.value, separators=(",", ":")))}
                if isinstance(leaf, Secret)
                else leaf
            ),
        )

    def revealed(self, value: Any) -> Any:
        """A value from the state with its secrets decrypted and marked."""
        if isinstance(value, dict):
            if value.get(SIGNATURE) == SECRET:
                return Secret(json.loads(self.decrypt(value["ciphertext"])))
            return {key: self.revealed(item) for key, item in value.items()}
        return [self.revealed(item) for item in value] if isinstance(value, list) else value

    def _seal(self, text: str) -> str:
        nonce = os.urandom(12)
        sealed = self._cipher.encrypt(nonce, text.encode(), None)
        return f"v1:{base64.b64encode(nonce).decode()}:{base64.b64encode(sealed).decode()}"

    def _open(self, sealed: str) -> str:
        _, nonce, content = sealed.split(":")
        return self._cipher.decrypt(base64.b64decode(nonce), base64.b64decode(content), None).decode()
