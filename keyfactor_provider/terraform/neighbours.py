"""The other plugin processes of one Terraform: there is one for each provider configuration (alias).

Terraform starts them for a plan or an apply side by side, and ends all of them before it goes on, so those that run at
the same time belong to one configuration. Each has a file of this user's alone. What a process claims it writes into
its own file, from which a process that starts later takes it, and into those of the others, where it stays although
the process that claimed it may end first. What is not noticed: a claim of a process that ended before the other began,
as where one provider block needs a resource of the other.
"""

import fcntl
import json
import os
import stat
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from keyfactor_provider.terraform.logs import LOG


class Neighbours:
    """What this process claims, and what the others of the same Terraform do.

    Args:
        folder: of the files, for all plugin processes of this user; made where it is missing.
        family: the process that started this one and the others.
        own: this process.
    """

    def __init__(self, folder: Path, family: int, own: int) -> None:
        self._folder, self._family, self._own, self._file = folder, family, own, folder / f"{family}-{own}"
        with self._locked():
            for file in folder.iterdir():
                if not _runs(_process(file)):
                    file.unlink()
            claims = [claim for file in self._others() for claim in _claims(file) if claim[0] == _process(file)]
            self._file.write_text("".join(map(_line, claims)), encoding="utf-8")

    @classmethod
    def of_this_process(cls) -> "Neighbours | None":
        """Those of the Terraform that started this process; None where they can't be known, which is logged."""
        folder = Path(tempfile.gettempdir()) / f"keyfactorcommand-{os.getuid()}"
        try:
            return cls(folder, os.getppid(), os.getpid())
        except (OSError, ValueError) as error:
            LOG.warning("An orchestrator in fleets of two provider aliases will not be noticed: %s", error)
            return None

    def claim(self, server: str, members: Iterable[str]) -> frozenset[str]:
        """Tells the others which members of a server's this process has fleets for; those that they have claimed.

        Raises:
            OSError: the folder can't be written to any more.
        """
        wanted = sorted(members)
        with self._locked():
            for each in (self._file, *self._others()):
                with each.open("a", encoding="utf-8") as file:
                    file.write(_line([self._own, server, wanted]))
            return self._of_others(server).intersection(wanted)

    def claimed(self, server: str) -> frozenset[str]:
        """The members of a server's that the others have claimed so far.

        Raises:
            OSError: the folder can't be read any more.
        """
        with self._locked():
            return self._of_others(server)

    def leave(self) -> None:
        """Removes the file of this process."""
        with self._locked():
            self._file.unlink(missing_ok=True)

    def _others(self) -> list[Path]:
        return [file for file in self._folder.glob(f"{self._family}-*") if file != self._file]

    def _of_others(self, server: str) -> frozenset[str]:
        claims = _claims(self._file)
        return frozenset(each for by, of, members in claims if of == server and by != self._own for each in members)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        self._folder.mkdir(mode=0o700, exist_ok=True)
        handle = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        try:
            status = os.fstat(handle)
            if status.st_uid != os.getuid() or stat.S_IMODE(status.st_mode) & 0o077:
                raise PermissionError(f"{self._folder} is not this user's alone")
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield
        finally:
            os.close(handle)


def _claims(file: Path) -> list[tuple[int, str, list[str]]]:
    return [tuple(json.loads(line)) for line in file.read_text(encoding="utf-8").splitlines()]


def _line(claim: Sequence[object]) -> str:
    return json.dumps(claim) + "\n"


def _process(file: Path) -> int:
    return int(file.name.rpartition("-")[2])


def _runs(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True
