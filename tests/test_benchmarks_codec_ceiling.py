"""What codecs allow: the waveform allows everything, a mask on the mixture repairs phases, and both are told."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

pytest.importorskip("sepkit_latent_diffusion", reason="the codecs are its own")

from benchmarks import codec_ceiling
from benchmarks.codec_ceiling import decoded
from sepkit.codecs import Waveform
from sepkit.data.synthetic import synthetic_set


def test_every_codec_is_scored_with_both_phases(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(codec_ceiling, "opened", lambda spec: list(synthetic_set(1, seconds=1.5)))
    assert codec_ceiling.main(["--test", "synthetic:1", "--out", str(tmp_path / "ceiling")]) == 0
    rows = json.loads((tmp_path / "ceiling.json").read_text())["results"]
    assert [(row["codec"], row["phase"]) for row in rows] == [
        (codec, phase) for codec in ("waveform", "lapped") for phase in ("codec", "mixture")
    ]
    found = {(row["codec"], row["phase"]): next(iter(row["songs"].values()))["vocals"] for row in rows}
    # both lose nothing but what 22,050 Hz cannot have, and so allow the same; a mask with true shares allows less
    for metric in ("sdr_mdx", "mrstft"):
        assert found["waveform", "codec"][metric] == pytest.approx(found["lapped", "codec"][metric], abs=0.05)
    assert found["waveform", "mixture"]["sdr_mdx"] < found["waveform", "codec"]["sdr_mdx"]
    page = (tmp_path / "ceiling.md").read_text()
    assert "| lapped | mixture |" in page
    assert "synthetic:1, accompaniment" in page


class Inverted(Waveform):
    """A codec that turns phases over."""

    def decode(self, z: torch.Tensor, length_samples: int, /) -> torch.Tensor:
        return -z


def test_the_mixture_s_phase_repairs_what_a_codec_turns_over() -> None:
    t = torch.arange(16_000) / 8000
    vocals, other = torch.sin(2000 * t)[None], torch.sin(9000 * t)[None]
    codec = Inverted(sample_rate=8000)
    for phase, sign in (("codec", -1.0), ("mixture", 1.0)):
        found = decoded(codec, vocals, vocals + 0.2 * other, phase, 8000)[0]
        share = float((found * vocals).sum() / vocals.square().sum())
        assert sign * share > 0.15
