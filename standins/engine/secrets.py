"""Secrets under a passphrase, in Pulumi's own format, so that either engine reads what the other wrote.

Key: PBKDF2 with SHA-256, 1,000,000 rounds, 8 bytes of salt. Cipher: AES-256-GCM, written as
`v1:NONCE:CIPHERTEXT` in base64. Salt line: `v1:SALT:` and the word "pulumi" encrypted, by which a wrong
passphrase is told (`pkg/secrets/passphrase/manager.go`, `sdk/go/common/resource/config/crypt.go`).
"""

import base64
import hashlib
import json
import os
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from standins.engine.errors import EngineError

_ROUNDS = 1_000_000
_PROOF = "pulumi"


def passphrase(environment: Mapping[str, str]) -> str:
    """The passphrase that the environment gives, the way the CLI looks for it.

    Raises:
        EngineError: neither PULUMI_CONFIG_PASSPHRASE nor PULUMI_CONFIG_PASSPHRASE_FILE is set or readable.
    """
    given = environment.get("PULUMI_CONFIG_PASSPHRASE")
    if given is not None:
        return given
    file = environment.get("PULUMI_CONFIG_PASSPHRASE_FILE")
    if not file:
        raise EngineError(
            "passphrase must be set with PULUMI_CONFIG_PASSPHRASE or PULUMI_CONFIG_PASSPHRASE_FILE environment"
            " variables (an empty PULUMI_CONFIG_PASSPHRASE is a passphrase too)"
        )
    try:
        return Path(file).read_text(encoding="utf-8").strip()
    except OSError as error:
        raise EngineError(
            f"unable to read PULUMI_CONFIG_PASSPHRASE_FILE {file}: {error.strerror}; set it to a readable file"
        ) from error


class Vault:
    """Encrypts and decrypts with one passphrase and one salt.

    The key takes 0.3 s to derive; that starts at once on a thread of its own, beside the children's start.

    Args:
        phrase: the passphrase.
        salt: the salt line of the stack or of its state; None makes a new one.
    """

    def __init__(self, phrase: str, salt: str | None) -> None:
        self._phrase = phrase
        self._line = salt
        self._error: EngineError | None = None
        self._cipher: AESGCM | None = None
        self._ready = threading.Thread(target=self._derive, name="secrets-key", daemon=True)
        self._ready.start()

    def _derive(self) -> None:
        parts = self._line.split(":", 2) if self._line is not None else []
        if self._line is not None and (len(parts) != 3 or parts[0] != "v1"):
            self._error = EngineError(
                "the stack's encryptionsalt is malformed: expected v1:SALT:PROOF; restore it from version control"
            )
            return
        salt = base64.b64decode(parts[1]) if parts else os.urandom(8)
        self._cipher = AESGCM(hashlib.pbkdf2_hmac("sha256", self._phrase.encode(), salt, _ROUNDS))
        if not parts:
            self._line = f"v1:{base64.b64encode(salt).decode()}:{self._seal(self._cipher, _PROOF)}"
            return
        try:
            proof = self._open(self._cipher, parts[2])
        except (InvalidTag, ValueError):
            proof = ""
        if proof != _PROOF:
            self._error = EngineError(
                "incorrect passphrase: it does not fit the stack's encryptionsalt; set"
                " PULUMI_CONFIG_PASSPHRASE to the one that the stack's secrets were written with"
            )

    def _key(self) -> AESGCM:
        self._ready.join()
        if self._error is not None:
            raise self._error
        assert self._cipher is not None
        return self._cipher

    @property
    def salt(self) -> str:
        """The salt line, waiting for a new one to be made.

        Raises:
            EngineError: the passphrase does not fit the salt.
        """
        self._key()
        assert self._line is not None
        return self._line

    def encrypt(self, text: str) -> str:
        """`v1:NONCE:CIPHERTEXT` of a text."""
        return self._seal(self._key(), text)

    def decrypt(self, sealed: str) -> str:
        """The text of a `v1:NONCE:CIPHERTEXT`.

        Raises:
            EngineError: it was written with another passphrase or salt, or damaged.
        """
        try:
            return self._open(self._key(), sealed)
        except (InvalidTag, ValueError) as error:
            raise EngineError(
                "a secret cannot be decrypted: it was not written with this stack's passphrase and"
                " encryptionsalt; set the secret again"
            ) from error

    def hide(self, value: Any) -> dict[str, str]:
        """The state's fields for a secret value (`pkg/resource/stack/deployment.go`)."""
        return {"ciphertext": self.encrypt(json.dumps(value, separators=(",", ":")))}

    def reveal(self, fields: Mapping[str, str]) -> Any:
        """The value behind the state's fields, encrypted or in plain text."""
        if "plaintext" in fields:
            return json.loads(fields["plaintext"])
        return json.loads(self.decrypt(fields["ciphertext"]))

    @staticmethod
    def _seal(cipher: AESGCM, text: str) -> str:
        nonce = os.urandom(12)
        sealed = cipher.encrypt(nonce, text.encode(), None)
        return f"v1:{base64.b64encode(nonce).decode()}:{base64.b64encode(sealed).decode()}"

    @staticmethod
    def _open(cipher: AESGCM, sealed: str) -> str:
        version, nonce, content = sealed.split(":")
        if version != "v1":
            raise ValueError(f"unknown version {version!r} of a sealed value")
        return cipher.decrypt(base64.b64decode(nonce), base64.b64decode(content), None).decode()
