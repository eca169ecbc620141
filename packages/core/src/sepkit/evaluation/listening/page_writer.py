"""The pages of a test: their sounds cut, faded, levelled and written under names that say nothing."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from math import isfinite
from operator import itemgetter
from pathlib import Path
from statistics import median

import numpy as np
import torch

from ...audio import Audio
from ...errors import DatasetError
from .levels import TARGET_LUFS, common_gain, matched_gains, peak_dbfs
from .loudness import Samples, integrated_loudness
from .manifest import Page, Role, Stimulus
from .material import Material
from .passages import Passage
from .presets import Preset
from .settings import ExportSettings, anchors_of
from .sounds import LOW_ANCHOR_HZ, MID_ANCHOR_HZ, faded, interference, low_passed, poor_example, tone_burst
from .tokens import Tokens
from .webmushra import HIDDEN_REFERENCE

LOUDEST_BURST_LUFS = -12.0  # a sine of that loudness peaks at about -9 dBFS

Sounds = list[tuple[Role, str | None, Samples]]


class PageWriter:
    """Makes the pages of one test and writes their sounds."""

    def __init__(self, folder: Path, preset: Preset, settings: ExportSettings, sample_rate: int):
        self.folder = folder
        self.preset = preset
        self.settings = settings
        self.sample_rate = sample_rate
        self.name = settings.name or f"{preset.name}-{_plain(settings.stem)}"
        self.tokens = Tokens(settings.seed)

    def page(self, id: str, passage: Passage, material: Material) -> Page:
        """One excerpt: the truth, every method and the anchors."""
        track = passage.track
        reference = self._passage(track.reference, passage)
        sounds: Sounds = [("reference", None, reference)]
        for method in material.methods:
            sounds.append(("method", method, self._passage(track.estimates[method], passage)))
        sounds.extend(self._anchors_of(reference, passage))
        return self._write(id, passage, sounds)

    def training_page(self, passage: Passage) -> Page:
        """What listeners practise with: the truth and either the anchors, or the mixture and a poor example."""
        reference = self._passage(passage.track.reference, passage)
        if self.preset.anchors:
            return self._write(
                "training", passage, [("reference", None, reference), *self._anchors_of(reference, passage)]
            )
        mixture = self._mixture(passage)
        poor = poor_example(reference, mixture, self.sample_rate)
        sounds: Sounds = [("mixture", None, mixture), ("reference", None, reference), ("poor_example", None, poor)]
        return self._write("training", passage, sounds)

    def burst(self, pages: Sequence[Page]) -> tuple[str, float]:
        """Write the tone burst, as loud as the middle one of the excerpts' truths; its file and loudness (LUFS)."""
        loudness = [page.reference.loudness_lufs for page in pages if page.reference.loudness_lufs is not None]
        level = min(median(loudness), LOUDEST_BURST_LUFS) if loudness else TARGET_LUFS
        file = f"wavs/{self.name}/{self.tokens.next()}.wav"
        self._save(file, tone_burst(self.sample_rate, 2, level))
        return file, round(level, 3)

    def _anchors_of(self, reference: Samples, passage: Passage) -> Sounds:
        rate = self.sample_rate
        sounds: Sounds = []
        for role in anchors_of(self.preset, self.settings):
            if role == "interference_anchor":
                sounds.append((role, None, interference(reference, self._mixture(passage), rate)))
            else:
                cutoff_hz = LOW_ANCHOR_HZ if role == "low_anchor" else MID_ANCHOR_HZ
                sounds.append((role, None, low_passed(reference, rate, cutoff_hz)))
        return sounds

    def _mixture(self, passage: Passage) -> Samples:
        if passage.track.mixture is None:
            raise DatasetError(
                f"track {passage.track.name!r} has no mixture in the run's references, which the anchors and the "
                "training need: evaluate a method of the full mixture in this run, or leave the track out."
            )
        return self._passage(passage.track.mixture, passage)

    def _passage(self, path: Path, passage: Passage) -> Samples:
        """The passage of a file at the test's rate and with the truth's channels, c t."""
        audio = Audio.read(path, start_samples=passage.start_samples, length_samples=passage.length_samples)
        if audio.length_samples != passage.length_samples:
            raise DatasetError(f"{path} ends within the excerpt at {passage.start_seconds:g} s: repeat the run.")
        audio = audio.remixed(passage.track.channels).resampled(self.sample_rate)
        return audio.samples.numpy().astype(np.float64)

    def _write(self, id: str, passage: Passage, sounds: Sounds) -> Page:
        stimuli = [faded(samples, self.sample_rate) for _, _, samples in sounds]
        levels = matched_gains(stimuli, self.sample_rate) if self.preset.loudness_matched else common_gain(stimuli)
        # in the order of the names: neither the configuration nor the files' times tell who is who
        named = sorted(zip(self._names(len(sounds)), sounds, stimuli, levels.gains_db, strict=True), key=itemgetter(0))
        written = [
            self._stimulus(id, name, role, method, samples, gain_db)
            for name, (role, method, _), samples, gain_db in named
        ]
        target = None if levels.target_lufs is None else round(levels.target_lufs, 3)
        return Page(
            id=id,
            track=passage.track.name,
            start_seconds=passage.start_seconds,
            sounding=round(passage.sounding, 3),
            target_lufs=target,
            stimuli=tuple(written),
        )

    def _names(self, count: int) -> list[str]:
        return [self.tokens.next() for _ in range(count)]

    def _stimulus(
        self, id: str, name: str, role: Role, method: str | None, samples: Samples, gain_db: float
    ) -> Stimulus:
        file = f"wavs/{self.name}/{name}.wav"
        played = samples * 10 ** (gain_db / 20)
        loudness, peak = integrated_loudness(played, self.sample_rate), peak_dbfs(played)
        return Stimulus(
            key=self._key(role, name, id),
            file=file,
            role=role,
            method=method,
            gain_db=round(gain_db, 4),
            loudness_lufs=round(loudness, 3) if isfinite(loudness) else None,
            peak_dbfs=round(peak, 3) if isfinite(peak) else None,
            sha256=self._save(file, played),
        )

    def _key(self, role: Role, name: str, id: str) -> str:
        if self.preset.page_type == "mushra":
            if role == "reference":
                return HIDDEN_REFERENCE
            if id == "training":
                return role.replace("_", "-")  # shown to listeners
        return name

    def _save(self, file: str, samples: Samples) -> str:
        path = self.folder / file
        path.parent.mkdir(parents=True, exist_ok=True)
        Audio(torch.from_numpy(samples.astype(np.float32)), self.sample_rate).write(path, bits=self.settings.bits)
        return hashlib.sha256(path.read_bytes()).hexdigest()


def _plain(name: str) -> str:
    return "-".join("".join(c if c.isascii() and c.isalnum() else " " for c in name.lower()).split()) or "stem"
