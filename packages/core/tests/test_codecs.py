"""Laws of the linear codecs: nothing is lost, sums stay sums, energy and position are kept; codecs by name."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import torch
from torch import Tensor

from sepkit.codecs import (
    Codec,
    CodecSettings,
    Lapped,
    Waveform,
    bound_to,
    ceiling,
    codec_settings,
    get_codec,
    list_codecs,
    recentred,
    round_trip,
)
from sepkit.codecs.lapped import dct_iv
from sepkit.codecs.names import MEMBERS
from sepkit.codecs.protocol import CodecView
from sepkit.diffusion import KeyedNoise
from sepkit.errors import AudioError, OptionError, PluginError, UnknownNameError
from sepkit.evaluation.metrics import si_sdr

HOP = 16
LENGTHS = [0, 1, 2, HOP - 1, HOP, HOP + 1, 2 * HOP, 5 * HOP, 5 * HOP + 7, 331]
TOLERANCE = {torch.float32: 1e-6, torch.float64: 1e-12}
SHAPES = {
    "sine": {},
    "kbd": {"window": "kbd", "kbd_alpha": 3.0},
    "low overlap": {"window_samples": HOP + 6},
    "no overlap": {"window_samples": HOP},
    "stereo": {"audio_channels": 2},
    "scaled": {"scales": tuple(0.1 * (band + 1) for band in range(HOP))},
}
UNSCALED = [shape for shape in SHAPES if shape != "scaled"]


def lapped(**settings: object) -> Lapped:
    return Lapped(**{"sample_rate": 8000, "hop_samples": HOP, **settings})


def sound(
    length: int, *, channels: int = 1, batch: int = 2, seed: int = 0, dtype: torch.dtype = torch.float64
) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(batch, channels, length, generator=generator, dtype=dtype)


def linear_codecs() -> dict[str, Codec]:
    return {"waveform": Waveform(sample_rate=8000), **{name: lapped(**settings) for name, settings in SHAPES.items()}}


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("length", LENGTHS)
@pytest.mark.parametrize("name", linear_codecs())
def test_any_length_comes_back(name: str, length: int, dtype: torch.dtype) -> None:
    codec = linear_codecs()[name]
    x = sound(length, channels=codec.audio_channels, dtype=dtype).clamp(-3, 3) / 3
    z = codec.encode(x)
    assert z.shape == (2, codec.features, codec.frames(length))
    assert z.dtype == dtype
    back = codec.decode(z, length)
    assert back.shape == x.shape
    torch.testing.assert_close(back, x, rtol=0, atol=TOLERANCE[dtype])


@pytest.mark.parametrize("name", linear_codecs())
def test_latents_of_stems_sum_to_that_of_the_mixture(name: str) -> None:
    codec = linear_codecs()[name]
    stems = [sound(331, channels=codec.audio_channels, seed=seed) for seed in range(4)]
    mixture = sum(stems[1:], stems[0])
    assert codec.additive
    assert codec.origin.shape == (codec.features, 1)
    assert not codec.origin.any()
    torch.testing.assert_close(sum(map(codec.encode, stems)), codec.encode(mixture), rtol=0, atol=1e-11)
    torch.testing.assert_close(codec.encode(-2.5 * stems[0]), -2.5 * codec.encode(stems[0]), rtol=0, atol=1e-11)
    # the constraint of recentred latents, sum_i z_i = z_mix, is the same statement here, bit for bit
    assert torch.equal(recentred(codec).encode(mixture), codec.encode(mixture))


@pytest.mark.parametrize("length", LENGTHS)
@pytest.mark.parametrize("shape", UNSCALED)
def test_energies_and_inner_products_are_kept(shape: str, length: int) -> None:
    codec = lapped(**SHAPES[shape])
    x, y = (sound(length, channels=codec.audio_channels, seed=seed) for seed in (0, 1))
    products = (codec.encode(x) * codec.encode(y)).sum(), (codec.encode(x) ** 2).sum()
    torch.testing.assert_close(products, ((x * y).sum(), (x**2).sum()), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("shape", SHAPES)
def test_whole_blocks_have_as_many_coefficients_as_samples_and_every_latent_is_one_of_a_sound(shape: str) -> None:
    codec = lapped(**SHAPES[shape])
    assert codec.frames(5 * HOP) * codec.features == 5 * HOP * codec.audio_channels
    z = torch.randn(2, codec.features, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    torch.testing.assert_close(codec.encode(codec.decode(z, 5 * HOP)), z, rtol=0, atol=1e-12)


@pytest.mark.parametrize("shape", SHAPES)
def test_inner_coefficients_of_a_chunk_are_those_of_the_whole(shape: str) -> None:
    codec = lapped(**SHAPES[shape])
    x = sound(20 * HOP + 3, channels=codec.audio_channels)
    whole = codec.encode(x)
    chunk = codec.encode(x[..., 5 * HOP : 13 * HOP])
    torch.testing.assert_close(chunk[..., 1:-1], whole[..., 6:12], rtol=0, atol=1e-12)
    if shape != "no overlap":
        assert not torch.allclose(chunk[..., 0], whole[..., 5])  # the sound's own ends are not lapped


def test_silence_of_one_hop_shifts_the_frames_by_one() -> None:
    codec = lapped()
    x = sound(10 * HOP)
    x[..., : HOP // 2] = 0  # so that the sound's start does not reach over the first boundary
    shifted = codec.encode(torch.cat([x.new_zeros(2, 1, HOP), x], dim=-1))
    torch.testing.assert_close(shifted[..., 1:], codec.encode(x), rtol=0, atol=1e-12)
    torch.testing.assert_close(shifted[..., 0], torch.zeros_like(shifted[..., 0]), rtol=0, atol=1e-12)


def test_noise_of_latents_is_shared_where_windows_overlap_in_sound() -> None:
    codec, starts, length = lapped(), (0, 4 * HOP), 10 * HOP
    noise = KeyedNoise(seed=1, starts=tuple(start // codec.hop_samples for start in starts))
    z = noise(0, torch.empty(2, codec.features, codec.frames(length), dtype=torch.float64))
    assert torch.equal(z[0, :, 4:], z[1, :, :6])
    first, second = codec.decode(z, length)
    inner = slice(5 * HOP, 9 * HOP)  # past the second window's first block and before the first one's last
    torch.testing.assert_close(first[:, inner], second[:, inner.start - 4 * HOP : inner.stop - 4 * HOP])


def test_the_transform_is_the_textbook_mdct_inside() -> None:
    codec = lapped()
    x = sound(6 * HOP, batch=1)[0, 0]
    n, k = torch.arange(2 * HOP, dtype=torch.float64), torch.arange(HOP, dtype=torch.float64)
    window = torch.sin(math.pi / (2 * HOP) * (n + 0.5))
    basis = torch.cos(math.pi / HOP * (n[None] + 0.5 - HOP / 2) * (k[:, None] + 0.5)) * math.sqrt(2 / HOP)
    frame = x[int(1.5 * HOP) : int(3.5 * HOP)]  # block 2 and half a block on each side
    expected = basis @ (window * frame)
    torch.testing.assert_close(codec.encode(x[None, None])[0, :, 2], expected, rtol=0, atol=1e-12)


def test_a_tone_falls_into_its_band() -> None:
    codec = lapped(hop_samples=64)
    t = torch.arange(6400, dtype=torch.float64) / 8000
    for hz in (500.0, 2000.0, 3500.0):
        z = codec.encode(torch.sin(2 * math.pi * hz * t)[None, None])[0, :, 2:-2]
        assert abs(z.square().sum(dim=1).argmax().item() - hz / 4000 * 64) <= 1


@pytest.mark.parametrize("size", [2, 4, 6, 30, 64])
def test_dct_iv_is_its_definition_and_its_own_inverse(size: int) -> None:
    x = sound(size)
    n = torch.arange(size, dtype=torch.float64) + 0.5
    matrix = math.sqrt(2 / size) * torch.cos(math.pi / size * n[:, None] * n[None])
    torch.testing.assert_close(dct_iv(x), x @ matrix, rtol=0, atol=1e-12)
    torch.testing.assert_close(dct_iv(dct_iv(x)), x, rtol=0, atol=1e-12)


def test_scales_are_measured_so_that_every_band_has_unit_rms() -> None:
    t = torch.arange(4000, dtype=torch.float64) / 8000
    songs = [sound(4001 + i, channels=2, seed=i).cumsum(dim=-1) * 0.01 + torch.sin(900 * t[0]) for i in range(3)]
    plain = lapped(audio_channels=2)
    codec = plain.fit_scales(songs, quietest_db=-200.0)
    z = torch.cat([codec.encode(song) for song in songs], dim=-1)
    rms = z.reshape(2, 2, HOP, -1).square().mean(dim=(0, 1, 3)).sqrt()
    torch.testing.assert_close(rms, torch.ones(HOP, dtype=torch.float64), rtol=1e-9, atol=0)
    assert plain.scales is None
    torch.testing.assert_close(codec.decode(codec.encode(songs[0]), 4001), songs[0], rtol=0, atol=1e-11)
    singly = plain.fit_scales([example for song in songs for example in song], quietest_db=-200.0)
    assert singly.scales == pytest.approx(codec.scales)


def test_bands_that_are_hardly_there_are_not_blown_up() -> None:
    low = Lapped(sample_rate=8000, hop_samples=HOP)
    z = torch.zeros(1, HOP, 50, dtype=torch.float64)
    z[:, 2] = 1.0
    scales = low.fit_scales([low.decode(z, 50 * HOP)], quietest_db=-60.0).scales
    assert scales is not None
    assert scales[2] == pytest.approx(1.0)
    assert scales[10] == pytest.approx(1e-3)
    with pytest.raises(AudioError, match="without finite sound"):
        low.fit_scales([torch.zeros(1, 100)])
    with pytest.raises(AudioError, match="0 frames"):
        low.fit_scales([])


@pytest.mark.parametrize("shape", SHAPES)
def test_gradients_are_those_of_an_orthogonal_map(shape: str) -> None:
    codec = lapped(**SHAPES[shape])
    scales = torch.ones(1) if codec.scales is None else torch.tensor(codec.scales, dtype=torch.float64)[:, None]
    length = 4 * HOP + 5
    x = sound(length, channels=codec.audio_channels).requires_grad_()
    g = codec.encode(sound(length, channels=codec.audio_channels, seed=1))
    [gradient] = torch.autograd.grad(codec.encode(x), x, g / scales)
    torch.testing.assert_close(gradient, codec.decode(g / scales**3, length), rtol=0, atol=1e-9)
    z = codec.encode(x.detach()).requires_grad_()
    h = sound(length, channels=codec.audio_channels, seed=2)
    [gradient] = torch.autograd.grad(codec.decode(z, length), z, h)
    torch.testing.assert_close(gradient, codec.encode(h) * scales**2, rtol=0, atol=1e-12)


def test_what_is_kept_between_calls_serves_training_after_inference() -> None:
    codec = lapped(hop_samples=22, window="kbd", scales=(0.5,) * 22)
    with torch.inference_mode():
        codec.encode(sound(100))
    x = sound(100).requires_grad_()
    codec.encode(x).square().sum().backward()
    assert x.grad is not None


@pytest.mark.parametrize("name", linear_codecs())
def test_a_codec_that_loses_nothing_has_a_ceiling_out_of_reach(name: str) -> None:
    codec = linear_codecs()[name]
    x = sound(331, channels=codec.audio_channels)
    assert bound_to(codec, x) is codec
    torch.testing.assert_close(round_trip(codec, x), x)
    assert ceiling(codec, x).shape == (2,)
    assert (ceiling(codec, x) > 90).all()
    assert codec.frame_rate == codec.sample_rate / codec.hop_samples


@pytest.mark.parametrize("codec", [Waveform(sample_rate=8000), lapped()], ids=lambda codec: codec.name)
def test_what_does_not_fit_is_refused(codec: Codec) -> None:
    with pytest.raises(AudioError, match="1 channels at 8000 Hz"):
        codec.encode(sound(100, channels=2))
    with pytest.raises(AudioError, match=r"b c t"):
        codec.encode(sound(100)[0])
    with pytest.raises(AudioError, match="float32 or float64"):
        codec.encode(torch.zeros(1, 1, 100, dtype=torch.int16))
    with pytest.raises(AudioError, match="to decode into 331 samples; wanted b d n"):
        codec.decode(codec.encode(sound(100)), 331)


@dataclass(frozen=True)
class Affine(CodecView):
    """A linear codec whose silence is not at zero: the simplest that needs recentring."""

    offset: Tensor = field(default_factory=lambda: torch.zeros(1, 1))

    @property
    def origin(self) -> Tensor:
        return self.offset

    def encode(self, x: Tensor, /) -> Tensor:
        return self.codec.encode(x) + self.offset

    def decode(self, z: Tensor, length_samples: int, /) -> Tensor:
        return self.codec.decode(z - self.offset, length_samples)


def wiener(codec: Codec, mixture: Tensor, means: Tensor, variances: Tensor) -> Tensor:
    """The posterior mean of stems with Gaussian latents of which we believe that they sum to the mixture's latent.

    mixture: 1 c t; means: d 1; variances: s d n. Returns s c t.
    """
    residual = codec.encode(mixture) - len(variances) * means
    z = means + variances / variances.sum(dim=0) * residual
    return codec.decode(z, mixture.shape[-1])


def test_an_affine_codec_loses_nothing_recentred_and_much_without() -> None:
    # four stems with Gaussian coefficients of very different local power, as in MSDM's analytic toy
    plain, generator = lapped(), torch.Generator().manual_seed(6)
    deviations = torch.exp(1.6 * torch.randn(4, HOP, 1000, generator=generator, dtype=torch.float64))
    stems = plain.decode(deviations * torch.randn(4, HOP, 1000, generator=generator, dtype=torch.float64), 1000 * HOP)
    mixture = stems.sum(dim=0, keepdim=True)
    direction = torch.randn(HOP, 1, generator=generator, dtype=torch.float64)

    def improvement(codec: Codec) -> float:
        estimates = wiener(codec, mixture, codec.origin.double(), deviations**2)
        return float(
            (si_sdr(stems.numpy(), estimates.numpy()) - si_sdr(stems.numpy(), mixture.expand_as(stems))).mean()
        )

    losses = []
    for share in (0.1, 0.3, 1.0):  # of the stems' RMS
        codec = Affine(plain, share * stems.square().mean().sqrt() * direction / direction.square().mean().sqrt())
        torch.testing.assert_close(round_trip(codec, stems), stems)
        z = codec.encode(stems)
        expected = codec.encode(mixture) + 3 * codec.origin  # sum_i z_i = z_mix + (N - 1) origin
        torch.testing.assert_close(z.sum(dim=0, keepdim=True), expected, rtol=0, atol=1e-9)
        centred = recentred(codec)
        assert recentred(centred) is centred
        latent_sum = centred.encode(stems).sum(dim=0, keepdim=True)
        torch.testing.assert_close(latent_sum, centred.encode(mixture), rtol=0, atol=1e-9)
        assert improvement(centred) == pytest.approx(improvement(plain), abs=1e-6)
        losses.append(improvement(plain) - improvement(codec))
    assert losses == sorted(losses)
    assert losses[0] > 0.3
    assert losses[2] > 10


def test_codecs_are_found_saved_and_read_back() -> None:
    assert {"encodec_24khz", "encodec_48khz", "lapped", "waveform"} <= set(list_codecs())
    for codec in linear_codecs().values():
        stored = CodecSettings.model_validate_json(codec_settings(codec).model_dump_json())
        assert stored.build() == codec
        json.dumps(stored.settings)
    assert get_codec("lapped", sample_rate=8000).hop_samples == 512


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"hop_samples": 15}, "hop_samples"),
        ({"hop_sample": 16}, "did you mean 'hop_samples'"),
        ({"hop_samples": 16, "window_samples": 34}, "one to two hops, 16 to 32"),
        ({"hop_samples": 16, "window_samples": 12}, "one to two hops, 16 to 32"),
        ({"hop_samples": 16, "scales": (1.0,) * 15}, "one for each of 16 bands"),
        ({"hop_samples": 2, "scales": (1.0, 0.0)}, "greater than 0"),
        ({"window": "hann"}, "sine"),
    ],
)
def test_settings_that_make_no_sense_are_refused(settings: dict[str, object], says: str) -> None:
    with pytest.raises(OptionError, match=says):
        get_codec("lapped", sample_rate=8000, **settings)


def test_an_unknown_name_names_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'lapped'"):
        get_codec("laped", sample_rate=8000)


HALVED = """
    from sepkit.codecs import Waveform

    class Halved:
        sample_rate, audio_channels, hop_samples, features, additive, frame_rate = 8000, 1, 1, 1, True, 8000.0
        def __init__(self, depth=1):
            self.origin = Waveform(sample_rate=8000).origin
        def encode(self, x):
            return x / 2
        def decode(self, z, length_samples):
            return z * 2
        def frames(self, length_samples):
            return length_samples

    class Silent:
        sample_rate = 8000
"""


def test_plugins_join_and_are_held_to_the_protocol(announce: Callable[..., Path]) -> None:
    announce("halved", HALVED, target="codec:Halved", group="sepkit.codecs", distribution="sepkit-halves")
    announce("silent", None, target="codec:Silent", group="sepkit.codecs", distribution="sepkit-halves")
    assert "halved" in list_codecs()
    codec = get_codec("halved", depth=2)
    torch.testing.assert_close(round_trip(codec, sound(10)), sound(10))
    with pytest.raises(OptionError, match="no option 'deph': did you mean 'depth'"):
        get_codec("halved", deph=2)
    with pytest.raises(PluginError, match="built a Silent that lacks audio_channels, hop_samples"):
        get_codec("silent")
    with pytest.raises(OptionError, match="Halved cannot be stored"):
        codec_settings(codec)


def test_the_list_of_members_is_the_protocol() -> None:
    assert set(MEMBERS) == {name for name in vars(Codec) if not name.startswith("_")}


def test_listing_imports_no_torch() -> None:
    script = (
        "import sys; from sepkit.codecs import list_codecs; assert 'lapped' in list_codecs(); "
        "assert not {'torch', 'numpy', 'encodec'} & set(sys.modules), 'imported'"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
