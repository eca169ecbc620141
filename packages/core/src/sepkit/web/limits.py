"""What a server accepts and how long it keeps it, and the answers it gives to anything else."""

from __future__ import annotations

from pydantic import Field

from ..config import Frozen
from ..errors import SepkitError


class Limits(Frozen):
    """The bounds of one server; a megabyte has 10^6 bytes, and a file is refused before any work is done on it.

    `keep_minutes`: how long a job lives on after anybody last asked for it. `players_minutes`: the longest stretch
    that the page plays; the zip always has the whole.
    """

    max_megabytes: float = Field(default=200.0, gt=0)
    max_minutes: float = Field(default=15.0, gt=0)
    max_waiting: int = Field(default=20, ge=1)
    keep_minutes: float = Field(default=30.0, gt=0)
    max_draws: int = Field(default=16, ge=2)
    max_steps: int = Field(default=1000, ge=1)
    players_minutes: float = Field(default=4.0, gt=0)

    @property
    def max_bytes(self) -> int:
        """The size of the largest file."""
        return int(self.max_megabytes * 1e6)


class Refusal(SepkitError):
    """A request that the server does not take; `status` is its HTTP status."""

    status = 400


class TooLarge(Refusal):
    """A file above the limits."""

    status = 413


class NotSound(Refusal):
    """A file that is no sound, or that cannot be read."""

    status = 415


class Busy(Refusal):
    """Too many jobs are waiting already."""

    status = 503


class NoSuchJob(Refusal):
    """A job that never was, or is gone."""

    status = 404


class NotReady(Refusal):
    """A result that is not there, as the job is not done."""

    status = 409
