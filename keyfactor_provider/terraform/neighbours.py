"""The other plugin processes of the same Terraform, which starts one for each provider configuration (alias).

Terraform runs them side by side for a plan or an apply and ends all of them before it continues, so processes that run
at the same time belong to one configuration. Each has a file that only this user can access. A process writes a claim
to its own file, which later processes copy when they start, and to the files of the others, where it outlives the
process. A claim goes unnoticed if its process ends before the other one starts, for example because one provider block
depends on a resource of the other.
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
    """The claims of this process, and those of the others of the same Terraform.

    Args:
        folder: of the files of all plugin processes of this user; created if missing.
        family: the ID of the process that started this one and the others.
        own: the ID of this process.
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
        """The neighbours of this process; None if they can't be determined, which is logged."""
        folder = Path(tempfile.gettempdir()) / f"keyfactorcommand-{os.getuid()}"
        try:
            return cls(folder, os.getppid(), os.getpid())
        except (OSError, ValueError) as error:
            LOG.warning("Can't detect an orchestrator in fleets of two provider aliases: %s", error)
            return None

    def claim(self, server: str, members: Iterable[str]) -> frozenset[str]:
        """Claims members on a server for the fleets of this process; returns those that others have claimed.

        Raises:
            OSError: the folder can't be written to.
        """
        member_ids = sorted(members)
        with self._locked():
            for path in (self._file, *self._others()):
                with path.open("a", encoding="utf-8") as file:
                    file.write(_line([self._own, server, member_ids]))
            return self._of_others(server).intersection(member_ids)

    def claimed(self, server: str) -> frozenset[str]:
        """The members on a server that others have claimed so far.

        Raises:
            OSError: the folder can't be read.
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
        return frozenset().union(*(members for by, on, members in claims if on == server and by != self._own))

    @contextmanager
    def _locked(self) -> Iterator[None]:
        self._folder.mkdir(mode=0o700, exist_ok=True)
        handle = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        try:
            status = os.fstat(handle)
            if status.st_uid != os.getuid() or stat.S_IMODE(status.st_mode) & 0o077:
                raise PermissionError(f"{self._folder} is accessible to other users")
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
