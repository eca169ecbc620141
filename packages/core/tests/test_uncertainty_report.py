"""A run that was asked for uncertainty keeps it beside the stems, scores as it would without, and shows it."""

from __future__ import annotations

import base64
import json
import os
import re
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from einops import rearrange
from numpy.typing import NDArray

from sepkit import Audio
from sepkit.data.track import track_in_memory
from sepkit.evaluation.harness import RunSettings, evaluate
from sepkit.evaluation.methods import Method
from sepkit.evaluation.page.sound import Excerpt
from sepkit.evaluation.page.spectrogram import log_spectrogram, spread_picture
from sepkit.evaluation.recipe import RECIPES
from sepkit.evaluation.report import PageOptions, write_results
from sepkit.noise import gaussian
from sepkit.uncertainty import SpreadMap, read_uncertainty

pytestmark = pytest.mark.timeout(600)  # a method starts a process, which a busy machine makes slow
RATE, RECIPE = 8000, RECIPES["sdx23"]

GUESSING = """
from sepkit.host import HostedSeparator
from sepkit.testing.fakes import Noisy

def guessing(**options):
    return HostedSeparator(Noisy(stems=("vocals", "no_vocals"), **options), device="cpu")
"""


class Silent:
    def planned(self, items: int, seconds: float) -> None: ...

    def progress(self, method: str, track: str, seconds: float) -> None: ...

    def finished(self, method: str, track: str, seconds: float, rows: Any) -> None: ...


@pytest.fixture
def guessing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Method:
    (tmp_path / "guessing_method.py").write_text(GUESSING)
    paths = [str(tmp_path), os.environ.get("PYTHONPATH", "")]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(paths).rstrip(os.pathsep))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    return Method(name="guessing", factory="guessing_method:guessing")


def pixels(page: str, number: int) -> NDArray[np.uint8]:
    """The indices of a picture on the page, rows columns."""
    text = re.search(f'id="picture-{number}">([^<]*)<', page).group(1)  # type: ignore[union-attr]
    raw = base64.b64decode(text)
    width, height = (int.from_bytes(raw[i : i + 4], "big") for i in (16, 20))
    lines = zlib.decompress(raw[raw.index(b"IDAT") + 4 : -12][:-4])
    return np.frombuffer(lines, np.uint8).reshape(height, width + 1)[:, 1:]


def test_a_run_keeps_maps_and_its_report_shows_them(guessing: Method, tmp_path: Path) -> None:
    stems = {stem: 0.1 * gaussian(0, stem, 0, 3 * RATE, 2) for stem in ("vocals", "other")}
    track, out = track_in_memory("song", stems, RATE), tmp_path / "out"
    settings = RunSettings(dataset="test", uncertainty=4)
    rows = evaluate([guessing], [track], [RECIPE], out, settings, Silent())
    write_results(out, rows, [RECIPE], {}, options=PageOptions())
    maps = read_uncertainty(out / "stems" / "guessing" / "song" / "uncertainty.npz")
    assert set(maps) == {"vocals", "accompaniment"}  # named as the stems are
    window = torch.hann_window(maps["vocals"].window_samples)
    expected = 0.01 * float(window.square().sum().sqrt() / window.sum())  # of the method's noise
    assert np.sqrt(np.mean(maps["vocals"].spread ** 2)) == pytest.approx(expected, rel=0.1)

    [scored] = [row.value for row in rows if row.stem == "vocals" and row.metric == RECIPE.metrics[0]]
    estimate = Audio.read(out / "stems" / "guessing" / "song" / "vocals.wav").numpy()
    [again] = [
        row.value
        for row in RECIPE.score(
            {"vocals": stems["vocals"].numpy()}, {"vocals": estimate}, sum(stems.values()).numpy(), RATE
        )  # type: ignore[union-attr]
        if row.metric == RECIPE.metrics[0]
    ]
    assert scored == pytest.approx(again)  # the first draw's, not the mean's

    page = (out / "index.html").read_text()
    [data] = json.loads(re.search(r'id="data">(.*?)</script>', page).group(1))["tracks"]  # type: ignore[union-attr]
    group = next(group for group in data["groups"] if group["stem"] == "vocals")
    [number] = [data["maps"][place] for place in group["maps"].values()]
    assert number not in data["files"]
    shown, of_mixture = pixels(page, number), pixels(page, data["files"][0])
    assert 5 < np.median(shown) < np.median(of_mixture) - 5  # 20 dB and more below


def test_a_maps_picture_is_on_the_scale_of_spectrograms() -> None:
    seconds = np.arange(4 * RATE) / RATE
    tone = (0.3 * np.sin(2 * np.pi * 1000 * seconds) * (seconds > 2)).astype(np.float32)[:, None]
    size = 1024
    window = torch.hann_window(size)
    spectrum = torch.stft(
        torch.from_numpy(tone[:, 0]), size, size // 2, window=window, pad_mode="constant", return_complex=True
    )
    spread = (spectrum.abs() / window.sum()).numpy()
    found = spread_picture(SpreadMap(spread, spread, RATE, size, size // 2), Excerpt(RATE, 2 * RATE), 50, 40)
    wanted = log_spectrogram(tone[RATE : 3 * RATE], RATE, 50, 40)
    assert found.shape == wanted.shape == (40, 50)
    assert found.max() == pytest.approx(wanted.max(), abs=0.3)
    assert np.unravel_index(found.argmax(), found.shape)[0] == np.unravel_index(wanted.argmax(), wanted.shape)[0]
    loud = rearrange(found, "f n -> n f").max(axis=1) > found.max() - 20
    assert not loud[:20].any()
    assert loud[30:].all()
