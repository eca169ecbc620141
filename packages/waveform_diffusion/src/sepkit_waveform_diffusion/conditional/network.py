"""Both networks as one module on waveforms: the conditioner looks once, the generator once a step."""

from __future__ import annotations

import torch
from einops import rearrange
from torch import Tensor, nn

from .conditioner import Condition, Conditioner
from .config import ConditionalConfig
from .generator import Generator
from .lapped import to_frames, to_waveform


class ConditionalNetwork(nn.Module):
    """State b s c t, the level's t (b) and mixture b c t -> velocity b s c t, and the `Condition` it came from."""

    def __init__(self, config: ConditionalConfig):
        super().__init__()
        self.config = config
        doubled = 2 if config.compression < 1 else 1
        self.conditioner = Conditioner(config, doubled * config.mixture_features)
        self.generator = Generator(config)

    def forward(self, state: Tensor, t: Tensor, mixture: Tensor) -> tuple[Tensor, Condition]:
        condition = self.condition(mixture)
        return self.velocity(state, t, condition), condition

    def condition(self, mixture: Tensor) -> Condition:
        """What the generator is told about mixtures b c t, the same for every step."""
        frames = self.frames(mixture)
        return self.conditioner(frames, self._shown(frames))

    def velocity(self, state: Tensor, t: Tensor, condition: Condition) -> Tensor:
        """States b s c t -> velocities b s c t."""
        frames = self.frames(rearrange(state, "b s c t -> b (s c) t"))
        found = to_waveform(self.generator(frames, t, condition), self.config.bands, state.shape[-1])
        return rearrange(found, "b (s c) t -> b s c t", s=state.shape[1])

    def frames(self, x: Tensor) -> Tensor:
        """Waveforms b c t -> what the networks work on, b d n."""
        return to_frames(x, self.config.bands, self.config.ratio)

    def _shown(self, frames: Tensor) -> Tensor:
        """Frames of the mixture as the conditioner sees them: with `compression`, size and sign apart."""
        if self.config.compression == 1:
            return frames
        size = (frames.abs() + 1e-6).pow(self.config.compression)  # the root's slope has no end at 0
        return torch.cat([size, size * frames.sign()], dim=1)


def new_network(config: ConditionalConfig, seed: int) -> ConditionalNetwork:
    """A network with random weights drawn from `seed`; the global random state is left alone."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return ConditionalNetwork(config)
