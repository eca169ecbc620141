"""Laws of EnCodec as a codec: encodec's own model with no quantiser between, at any length; weights only as asked."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from sepkit.codecs import EncodecCodec, bound_to, ceiling, get_codec, recentred, round_trip
from sepkit.codecs.encodec_codec import SegmentScales
from sepkit.codecs.segments import Segmenting
from sepkit.errors import AudioError, OptionError
from sepkit.evaluation.metrics import si_sdr

pytest.importorskip("encodec")
from encodec import EncodecModel

TINY = {"weights": "random", "n_filters": 2, "dimension": 6}
SHORT = {**TINY, "ratios": (4, 2), "lstm_layers": 1}
STRIDE, SEGMENT = 47_520, 48_000
LENGTHS = {
    "encodec_24khz": [1, 2, 319, 320, 321, 5000],
    "encodec_48khz": [1, 479, 480, STRIDE, STRIDE + 1, SEGMENT, SEGMENT + 1, 2 * STRIDE + 900],
}


class NoQuantiser(nn.Module):
    """Stands where encodec quantises, and keeps the embeddings as they are."""

    bins, n_q = 1024, 1

    def encode(self, embedding: Tensor, frame_rate: int, bandwidth: float | None) -> Tensor:
        return embedding.transpose(0, 1)

    def decode(self, codes: Tensor) -> Tensor:
        return codes.transpose(0, 1)


def reference(codec: EncodecCodec) -> EncodecModel:
    """encodec's own model around the very networks of `codec`."""
    settings = codec.settings
    return EncodecModel(
        codec.encoder,
        codec.decoder,
        NoQuantiser(),
        [6.0],
        settings.sample_rate,
        settings.audio_channels,
        normalize=settings.normalise,
        segment=settings.segment_seconds,
        overlap=settings.overlap,
    )


def sound(length: int, *, channels: int = 1, batch: int = 2, seed: int = 0) -> Tensor:
    return 0.3 * torch.randn(batch, channels, length, generator=torch.Generator().manual_seed(seed))


def built(name: str, **settings: object) -> EncodecCodec:
    codec = get_codec(name, **settings)
    assert isinstance(codec, EncodecCodec)
    return codec


@pytest.fixture(scope="module")
def tiny() -> dict[str, EncodecCodec]:
    return {name: built(name, **TINY) for name in LENGTHS}


@pytest.fixture
def short() -> EncodecCodec:
    """A stereo codec that normalises segments of 25 frames of 8 samples, of which 50 samples overlap."""
    return built(
        "seanet",
        **SHORT,
        sample_rate=1000,
        audio_channels=2,
        causal=False,
        norm="time_group_norm",
        normalise=True,
        segment_seconds=0.2,
        overlap=0.25,
    )


@pytest.mark.parametrize(("name", "length"), [(name, length) for name in LENGTHS for length in LENGTHS[name]])
@torch.no_grad()
def test_it_is_encodecs_own_model_without_the_quantiser(tiny: dict[str, EncodecCodec], name: str, length: int) -> None:
    codec = tiny[name]
    x = sound(length, channels=codec.audio_channels)
    model = reference(codec)
    frames = model.encode(x)
    embeddings = [codes for codes, _ in frames]
    z = codec.encode(x)
    assert z.shape == (2, 6, codec.frames(length))
    torch.testing.assert_close(z, torch.cat(embeddings, dim=-1), rtol=0, atol=1e-5)
    decoded = round_trip(codec, x)
    torch.testing.assert_close(decoded, model(x), rtol=0, atol=1e-5)
    assert decoded.abs().max() > 1e-3


