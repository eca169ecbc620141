"""A codec that is linear where it encodes and learned where it decodes: cheap on a CPU, and its latents add up."""

from __future__ import annotations

import math
from collections.abc import Iterable
from os import PathLike
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from sepkit.checkpoint import load_state
from sepkit.codecs import Lapped
from sepkit.codecs.protocol import check_latent, check_sound
from sepkit.config import validated
from sepkit.errors import AudioError, CheckpointError, OptionError
from sepkit.partial_files import replacing

from .settings import LappedAutoencoderSettings

SMALLEST = 1e-4  # of a band, in units of its usual size: the root of less has too steep a slope
QUIETEST_DB = -80.0  # a band's usual size below the loudest band's is taken to be no less


class LappedAutoencoder(nn.Module):
    """Frames z = A (X / u): X is the lapped transform (MDCT) of the sound's mid and side, u each band's usual size.

    A has neither bias nor bend, so latents of stems add up to the mixture's whatever A has learned, and silence is
    zero. A begins as the choice of the lowest bands, and its inverse S, the linear part of the decoder, as its
    transpose: untrained, the codec is a low-pass that loses nothing below its edge.

    The decoder's network looks at frames around and weighs two sources for every band: the bands below, copied up, and
    the same band of the other channel. X = u (S z + g copied + h other). So the decoder too keeps silence silent, and
    where a sound stands in the stereo picture is learned as h.
    """

    def __init__(self, settings: LappedAutoencoderSettings):
        super().__init__()
        self.settings = settings
        channels, hop = settings.audio_channels, settings.hop_samples
        self.lapped = Lapped(sample_rate=settings.sample_rate, hop_samples=hop, audio_channels=channels)
        chosen = [channel * hop + band for channel, count in enumerate(settings.kept) for band in range(count)]
        with torch.inference_mode(False), torch.random.fork_rng():
            torch.manual_seed(settings.seed)
            selection = torch.eye(channels * hop)[chosen]
            self.analysis = nn.Parameter(selection.clone())  # A, d (c f)
            self.synthesis = nn.Parameter(selection.T.contiguous())  # S, (c f) d
            self.decoder = BandGains(settings)
            self.register_buffer("usual", torch.ones(channels * hop))
            self.register_buffer("below", _bands_below(settings), persistent=False)
        self.usual: Tensor
        self.below: Tensor
        if settings.weights != "random":
            load_state(self, _file_state(settings.weights))

    @property
    def sample_rate(self) -> int:
        """Hz that it works at."""
        return self.settings.sample_rate

    @property
    def audio_channels(self) -> int:
        """Channels of the sound."""
        return self.settings.audio_channels

    @property
    def hop_samples(self) -> int:
        """Samples per latent frame."""
        return self.settings.hop_samples

    @property
    def features(self) -> int:
        """Values per latent frame."""
        return sum(self.settings.kept)

    @property
    def additive(self) -> bool:
        """True, trained or not."""
        return True

    @property
    def frame_rate(self) -> float:
        """Latent frames per second."""
        return self.lapped.frame_rate

    @property
    def origin(self) -> Tensor:
        """Zeros, d 1."""
        return self.analysis.detach().new_zeros(self.features, 1)

    def frames(self, length_samples: int, /) -> int:
        """Latent frames of a sound of that length."""
        return self.lapped.frames(length_samples)

    def encode(self, x: Tensor, /) -> Tensor:
        """Latent of sound, b c t -> b d n; raises AudioError for another number of channels."""
        check_sound(x, self, self.settings.name)
        with torch.autocast(x.device.type, enabled=False):  # sums must stay sums where networks may lose digits
            return self._encoded(x)

    def decode(self, z: Tensor, length_samples: int, /) -> Tensor:
        """Sound of a latent, b d n -> b c t; raises AudioError where the shape does not fit."""
        check_latent(z, length_samples, self, self.settings.name)
        if not z.shape[-1]:
            return z.new_zeros(len(z), self.audio_channels, 0)
        with torch.autocast(z.device.type, enabled=False):
            return self._decoded(z, length_samples)

    def fit_usual(self, signals: Iterable[Tensor]) -> None:
        """Measure each band's usual size, its RMS over `signals` (each b c t), and take that as u from now on.

        Raises AudioError where there is no sound at all.
        """
        energy, count = torch.zeros_like(self.usual, dtype=torch.float64), 0
        for x in signals:
            energy += self._bands(x).double().square().sum(dim=(0, 2)).to(energy)
            count += len(x) * self.frames(x.shape[-1])
        rms = (energy / max(count, 1)).sqrt()
        if not rms.max() > 0:
            raise AudioError(
                f"The codec {self.settings.name!r} cannot learn its bands' sizes from {count} silent frames."
            )
        self.usual.copy_(rms.clamp(min=float(rms.max()) * 10 ** (QUIETEST_DB / 20)))

    def save_weights(self, path: str | PathLike[str]) -> None:
        """Write the weights as safetensors, for `weights=path`; an older file is replaced."""
        from safetensors.torch import save_file

        state = {name: tensor.detach().cpu().contiguous() for name, tensor in self.state_dict().items()}
        with replacing(Path(path), overwrite=True) as partial:
            save_file(state, partial)
            partial.chmod(0o644)  # safetensors makes it private

    def _encoded(self, x: Tensor) -> Tensor:
        return torch.einsum("dk,bkn->bdn", self.analysis.to(x), self._bands(x) / self.usual.to(x)[:, None])

    def _decoded(self, z: Tensor, length_samples: int) -> Tensor:
        direct = torch.einsum("kd,bdn->bkn", self.synthesis.to(z), z)
        of_below, of_other = self.decoder(z)
        bands = direct + of_below * direct[:, self.below]
        if of_other is not None:
            bands = bands + of_other * rearrange(bands, "b (c f) n -> b c f n", c=2).flip(1).flatten(1, 2)
        x = self.lapped.decode(bands * self.usual.to(z)[:, None], length_samples)
        return _mid_side(x)

    def _bands(self, x: Tensor) -> Tensor:
        return self.lapped.encode(_mid_side(x))


