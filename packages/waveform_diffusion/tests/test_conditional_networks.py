"""The networks of mixture-conditioned diffusion: sizes, lengths, what the generator is told, frames."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch

pytest.importorskip("audio_diffusion_pytorch", reason="the generator is its U-Net")

from pydantic import ValidationError

from sepkit_waveform_diffusion.conditional.attention import rotated
from sepkit_waveform_diffusion.conditional.config import ConditionalConfig, GeneratorConfig
from sepkit_waveform_diffusion.conditional.lapped import to_frames, to_waveform
from sepkit_waveform_diffusion.conditional.network import ConditionalNetwork, new_network
from sepkit_waveform_diffusion.conditional.presets import PRESETS


def tiny(**changes: Any) -> ConditionalConfig:
    """Three levels, two of them deep, that have everything the paper's networks have."""
    return ConditionalConfig(**{**PRESETS["tiny"].model_dump(), **changes})


KINDS: dict[str, dict[str, Any]] = {
    "waveform": {},
    "lapped": {"bands": 8, "gated": True, "compression": 0.3, "level": "mixture"},
}


def noise(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def count(module: torch.nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def test_the_paper_s_networks_have_its_sizes_within_two_percent() -> None:
    with torch.device("meta"):
        network = ConditionalNetwork(PRESETS["paper"])
        plain = ConditionalNetwork(PRESETS["paper_plain"])
    assert count(network.generator) == 16_081_666 == pytest.approx(15.9e6, rel=0.02)
    assert count(network.conditioner) == 84_084_268 == pytest.approx(82.9e6, rel=0.02)
    assert count(network) == pytest.approx(99e6, rel=0.02)
    assert count(plain) == 74_427_182 == pytest.approx(71e6, rel=0.05)
    velocity, condition = network(*(torch.zeros(shape, device="meta") for shape in ((1, 1, 2, 5), (1,), (1, 2, 5))))
    assert velocity.shape == (1, 1, 2, 5)
    assert [x is None for x in condition.embeddings] == [True] * 3 + [False] * 4
    assert PRESETS["paper"].ratio == 128


def test_the_small_networks_fit_a_package() -> None:
    with torch.device("meta"):
        assert 2 * count(ConditionalNetwork(PRESETS["small"])) < 12e6  # bytes, in half precision


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("targets", "channels"), [(("vocals",), 1), (("drums", "bass"), 2)])
def test_any_length_in_is_that_length_out(kind: str, targets: tuple[str, ...], channels: int) -> None:
    config = tiny(**KINDS[kind], targets=targets, audio_channels=channels)
    network = new_network(config, 0)
    for length_samples in (1, 15, 16, 17, 333):
        state, mixture = noise(2, len(targets), channels, length_samples), noise(2, channels, length_samples, seed=1)
        with torch.no_grad():
            velocity, condition = network(state, torch.tensor([0.2, 0.9]), mixture)
        assert velocity.shape == state.shape
        frames = network.frames(state.flatten(1, 2))
        assert condition.latent.shape == condition.decoded.shape == frames.shape
        assert frames.shape[-1] % config.ratio == 0


def test_every_embedding_reaches_the_way_down_and_the_way_up() -> None:
    network = new_network(tiny(), 0)
    state, t, mixture = noise(1, 1, 1, 64), torch.tensor([0.5]), noise(1, 1, 64, seed=1)
    condition = network.condition(mixture)
    with torch.no_grad():
        before = network.velocity(state, t, condition)
        for level, embedding in enumerate(condition.embeddings):
            if embedding is None:
                assert not network.config.deep(level)
                continue
            changed = list(condition.embeddings)
            changed[level] = embedding + 1.0
            after = network.velocity(state, t, condition._replace(embeddings=tuple(changed)))
            assert (after - before).abs().max() > 1e-4
    # each of the two deep levels merges it once on the way down and once on the way up
    merged = [m for m in network.generator.unet.modules() if isinstance(m, torch.nn.Conv1d) and m.kernel_size == (1,)]
    wide = [m for m in merged if m.in_channels == 2 * m.out_channels]
    assert len(wide) == 2 * network.config.deepest


def test_signals_keep_their_digits_in_mixed_precision() -> None:
    x = noise(1, 2, 300)
    with torch.autocast("cpu", torch.bfloat16):
        frames = to_frames(x, 16, 1)
        back = to_waveform(frames.bfloat16(), 16, 300)
    torch.testing.assert_close(to_waveform(frames, 16, 300), x, atol=1e-5, rtol=0)
    assert back.dtype == torch.float32


@pytest.mark.parametrize("kind", KINDS)
def test_everything_in_both_networks_learns(kind: str) -> None:
    network = new_network(tiny(**KINDS[kind]), 0)
    velocity, condition = network(noise(2, 1, 1, 64), torch.tensor([0.2, 0.9]), noise(2, 1, 64, seed=1))
    (velocity.square().sum() + condition.latent.square().sum() + condition.decoded.square().sum()).backward()
    still = [name for name, p in network.named_parameters() if p.grad is None or not p.grad.any()]
    # the context's norm belongs to the library's own attention, which is not used
    assert not still


def test_the_conditioner_has_no_way_round_its_bottleneck() -> None:
    network = new_network(tiny(), 0)
    conditioner = network.conditioner
    for parameter in (*conditioner.transformer.leave.parameters(),):
        parameter.data.zero_()
    with torch.no_grad():
        conditioner.transformer.register_forward_hook(lambda module, inputs, output: torch.zeros_like(output))
        one, other = (network.condition(noise(1, 1, 64, seed=seed)) for seed in (1, 2))
    for a, b in zip((*one.embeddings, one.decoded), (*other.embeddings, other.decoded), strict=True):
        assert a is b or torch.equal(a, b)


@pytest.mark.parametrize("bands", [2, 16, 37])
def test_lapped_frames_keep_samples_energy_and_white_noise(bands: int) -> None:
    x = noise(2, 2, 1001).double()
    frames = to_frames(x, bands, 4)
    torch.testing.assert_close(to_waveform(frames, bands, 1001), x, atol=1e-12, rtol=0)
    assert float(frames.square().sum()) == pytest.approx(float(x.square().sum()), rel=1e-12)
    rows = to_frames(torch.eye(6 * bands).double()[:, None], bands, 1)[..., 1:-1].flatten(1)  # whole frames only
    torch.testing.assert_close(rows.T @ rows, torch.eye(rows.shape[1]).double(), atol=1e-12, rtol=0)


def test_rotated_products_depend_on_distance_only() -> None:
    q, k = noise(1, 1, 1, 8), noise(1, 1, 1, 8, seed=1)
    turned_q, turned_k = rotated(q.expand(1, 1, 12, 8)), rotated(k.expand(1, 1, 12, 8))
    products = (turned_q @ turned_k.transpose(-1, -2))[0, 0]
    for distance in range(-5, 6):
        diagonal = products.diagonal(distance)
        torch.testing.assert_close(diagonal, diagonal[:1].expand_as(diagonal), atol=1e-5, rtol=0)
    assert not math.isclose(float(products[0, 0]), float(products[0, 5]))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"factors": (2, 2)}, "widths has 3 levels"),
        ({"deepest": 4}, "deepest is 4, of 3 levels"),
        ({"targets": ("drums", "drums")}, "name a stem twice"),
        ({"generator": GeneratorConfig(entry_width=5, widths=(8, 8, 8), blocks=(1, 1, 1))}, "no multiple of groups"),
    ],
)
def test_settings_that_do_not_fit_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        tiny(**changes)
