"""The release of this package; the build reads it from here."""

from typing import Final

RELEASE: Final = "0.1.0"
