"""The shipped weights of both methods keep the contract by name, fit into a package, and separate made songs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from sepkit import Audio, get_separator, list_separators
from sepkit.data.synthetic import synthetic_set
from sepkit.evaluation.recipe import find_recipe
from sepkit.testing import SeparatorConformance

METHODS = ("cold_diffusion", "conditional_diffusion")
STEMS = ("vocals", "accompaniment")


# Few steps: every law is about any number of them.
class TestColdDiffusion(SeparatorConformance):
    name = "cold_diffusion"
    options = {"steps": 2}  # noqa: RUF012


class TestConditionalDiffusion(SeparatorConformance):
    name = "conditional_diffusion"
    options = {"steps": 2}  # noqa: RUF012


@pytest.fixture(scope="module")
def song() -> tuple[dict[str, Audio], Audio]:
    """Four seconds of a made song: its references and its mixture."""
    [track] = synthetic_set(1, seconds=4.0)
    view = track.view(STEMS)
    return {stem: view.load(stem) for stem in STEMS}, Audio(view.mixture, track.sample_rate)


@pytest.fixture(scope="module")
def score(song: tuple[dict[str, Audio], Audio]) -> Callable[[dict[str, Audio]], dict[str, float]]:
    references, mixture = song

    def of(estimates: dict[str, Audio]) -> dict[str, float]:
        arrays = ({stem: given[stem].numpy() for stem in STEMS} for given in (references, estimates))
        rows = find_recipe("sdx23").score(*arrays, mixture.numpy(), mixture.sample_rate)
        return {row.stem: row.value for row in rows if row.metric == "sdr_mdx" and row.value is not None}

    return of


@pytest.mark.parametrize("name", METHODS)
def test_the_shipped_weights_separate(name: str, song: tuple[dict[str, Audio], Audio], score: Callable) -> None:  # type: ignore[type-arg]
    mixture = song[1]
    found = score(dict(get_separator(name).separate(mixture, quality="fast")))
    nothing_done = score(dict.fromkeys(STEMS, mixture))
    assert found["vocals"] > nothing_done["vocals"] + 3.0
    assert found["accompaniment"] > nothing_done["accompaniment"]


def test_the_second_network_of_cold_diffusion_serves_the_wiener_filter(song: tuple[dict[str, Audio], Audio]) -> None:
    short = Audio(song[1].samples[:, : song[1].sample_rate], song[1].sample_rate)
    few = {"steps": 2, "segment_seconds": 2.0}
    filtered = get_separator("cold_diffusion", wiener="two_models", **few).separate(short)
    plain = get_separator("cold_diffusion", **few).separate(short)
    assert not torch.allclose(filtered["vocals"].samples, plain["vocals"].samples, atol=1e-4)


@pytest.mark.parametrize("name", METHODS)
def test_the_checkpoint_is_small_and_says_where_it_comes_from(name: str) -> None:
    [summary] = [one for one in list_separators() if one.name == name]
    assert summary.config_path is not None
    assert (summary.licence, summary.trained) == ("CC0-1.0", True)
    folder = Path(summary.config_path).parent
    assert sum(path.stat().st_size for path in folder.iterdir()) < 12e6
    card = (folder / "README.md").read_text(encoding="utf-8")
    assert "{{" not in card
    for heading in ("## Training data and its licences", "## How it was trained", "## Scores", "## What it is bad at"):
        assert heading in card
    assert "/tmp" not in (folder / "config.json").read_text(encoding="utf-8")
