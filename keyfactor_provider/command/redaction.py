"""What no message may show, in every form in which a server could echo it."""

from base64 import b64encode
from collections import deque
from urllib.parse import quote, quote_plus

from keyfactor_provider.command.credentials import Credentials


class Redaction:
    """Takes the secrets of one client out of texts."""

    def __init__(self, credentials: Credentials) -> None:
        plain = [credentials.password, credentials.client_secret, credentials.access_token]
        pairs = [
            f"{credentials.username}:{credentials.password}" if credentials.password else "",
            f"{quote(credentials.client_id, safe='')}:{quote(credentials.client_secret, safe='')}"
            if credentials.client_secret
            else "",
        ]
        forms = [b64encode(pair.encode()).decode() for pair in pairs if pair]
        for secret in plain:
            forms += [secret, quote(secret, safe=""), quote_plus(secret)]
        self._known = tuple(sorted({form for form in forms if form}, key=len, reverse=True))
        self._fetched: deque[str] = deque(maxlen=16)

    def add(self, secret: str) -> None:
        """A token that was fetched; the last few are remembered."""
        self._fetched.append(secret)

    def __call__(self, text: str) -> str:
        """The text with `[secret]` where one stood."""
        for secret in (*self._known, *self._fetched):
            text = text.replace(secret, "[secret]")
        return text

    def line(self, text: str, most: int = 300) -> str:
        """What a server said, as one printable line of at most so many characters, without secrets."""
        flat = " ".join("".join(char if char.isprintable() else " " for char in text).split())
        # Before and after: a line break within a secret would hide it from the first.
        return self(" ".join(self(flat).split()))[:most]
