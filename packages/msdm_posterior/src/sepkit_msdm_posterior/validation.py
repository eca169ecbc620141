"""What a prior is worth while it learns: excerpts of songs separated by it, by the path that a separator takes."""

from __future__ import annotations

import time
from collections.abc import Sequence

import numpy as np
import torch
from einops import reduce
from torch import Tensor, nn

from sepkit.data.opening import open_dataset
from sepkit.data.part_files import with_channels
from sepkit.data.track import Track
from sepkit.errors import DatasetError
from sepkit.evaluation.recipe import find_recipe

from .calibration import measure_errors, sigmas_of
from .config import MsdmConfig
from .error_variances import ErrorVariance
from .items import QUIETEST, levelled
from .latents import encode_stems, latent_codec
from .network import PriorNetwork, prior_denoiser
from .separator import MsdmSeparator, separator_info

RECIPE = "msdm_slakh"
METRIC = "si_sdri_4s_active"
"""SI-SDR improvement on windows of 4 s in which the stem sounds: the published protocol without its silent windows."""


class PriorValidation:
    """Scores a network by `msdm_projected` with so many `calls` on an excerpt of every song of the valid splits.

    An excerpt lasts `seconds` and begins where the quietest of the song's stems is loudest. Mixtures are the sums of
    the prior's own stems.
    """

    def __init__(self, specs: Sequence[str], config: MsdmConfig, *, calls: int, seconds: float):
        self.config, self.calls, self.recipe = config, calls, find_recipe(RECIPE)
        self.excerpts = [
            stems
            for spec in specs
            for track in open_dataset(spec, split="valid", sample_rate=config.sample_rate)
            if (stems := _excerpt(track, config, seconds)) is not None
        ]
        if not self.excerpts:
            raise DatasetError(f"No song of {', '.join(specs)} has two stems of {', '.join(config.stems)} that sound.")

    def __call__(self, network: nn.Module) -> dict[str, float]:
        began, names = time.monotonic(), self.config.stems
        by_stem: dict[str, list[float]] = {stem: [] for stem in names}
        for stems in self.excerpts:
            mixture = reduce(stems, "s c t -> c t", "sum")
            estimates = self.separate(network, mixture)
            references, found = ({n: x.numpy() for n, x in zip(names, y, strict=True)} for y in (stems, estimates))
            for row in self.recipe.score(references, found, mixture.numpy(), self.config.sample_rate):
                if row.value is not None and row.metric == METRIC:
                    by_stem[row.stem].append(row.value)
        scores = {f"{METRIC}/{stem}": float(np.mean(values)) for stem, values in by_stem.items() if values}
        scores[METRIC] = float(np.mean(list(scores.values())))
        return {**scores, "seconds": time.monotonic() - began}

    def separate(self, network: nn.Module, mixture: Tensor) -> Tensor:
        """One sample of the posterior for a mixture c t, in one window: s c t."""
        assert isinstance(network, PriorNetwork)
        info = separator_info(self.config, licence="")
        model = MsdmSeparator("projected", self.config, network, info, {}, {"steps": self.calls})
        with torch.no_grad():
            return model.separate_windows(mixture[None], [0], seed=0, settings=model.settings("balanced"))[0]

    def calibrate(self, network: nn.Module) -> ErrorVariance:
        """How far the network's estimates of the excerpts' latents are off: the config's `calibration`."""
        codec = latent_codec(self.config)
        level = self.config.level_rms
        heard = [stems if level is None else levelled(stems, level) for stems in self.excerpts]
        latents = [encode_stems(codec, stems[None]) for stems in heard]
        with torch.no_grad():
            return measure_errors(prior_denoiser(network, self.config), latents, sigmas=sigmas_of(self.config))


def _excerpt(track: Track, config: MsdmConfig, seconds: float) -> Tensor | None:
    """The song's stems s c t over the excerpt, or None where fewer than two of them sound in it."""
    view = track.view(config.stems)
    length = min(round(seconds * config.sample_rate), view.length_samples)
    channels = latent_codec(config).audio_channels
    whole = torch.stack([with_channels(view.load(stem), channels, track.name) for stem in config.stems])
    starts = range(0, view.length_samples - length + 1, max(1, config.sample_rate))
    powers = torch.stack([whole[..., a : a + length].square().mean(dim=(1, 2)) for a in starts])  # start stem
    sounding = powers > QUIETEST**2
    # most stems first, then the quietest of them
    worth = sounding.sum(dim=1) + torch.where(sounding, powers, torch.inf).min(dim=1).values.clamp(max=1.0) / 2
    best = int(worth.argmax())
    return whole[..., starts[best] : starts[best] + length] if int(sounding[best].sum()) > 1 else None
