"""The shipped prior keeps the contract under three names, fits into a package, separates a band and generates one."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from sepkit import Audio, get_separator, list_separators
from sepkit.data.band_songs import band_set
from sepkit.data.track import Track
from sepkit.evaluation.recipe import find_recipe
from sepkit.generator import get_generator
from sepkit.testing import SeparatorConformance

METHODS = ("msdm_dirac", "msdm_gaussian", "msdm_projected")
STEMS = ("bass", "drums", "guitar", "piano")


# Few steps, and for two of the three short windows: every law is about any number of them.
class TestProjected(SeparatorConformance):
    name = "msdm_projected"
    options = {"steps": 2}  # noqa: RUF012


class TestDirac(SeparatorConformance):
    name = "msdm_dirac"
    options = {"steps": 2, "passes": 1, "segment_seconds": 3.0}  # noqa: RUF012


class TestGaussian(SeparatorConformance):
    name = "msdm_gaussian"
    options = {"steps": 2, "passes": 1, "churn": 0.0, "gamma": 2.0, "segment_seconds": 3.0}  # noqa: RUF012


@pytest.fixture(scope="module")
def song() -> Track:
    [track] = band_set(1, seconds=5.0)
    return track


def test_the_shipped_weights_separate(song: Track) -> None:
    """Better than the mixture by the published protocol, in mono as it is defined."""
    references = {stem: song.load(stem).mean(0, keepdim=True).numpy() for stem in STEMS}
    mixture = Audio(song.mixture.mean(0, keepdim=True), song.sample_rate)
    stems = get_separator("msdm_projected").separate(mixture, quality="fast")
    assert tuple(stems) == STEMS
    arrays = {stem: stems[stem].numpy() for stem in STEMS}
    rows = find_recipe("msdm_slakh").score(references, arrays, mixture.numpy(), song.sample_rate)
    values = [row.value for row in rows if row.metric == "si_sdri_4s" and row.value is not None]
    assert sum(values) / len(values) > 0.5


def test_the_shipped_weights_generate_beside_a_stem_that_stays() -> None:
    generator = get_generator("msdm_projected")
    assert tuple(generator.generate(1.0, quality=3)) == STEMS
    drums = Audio(0.1 * torch.randn(2, 22_050, generator=torch.Generator().manual_seed(0)), 44_100)
    together = generator.arrange({"drums": drums}, quality=3)
    assert torch.equal(together["drums"].samples, drums.samples)


@pytest.mark.parametrize("name", METHODS)
def test_the_checkpoint_is_small_and_says_where_it_comes_from(name: str) -> None:
    [summary] = [one for one in list_separators() if one.name == name]
    assert summary.config_path is not None
    assert (summary.licence, summary.trained) == ("CC0-1.0", True)
    folder = Path(summary.config_path).parent
    assert sum(path.stat().st_size for path in folder.iterdir()) < 16e6
    card = (folder / "README.md").read_text(encoding="utf-8")
    assert "{{" not in card
    for heading in ("## Training data and its licences", "## How it was trained", "## Scores", "## What it is bad at"):
        assert heading in card
    assert "/tmp" not in (folder / "config.json").read_text(encoding="utf-8")