@pytest.mark.parametrize("length", [STRIDE + 240, 2 * STRIDE + 240])
@torch.no_grad()
def test_lengths_that_encodec_itself_cannot_join_are_joined(tiny: dict[str, EncodecCodec], length: int) -> None:
    # the last segment but one, rounded up to whole frames, ends after the last one: encodec's sum has no room for it
    codec = tiny["encodec_48khz"]
    x = sound(length, channels=2)
    model = reference(codec)
    with pytest.raises(RuntimeError, match="must match the size"):
        model(x)
    decoded = round_trip(codec, x)
    pieces = [model._decode_frame(frame) for frame in model.encode(x)]
    last = len(pieces) - 1
    alone = slice((last - 1) * STRIDE + (SEGMENT - STRIDE if last > 1 else 0), last * STRIDE)
    offset = (last - 1) * STRIDE
    expected = pieces[last - 1][..., alone.start - offset : alone.stop - offset]
    torch.testing.assert_close(decoded[..., alone], expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize(("size", "stride"), [(10, 10), (10, 9), (10, 6), (12, 3), (7, 1)])
@pytest.mark.parametrize("excess", [0, 2])
def test_pieces_of_a_sound_join_to_the_sound(size: int, stride: int, excess: int) -> None:
    segmenting = Segmenting(size, stride)
    for length in range(1, 45):
        x = sound(length).double()
        padded = torch.cat([x, sound(size + excess).double()], dim=-1)
        segments = segmenting.segments(length)
        assert (segments[0].start, segments[-1].stop) == (0, length)
        pieces = [x[..., segment.start : segment.stop] for segment in segments]
        torch.testing.assert_close(segmenting.join(pieces, length), x, rtol=0, atol=1e-12)
        longer = [padded[..., segment.start : segment.stop + excess] for segment in segments]
        torch.testing.assert_close(segmenting.join(longer, length), x, rtol=0, atol=1e-12)


def test_two_full_segments_cross_fade_in_a_straight_line() -> None:
    joined = Segmenting(8, 4).join([torch.ones(8), torch.zeros(8), torch.zeros(4)], 12)
    torch.testing.assert_close(joined, torch.tensor([1, 1, 1, 1, 0.8, 0.6, 0.4, 0.2, 0, 0, 0, 0]))


def test_nothing_becomes_nothing(tiny: dict[str, EncodecCodec]) -> None:
    for codec in tiny.values():
        x = sound(0, channels=codec.audio_channels)
        bound = bound_to(codec, x)
        assert bound.encode(x).shape == (2, 6, 0)
        assert bound.decode(bound.encode(x), 0).shape == x.shape


def test_facts_are_those_of_the_published_models(tiny: dict[str, EncodecCodec]) -> None:
    mono, stereo = tiny["encodec_24khz"], tiny["encodec_48khz"]
    assert (mono.sample_rate, mono.audio_channels, mono.hop_samples, mono.frame_rate) == (24_000, 1, 320, 75.0)
    assert (stereo.sample_rate, stereo.audio_channels, stereo.frame_rate) == (48_000, 2, 150.0)
    assert stereo.segmenting == Segmenting(SEGMENT, STRIDE)
    assert mono.segmenting is None
    assert not mono.additive


@pytest.mark.parametrize("name", ["encodec_24khz", pytest.param("encodec_48khz", marks=pytest.mark.slow)])
@torch.no_grad()
def test_at_full_size_it_is_the_published_network(name: str) -> None:
    codec = built(name, weights="random", seed=3)
    published: Any = {
        "encodec_24khz": EncodecModel.encodec_model_24khz,
        "encodec_48khz": EncodecModel.encodec_model_48khz,
    }[name](pretrained=False)
    published.encoder.load_state_dict(codec.encoder.state_dict())
    published.decoder.load_state_dict(codec.decoder.state_dict())
    published.quantizer = NoQuantiser()
    count = sum(parameter.numel() for parameter in codec.parameters())
    if name == "encodec_24khz":
        assert round(count / 1e6, 2) == 14.85
    seconds = 0.2 if codec.segmenting is None else 1.2
    x = sound(int(seconds * codec.sample_rate), channels=codec.audio_channels, batch=1)
    torch.testing.assert_close(round_trip(codec, x), published(x), rtol=0, atol=1e-5)


@torch.no_grad()
def test_the_origin_is_what_silence_settles_to(tiny: dict[str, EncodecCodec], short: EncodecCodec) -> None:
    for codec in (*tiny.values(), short):
        assert codec.origin.shape == (6, 1)
        length = codec.sample_rate if codec.segmenting is None else codec.segmenting.length_samples
        settled = slice(length // codec.hop_samples - 10, length // codec.hop_samples)  # the end of the first segment
        silence = torch.zeros(1, codec.audio_channels, length)
        z = codec.encode(silence)[..., settled]
        torch.testing.assert_close(z, codec.origin.expand(1, 6, 10), rtol=0, atol=1e-4)
        assert codec.origin.abs().max() > 1e-3  # the point of it
        centred = recentred(codec)
        assert not centred.origin.any()
        z = centred.encode(silence)[..., settled]
        torch.testing.assert_close(z, torch.zeros(1, 6, 10), rtol=0, atol=1e-4)
        x = sound(length, channels=codec.audio_channels, batch=1)
        torch.testing.assert_close(round_trip(centred, x), round_trip(codec, x), rtol=0, atol=1e-5)


def test_the_origin_follows_the_weights_and_costs_one_call(
    short: EncodecCodec, monkeypatch: pytest.MonkeyPatch
) -> None:
    with torch.inference_mode():
        first = short.origin
    assert not first.is_inference()
    forward, calls = short.encoder.forward, []
    monkeypatch.setattr(short.encoder, "forward", lambda x: calls.append(x) or forward(x))
    assert short.origin is first
    assert not calls
    with torch.no_grad():
        for parameter in short.encoder.parameters():
            parameter.add_(0.1)  # as an optimiser's step does
    assert not torch.equal(short.origin, first)
    assert short.double().origin.dtype == torch.float64


@torch.no_grad()
def test_a_stem_encoded_at_its_mixtures_scale_keeps_its_level(short: EncodecCodec) -> None:
    stem, rest = sound(500, channels=2), 3 * sound(500, channels=2, seed=1)
    mixture = stem + rest
    scales = short.scales(mixture)
    expected = [
        mixture[..., start : start + 200].mean(dim=1).square().mean(dim=-1).sqrt() + 1e-8
        for start in (0, 150, 300, 450)
    ]
    torch.testing.assert_close(scales.values, torch.stack(expected, dim=1))
    z = short.encode(stem, scale_of=mixture)
    assert torch.equal(z, short.encode(stem, scale_of=scales))
    assert torch.equal(z, bound_to(short, mixture).encode(stem))
    assert not torch.allclose(z, short.encode(stem))
    # sound and scale by the same factor: the latent stays, and what is decoded is louder by it
    torch.testing.assert_close(short.encode(5 * stem, scale_of=5 * mixture), z, rtol=0, atol=1e-5)
    quiet, loud = (bound_to(short, gain * mixture).decode(z, 500) for gain in (1, 5))
    torch.testing.assert_close(loud, 5 * quiet, rtol=1e-5, atol=1e-5)


@torch.no_grad()
def test_stems_of_a_batch_share_their_own_mixtures_scale(short: EncodecCodec) -> None:
    mixtures, stems = sound(400, channels=2), sound(400, channels=2, batch=6, seed=1)  # b c t, (b s) c t
    bound = bound_to(short, mixtures)
    z = bound.encode(stems)
    for i in range(6):
        alone = bound_to(short, mixtures[i // 3, None])
        torch.testing.assert_close(z[i, None], alone.encode(stems[i, None]), rtol=0, atol=1e-5)
        torch.testing.assert_close(bound.decode(z, 400)[i, None], alone.decode(z[i, None], 400), rtol=0, atol=1e-5)
    with pytest.raises(AudioError, match="Scales of 2 sounds of 3 segments were given for 3 sounds of 3"):
        bound.encode(stems[:3])
    with pytest.raises(AudioError, match="for 2 sounds of 1; take them from the mixture"):
        bound.encode(mixtures[..., :150])


def test_what_cannot_be_decoded_or_encoded_is_refused(short: EncodecCodec) -> None:
    x = sound(400, channels=2)
    z = short.encode(x)
    with pytest.raises(OptionError, match=r"scales=codec\.scales\(mixture\)"):
        short.decode(z, 400)
    assert short.decode(z, 400, scales=SegmentScales(torch.ones(2, 3))).shape == x.shape
    with pytest.raises(AudioError, match="wanted b d n with 6 features"):
        short.decode(z[..., :-1], 400)
    with pytest.raises(AudioError, match=r"move one of them: codec\.to"):
        short.encode(x.double())
    assert short.double().encode(x.double()).dtype == torch.float64


def test_it_can_be_trained_as_any_module() -> None:
    codec = built("seanet", **SHORT, sample_rate=1000)
    x = sound(300)
    losses = []
    for _ in range(20):
        loss = (codec.decode(codec.encode(x), 300) - x).square().mean()
        gradients = torch.autograd.grad(loss, list(codec.parameters()))
        assert all(gradient.abs().max() > 0 for gradient in gradients)
        with torch.no_grad():
            for parameter, gradient in zip(codec.parameters(), gradients, strict=True):
                parameter -= 0.1 * gradient
        losses.append(loss.item())
    assert losses[-1] < 0.9 * losses[0]


@torch.no_grad()
def test_the_ceiling_is_the_si_sdr_of_encode_and_decode(short: EncodecCodec) -> None:
    x, mixture = sound(400, channels=2), sound(400, channels=2, seed=3)
    own = bound_to(short, x)
    expected = si_sdr(x.numpy(), own.decode(own.encode(x), 400).numpy())
    assert ceiling(short, x).tolist() == pytest.approx(expected.tolist())
    assert ceiling(short, x, like=mixture).tolist() != pytest.approx(expected.tolist())
    assert (ceiling(short, x) < 5).all()  # random weights say nothing of the sound
