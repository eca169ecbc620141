"""The key to an exported test: which anonymous file is who, where it comes from and how it was treated."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import ValidationError

from ...config import Frozen
from ...errors import DatasetError
from ...partial_files import replacing

FILE = "manifest.json"

Role = Literal["method", "reference", "low_anchor", "mid_anchor", "interference_anchor", "mixture", "poor_example"]
ANCHORS: tuple[Role, ...] = ("low_anchor", "mid_anchor", "interference_anchor")


class Stimulus(Frozen):
    """One sound of a page; `key` is what the results call it. Loudness is None where all of it is below -70 LUFS."""

    key: str
    file: str  # relative to the exported folder
    role: Role
    method: str | None = None
    gain_db: float
    loudness_lufs: float | None  # as played
    peak_dbfs: float | None  # as played; None for silence
    sha256: str

    @property
    def label(self) -> str:
        """What tables call it: the method, or its role in words."""
        if self.role == "reference":
            return "hidden reference"
        return self.method or self.role.replace("_", " ")


class Page(Frozen):
    """One excerpt: a passage of a track, the same for all of its stimuli."""

    id: str
    track: str
    start_seconds: float
    sounding: float  # share of blocks of 100 ms in which the stem sounds
    target_lufs: float | None  # what the stimuli were matched to; None: one gain for all
    stimuli: tuple[Stimulus, ...]

    @property
    def reference(self) -> Stimulus:
        """The truth."""
        return next(stimulus for stimulus in self.stimuli if stimulus.role == "reference")


class Manifest(Frozen):
    """Everything that is known of a test; with the same run and settings it is the same, byte for byte."""

    format: Literal["sepkit listening test 1"] = "sepkit listening test 1"
    name: str  # the testId of webMUSHRA
    preset: str
    stem: str
    methods: tuple[str, ...]
    seed: int
    seconds: float
    sample_rate: int
    bits: Literal[16, 24]
    pages: tuple[Page, ...]
    training: Page
    tone_burst: str  # file
    tone_burst_lufs: float
    notes: tuple[str, ...] = ()
    written_by: str

    def write(self, folder: Path) -> None:
        """Write it as manifest.json into `folder`."""
        with replacing(folder / FILE, overwrite=True) as path:
            path.write_text(self.model_dump_json(indent=2) + "\n", encoding="utf-8")


def read_manifest(folder: Path) -> Manifest:
    """The manifest of an exported test; raises DatasetError where there is none or it is damaged."""
    path = folder / FILE
    if not path.is_file():
        raise DatasetError(f"{folder} has no {FILE}: give the folder that `sepkit listening-test export` wrote.")
    try:
        return Manifest.model_validate_json(path.read_text(encoding="utf-8"))
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"]) or "content"
        raise DatasetError(
            f"{path} is not a manifest of this version ({field}: {first['msg']}): export anew."
        ) from error
