"""The shipped weights keep the contract by name, fit into a package, and separate a made song."""

from __future__ import annotations

from pathlib import Path

import pytest

from sepkit import Audio, get_separator, list_separators
from sepkit.data.synthetic import synthetic_set
from sepkit.evaluation.recipe import find_recipe
from sepkit.testing import SeparatorConformance

STEMS = ("vocals", "accompaniment")


class TestShipped(SeparatorConformance):
    name = "latent_diffusion"
    options = {"steps": 2}  # noqa: RUF012 - few: every law is about any number of them


@pytest.mark.parametrize("options", [{}, {"phase": "codec"}, {"eta": 0.4}])
def test_the_shipped_weights_separate(options: dict[str, object]) -> None:
    [track] = synthetic_set(1, seconds=4.0)
    view = track.view(STEMS)
    references = {stem: view.load(stem).numpy() for stem in STEMS}
    mixture = Audio(view.mixture, track.sample_rate)
    stems = get_separator("latent_diffusion", **options).separate(mixture, quality="fast")

    def score(estimates: dict[str, Audio]) -> dict[str, float]:
        arrays = {stem: estimates[stem].numpy() for stem in STEMS}
        rows = find_recipe("sdx23").score(references, arrays, mixture.numpy(), mixture.sample_rate)
        return {row.stem: row.value for row in rows if row.metric == "sdr_mdx" and row.value is not None}

    found, nothing_done = score(dict(stems)), score(dict.fromkeys(STEMS, mixture))
    assert found["vocals"] > nothing_done["vocals"] + 3.0
    assert found["accompaniment"] > nothing_done["accompaniment"]


def test_the_checkpoint_is_small_and_says_where_it_comes_from() -> None:
    [summary] = [one for one in list_separators() if one.name == "latent_diffusion"]
    assert summary.config_path is not None
    assert (summary.licence, summary.trained) == ("CC0-1.0", True)
    folder = Path(summary.config_path).parent
    assert sum(path.stat().st_size for path in folder.iterdir()) < 24e6
    card = (folder / "README.md").read_text(encoding="utf-8")
    assert "{{" not in card
    for heading in ("## Training data and its licences", "## How it was trained", "## Scores", "## What it is bad at"):
        assert heading in card
    assert "/tmp" not in (folder / "config.json").read_text(encoding="utf-8")
