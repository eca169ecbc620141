"""Laws of the package's own codec: what it keeps, that latents add up, silence, pictures, and its files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from sepkit.codecs import CodecSettings, codec_settings, get_codec
from sepkit.errors import AudioError, CheckpointError, OptionError
from sepkit_latent_diffusion.codec.checkpoints import build_codec, codec_state, load_codec, save_codec
from sepkit_latent_diffusion.codec.lapped_autoencoder import LappedAutoencoder, lapped_autoencoder

HOP = 16
LENGTHS = [0, 1, HOP - 1, HOP, 5 * HOP + 3]


def codec_of(**settings: Any) -> LappedAutoencoder:
    given = {"weights": "random", "sample_rate": 8000, "hop_samples": HOP, "kept": (8, 4), "width": 8, "layers": 2}
    return lapped_autoencoder(**{**given, **settings})


def scrambled(codec: LappedAutoencoder) -> LappedAutoencoder:
    """All weights anew, those that begin as zeros too."""
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in codec.parameters():
            parameter.copy_(0.3 * torch.randn(parameter.shape, generator=generator))
    return codec.double()


def sound(length: int, channels: int = 2, batch: int = 2, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(batch, channels, length, generator=generator, dtype=torch.float64)


@pytest.mark.parametrize("length", LENGTHS)
def test_untrained_it_is_exact_below_the_edge_and_any_length_comes_back(length: int) -> None:
    x = sound(length)
    whole = codec_of(kept=(HOP, HOP)).double()
    z = whole.encode(x)
    assert z.shape == (2, 2 * HOP, whole.frames(length))
    torch.testing.assert_close(whole.decode(z, length), x, rtol=0, atol=1e-12)
    part = codec_of().double()
    below = part.decode(part.encode(x), length)
    assert below.shape == x.shape
    if length % HOP == 0:  # a block that was cut is not below the edge any more
        torch.testing.assert_close(part.decode(part.encode(below), length), below, rtol=0, atol=1e-12)


def test_trained_latents_of_stems_add_up_and_silence_stays_silent() -> None:
    codec = scrambled(codec_of())
    one, other = sound(100, seed=1), sound(100, seed=2)
    assert codec.additive
    torch.testing.assert_close(
        codec.encode(one) - 2 * codec.encode(other), codec.encode(one - 2 * other), rtol=0, atol=1e-11
    )
    silence = torch.zeros(1, 2, 100, dtype=torch.float64)
    assert not codec.encode(silence).any()
    assert not codec.decode(codec.encode(silence), 100).any()
    assert not codec.origin.any()
    # and what the network adds is no constant: loud and quiet sounds decode differently
    assert codec.decode(codec.encode(one), 100).abs().max() > 0


def test_usual_sizes_bring_every_band_to_one() -> None:
    codec = codec_of(kept=(HOP, HOP)).double()
    codec.fit_usual([3 * sound(50 * HOP), sound(50 * HOP, seed=1)])
    z = torch.cat([codec.encode(3 * sound(50 * HOP)), codec.encode(sound(50 * HOP, seed=1))])
    torch.testing.assert_close(z.square().mean(dim=(0, 2)), torch.ones(2 * HOP, dtype=torch.float64))
    with pytest.raises(AudioError, match="silent frames"):
        codec.fit_usual([torch.zeros(1, 2, 100, dtype=torch.float64)])


def test_a_panned_sound_needs_no_side_where_the_gain_knows_the_pan() -> None:
    codec = codec_of(kept=(HOP, 1)).double()
    mono = sound(20 * HOP, channels=1)
    panned = torch.cat([1.0 * mono, 0.5 * mono], dim=1)  # side / mid = 1/3
    assert not torch.allclose(codec.decode(codec.encode(panned), panned.shape[-1]), panned, atol=1e-3)
    with torch.no_grad():
        bias = codec.decoder.leave.bias
        assert bias is not None
        bias.zero_()
        bias[2 * HOP + HOP + 1 :] = 1 / 3  # of the other channel, for the side's bands that were not kept
    back = codec.decode(codec.encode(panned), panned.shape[-1])
    torch.testing.assert_close(back, panned, rtol=0, atol=1e-12)


def test_a_piece_decodes_as_the_whole_does_away_from_its_ends() -> None:
    codec = scrambled(codec_of())
    z = torch.randn(1, codec.features, 40, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    whole = codec.decode(z, 40 * HOP)
    piece = codec.decode(z[..., 10:30], 20 * HOP)
    inner = slice(4 * HOP, 16 * HOP)  # two blocks see two frames on each side, and frames lap over half a neighbour
    torch.testing.assert_close(piece[..., inner], whole[..., 10 * HOP :][..., inner])


def test_it_is_built_by_name_and_comes_back_from_a_file_and_a_checkpoint(tmp_path: Path) -> None:
    codec = scrambled(codec_of()).float()
    codec.save_weights(tmp_path / "codec.safetensors")
    settings = codec_settings(codec).settings
    again = get_codec("lapped_autoencoder", **{**settings, "weights": str(tmp_path / "codec.safetensors")})
    z = codec.encode(sound(100).float())
    torch.testing.assert_close(again.encode(sound(100).float()), z)
    with pytest.raises(CheckpointError, match="does not exist"):
        get_codec("lapped_autoencoder", **{**settings, "weights": str(tmp_path / "none.safetensors")})
    save_codec(tmp_path / "best", codec, licence="MIT", extra={"step": 3})
    loaded, found, extra = load_codec(tmp_path / "best")
    assert extra == {"step": 3}
    assert found.settings.keys() == settings.keys() - {"weights"}  # all of them, defaults too
    for name, tensor in codec_state(codec).items():
        torch.testing.assert_close(codec_state(loaded)[name], tensor, atol=1e-3, rtol=1e-3)  # half precision
    assert not any(parameter.requires_grad for parameter in loaded.parameters())  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"kept": (8,)}, "give one for each"),
        ({"kept": (8, 17)}, "only 16 bands"),
        ({"widht": 3}, "did you mean 'width'"),
    ],
)
def test_settings_that_cannot_be_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(OptionError, match=message):
        codec_of(**settings)
    with pytest.raises(OptionError, match="needs weights="):
        lapped_autoencoder(sample_rate=8000)


@pytest.mark.parametrize("name", ["encodec_24khz", "encodec_48khz"])
def test_a_published_codec_without_its_weights_says_what_to_do(name: str) -> None:
    with pytest.raises(CheckpointError, match=r"codec_weights=FILE.*codec_weights='hub'"):
        build_codec(CodecSettings(name=name))
