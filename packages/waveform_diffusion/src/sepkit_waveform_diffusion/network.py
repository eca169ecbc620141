"""Cold diffusion's network, whatever its backbone: state and step in, estimate of the perturbation out."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from .config import ColdModel, UNetConfig, WaveNetConfig
from .unet import UNet
from .wavenet import WaveNet


class ColdNetwork(nn.Module):
    """Estimates what a state is perturbed by: b c t and integer steps b (1..T) -> b c t.

    `mixture` (b c t) is wanted where the model is `conditioned`, and not looked at otherwise.
    """

    noise: Tensor

    def __init__(self, model: ColdModel):
        super().__init__()
        self.model = model
        channels = model.state_channels
        inputs = channels + (model.audio_channels if model.conditioned else 0)
        self.backbone: nn.Module
        if isinstance(model.backbone, WaveNetConfig):
            self.backbone = WaveNet(model.backbone, inputs, channels)
        else:
            self.backbone = UNet(model.backbone, inputs, channels, stereo=model.audio_channels == 2)
        levels = torch.from_numpy(1.0 - model.betas.alpha_bars).sqrt().float()
        self.register_buffer("noise", levels, persistent=False)

    def forward(self, state: Tensor, step: Tensor, mixture: Tensor | None = None) -> Tensor:
        if isinstance(self.model.backbone, WaveNetConfig):
            return self.backbone(self._shown(state, mixture), step)
        length_samples = state.shape[-1]
        padded = padded_samples(length_samples, self.backbone_config)
        spectra = self.spectra(F.pad(self._shown(state, mixture), (0, padded - length_samples)))
        fraction = torch.sigmoid(self.logits(spectra, step).float())
        part = whole_band(fraction) * spectra[:, : state.shape[1]] / self.noise_of(step)
        return self.waveform(part, padded)[..., :length_samples]

    @property
    def backbone_config(self) -> UNetConfig:
        assert isinstance(self.model.backbone, UNetConfig)
        return self.model.backbone

    def logits(self, spectra: Tensor, step: Tensor) -> Tensor:
        """The U-Net's output before the sigmoid, b c n f, for spectra b c f n of state and perhaps mixture."""
        return self.backbone(spectra, step)

    def noise_of(self, step: Tensor) -> Tensor:
        """sqrt(1 - alpha_bar) of these steps: b -> b 1 1 1."""
        return rearrange(self.noise[step - 1], "b -> b 1 1 1")

    def spectra(self, x: Tensor) -> Tensor:
        """b c t -> b c f n: periodic Hann window, centred, reflected."""
        config = self.backbone_config
        window = torch.hann_window(config.n_fft, device=x.device)
        flat = rearrange(x.float(), "b c t -> (b c) t")
        spec = torch.stft(flat, config.n_fft, config.hop_samples, window=window, center=True, return_complex=True)
        return rearrange(spec, "(b c) f n -> b c f n", b=len(x))

    def waveform(self, spectra: Tensor, length_samples: int) -> Tensor:
        """b c f n -> b c t, the inverse of `spectra`."""
        config = self.backbone_config
        window = torch.hann_window(config.n_fft, device=spectra.device)
        flat = rearrange(spectra, "b c f n -> (b c) f n")
        x = torch.istft(flat, config.n_fft, config.hop_samples, window=window, center=True, length=length_samples)
        return rearrange(x, "(b c) t -> b c t", b=len(spectra))

    def _shown(self, state: Tensor, mixture: Tensor | None) -> Tensor:
        if not self.model.conditioned:
            return state
        assert mixture is not None
        return torch.cat([state, mixture.to(state.dtype)], dim=1)


def whole_band(fraction: Tensor) -> Tensor:
    """b c n f -> b c f+1 n: the bin at Nyquist takes its neighbour's value."""
    spread = rearrange(fraction, "b c n f -> b c f n")
    return torch.cat([spread, spread[:, :, -1:]], dim=2)


def padded_samples(length_samples: int, config: UNetConfig) -> int:
    """Whole hops, and enough for the STFT's reflection."""
    hop = config.hop_samples
    return -(-max(length_samples, config.n_fft // 2 + 1) // hop) * hop


def new_network(model: ColdModel, seed: int) -> ColdNetwork:
    """A network with random weights drawn from `seed`; the global random state is left alone."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return ColdNetwork(model)
