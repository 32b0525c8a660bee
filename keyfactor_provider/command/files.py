"""Reads the files that settings name: regular files of bounded size, in UTF-8 or UTF-16."""

import codecs
import errno
import os
import stat
from pathlib import Path

from keyfactor_provider.text import safe


def read_text(path: Path, most: int, *, errors: str = "strict") -> str:
    """The text of a file: UTF-8 with or without a byte order mark, or UTF-16 with one.

    Pipes and devices are not opened, because reading one may never end.

    Args:
        most: the maximum size in bytes.
        errors: how to handle invalid bytes, as for `bytes.decode`.

    Raises:
        OSError: it can't be read; `strerror` says why.
    """
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise OSError(errno.EINVAL, "it is not a regular file")
        with path.open("rb") as file:
            content = file.read(most + 1)
        if len(content) > most:
            raise OSError(errno.EFBIG, f"it is larger than {most // 1024} KiB")
        wide = content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
        return content.decode("utf-16" if wide else "utf-8-sig", errors)
    except UnicodeError:
        raise OSError(errno.EILSEQ, "it is neither UTF-8 nor UTF-16 text") from None
    except ValueError:
        raise OSError(errno.EINVAL, "no file can have this name") from None


def others_can_write(path: Path) -> bool:
    """Whether users other than the owner can write to a file.

    A group with the owner's own number is the owner's private group; on many systems it can write by default.
    """
    if os.name != "posix":
        return False
    status = path.stat()
    shared = stat.S_IWOTH | (stat.S_IWGRP if status.st_gid != status.st_uid else 0)
    return bool(status.st_mode & shared)


def warn_if_others_can_write(path: Path, warnings: list[str]) -> None:
    """Adds a warning about a file that decides where credentials are sent if other users can write to it."""
    if others_can_write(path):
        warnings.append(
            f"Other users of this machine can change {safe(str(path))}, which decides where the credentials are sent. "
            "Run chmod go-w on it."
        )