class BandGains(nn.Module):
    """What to take from the bands below and, in stereo, from the other channel: b d n -> gains b (c f) n each."""

    def __init__(self, settings: LappedAutoencoderSettings):
        super().__init__()
        self.settings = settings
        features, bands = sum(settings.kept), settings.audio_channels * settings.hop_samples
        self.enter = nn.Conv1d(2 * features, settings.width, 1)
        self.blocks = nn.ModuleList(_FrameBlock(settings.width) for _ in range(settings.layers))
        self.leave = nn.Conv1d(settings.width, settings.audio_channels * bands, 1)
        nn.init.zeros_(self.leave.weight)
        nn.init.zeros_(self.leave.bias)  # type: ignore[arg-type]

    def forward(self, z: Tensor) -> tuple[Tensor, Tensor | None]:
        size = z.abs().clamp(min=SMALLEST).pow(self.settings.compression)
        x = self.enter(torch.cat([size, size * z.sign()], dim=1))
        for block in self.blocks:
            x = block(x)
        gains = self.leave(F.silu(x))
        if self.settings.audio_channels == 1:
            return gains, None
        of_below, of_other = gains.chunk(2, dim=1)
        return of_below, of_other


class _FrameBlock(nn.Module):
    """Residual: three frames, then one, each after a SiLU; no norm, so that a piece decodes as the whole does."""

    def __init__(self, width: int):
        super().__init__()
        self.layers = nn.Sequential(
            nn.SiLU(), nn.Conv1d(width, width, 3, padding=1), nn.SiLU(), nn.Conv1d(width, width, 1)
        )

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = self.layers(x)
        return x + found


def lapped_autoencoder(**settings: Any) -> LappedAutoencoder:
    """The package's own codec by its settings: `weights` and `sample_rate` must be given."""
    what = "The codec 'lapped_autoencoder'"
    if "weights" not in settings:
        raise OptionError(f"{what} needs weights=: the path of a file, or 'random' ones to train or to test with.")
    return LappedAutoencoder(validated(LappedAutoencoderSettings, settings, what))


def _mid_side(x: Tensor) -> Tensor:
    """Left and right to mid and side, or back: orthonormal and its own inverse; mono stays as it is."""
    if x.shape[1] == 1:
        return x
    left, right = x.unbind(1)
    return math.sqrt(0.5) * torch.stack([left + right, left - right], dim=1)


def _bands_below(settings: LappedAutoencoderSettings) -> Tensor:
    """For each band the kept one of its channel to copy: above the edge, the upper half of the kept, again and again.

    A kept band has itself, so its gain corrects a level.
    """
    rows = []
    for channel, count in enumerate(settings.kept):
        band = torch.arange(settings.hop_samples)
        half = max(1, count // 2)
        source = torch.where(band < count, band, count - half + (band - count) % half)
        rows.append(channel * settings.hop_samples + source)
    return torch.cat(rows)


def _file_state(path: str) -> dict[str, Tensor]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(path)
    except FileNotFoundError as error:
        raise CheckpointError(f"{path} does not exist; give the file with the codec's weights.") from error
    except (SafetensorError, OSError) as error:
        raise CheckpointError(f"{path} is no valid safetensors file ({error}); restore it from its source.") from error
