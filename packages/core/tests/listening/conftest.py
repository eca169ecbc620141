"""A small run to make listening tests of, and listeners who answer as webMUSHRA writes it down."""

from __future__ import annotations

import csv
from collections.abc import Callable, Mapping
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from sepkit import Audio
from sepkit.evaluation.listening.export import export
from sepkit.evaluation.listening.manifest import Manifest, Stimulus
from sepkit.evaluation.listening.settings import ExportSettings
from sepkit.evaluation.score import MethodFacts, Score, ScoreLog

RATE = 44_100
BLEED = {"clean_net": 0.02, "Middling-Net": 0.2, "noisy_net": 0.8}
"""The methods of the run, and how much of the accompaniment each leaves in."""


def write_run(
    folder: Path, tracks: int = 3, seconds: float = 6.0, rate: int = RATE, channels: int = 2, peak: float = 0.3
) -> Path:
    """A run folder: songs whose voice, a few noisy tones, pauses in the last third."""
    length = round(seconds * rate)
    time = np.arange(length) / rate
    sings = time < seconds * 2 / 3
    with ScoreLog(folder / "scores.jsonl") as log:
        for track in range(tracks):
            dice = np.random.default_rng(track)
            voice = sings * (
                np.sin(2 * np.pi * 300 * (track + 1) * time) + 0.3 * dice.standard_normal((channels, length))
            )
            band = dice.standard_normal((channels, length))
            voice, band = peak * voice / np.abs(voice).max(), 0.5 * peak * band / np.abs(band).max()
            name = f"Song/{track}"
            safe = f"Song_{track}"
            _write(folder / "references" / safe / "vocals.wav", voice, rate)
            _write(folder / "references" / safe / "mixture.wav", voice + band, rate)
            for method, share in BLEED.items():
                _write(folder / "stems" / method / safe / "vocals.wav", voice + share * band, rate)
                log.append([row(method, name)])
    return folder


def row(method: str, track: str, **changes: object) -> Score:
    """One score, from which the exporter learns who separated what."""
    values: dict[str, object] = {
        "method": method,
        "track": track,
        "stem": "vocals",
        "metric": "sdr_mdx",
        "value": 5.0,
        "recipe": "sdx23",
        "truth": "vocals",
        "view": ("vocals", "accompaniment"),
        "facts": MethodFacts(kind="dedicated"),
    }
    return Score.model_validate(values | changes)


def _write(path: Path, samples: np.ndarray, rate: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Audio(torch.from_numpy(samples.astype(np.float32)), rate).write(path)


Opinion = Callable[[str, str, Stimulus], float | None]
"""What a rater (by code) gives on a page (by id) to a stimulus."""


def write_answers(
    path: Path, manifest: Manifest, raters: list[str], opinion: Opinion, *, session: bool = True, training: bool = True
) -> Path:
    """The file that webMUSHRA's service/write.php would have appended these raters' answers to.

    lms.csv pads the rating with blanks, writes NA where there is none and has no session; newer mushra.csv has one.
    """
    mushra = manifest.preset == "mushra"
    own = ["rating_stimulus", "rating_score", "rating_time", "rating_comment"]
    head = ["session_test_id", "rater", *(["session_uuid"] if mushra and session else []), "trial_id"]
    head += own if mushra else ["stimuli_rating", "stimuli", "rating_time"]
    dice = np.random.default_rng(7)
    with path.open("w", newline="", encoding="utf-8") as file:
        lines = csv.writer(file, lineterminator="\n")
        lines.writerow(head)
        for number, rater in enumerate(raters):
            start = [manifest.name, rater, *([f"uuid-{number}"] if mushra and session else [])]
            pages = [manifest.pages[index] for index in dice.permutation(len(manifest.pages))]
            for page in [*([manifest.training] if training and mushra else []), *pages]:
                for stimulus in [page.stimuli[index] for index in dice.permutation(len(page.stimuli))]:
                    score = 50 if page is manifest.training else opinion(rater, page.id, stimulus)
                    text = "NA" if score is None else f"{score:g}"
                    answer = [stimulus.key, text, "4000", ""] if mushra else [f" {text} ", stimulus.key, "4000"]
                    lines.writerow([*start, page.id, *answer])
    return path


def planted(means: Mapping[str, float], spread: float, manifest: Manifest, seed: int) -> Opinion:
    """Raters of whom each has a leaning of their own and some noise; the truth always gets the highest score."""
    lowest, highest = (0, 100) if manifest.preset == "mushra" else (1, 5)
    dice = np.random.default_rng(seed)
    leaning: dict[str, float] = {}

    def opinion(rater: str, page: str, stimulus: Stimulus) -> float:
        if stimulus.role == "reference":
            return highest
        own = leaning.setdefault(rater, float(dice.normal(0, spread)))
        wanted = means[stimulus.label] + own + dice.normal(0, spread)
        low = np.floor(wanted)  # rounded by chance, so that the mean stays what was planted
        return float(np.clip(low + (dice.random() < wanted - low), lowest, highest))

    return opinion


@pytest.fixture(scope="session")
def desk() -> SimpleNamespace:
    """The functions of this file: what an experimenter has at hand."""
    return SimpleNamespace(
        write_run=write_run, row=row, write_answers=write_answers, planted=planted, methods=tuple(sorted(BLEED))
    )


@pytest.fixture(scope="session")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of three methods on three songs."""
    return write_run(tmp_path_factory.mktemp("run"))


@pytest.fixture(scope="session")
def rated(run: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Manifest]:
    """A test on the paper's scale: its folder and its key."""
    folder = tmp_path_factory.mktemp("tests") / "ismir22"
    return folder, export(run, folder, ExportSettings(excerpts=3, seconds=1.5, seed=4))


@pytest.fixture(scope="session")
def mushra(run: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Manifest]:
    """A MUSHRA test with all anchors: its folder and its key."""
    folder = tmp_path_factory.mktemp("tests") / "mushra"
    settings = ExportSettings(preset="mushra", excerpts=3, seconds=1.5, seed=4, mid_anchor=True)
    return folder, export(run, folder, settings)
