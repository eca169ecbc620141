"""Laws of generation: what is given stays bit for bit, equal seeds give equal music, windows join, formats fit."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor

from sepkit import Audio, registry
from sepkit.diffusion import Level
from sepkit.errors import AudioError, OptionError, UnknownNameError
from sepkit.generator import Generator, get_generator
from sepkit.noise import gaussian
from sepkit_msdm_posterior.generation import MsdmGenerator, arrange, generate, inpaint
from sepkit_msdm_posterior.inference import Prior
from sepkit_msdm_posterior.presets import PRESETS
from sepkit_msdm_posterior.separator import build_projected, separator_info

BAND = ("bass", "drums", "guitar", "piano")
RATE = 8000
CHOICES = [given for count in (1, 2, 3) for given in itertools.combinations(BAND, count)]


def exact_generator(variances: Tensor) -> MsdmGenerator:
    """Generates independent Gaussian coefficients of these variances (s d), with the exact denoiser."""
    config = PRESETS["tiny"]
    v = variances[None, :, :, None]

    def denoise(x: Tensor, level: Level, /) -> Tensor:
        return v / (v + float(level.ratio) ** 2) * x

    return MsdmGenerator(Prior(config, config.codec.build(), denoise), separator_info(config, licence="MIT"))


GENERATOR = exact_generator((0.5 * gaussian(0, "v", 0, 64, 4)).exp() * 0.01)
STEMS = {stem: Audio(0.05 * gaussian(1, stem, 0, 6000, 2), RATE) for stem in BAND}


@pytest.fixture(autouse=True)
def registered() -> Iterator[None]:
    with registry.register("msdm_projected", build_projected, replace=True):
        yield


def test_the_method_is_a_generator_of_its_own_weights() -> None:
    generator = get_generator("msdm_projected", untrained=True, preset="tiny", device="cpu")
    assert isinstance(generator, Generator)
    stems = generator.generate(0.3, seed=1, quality=2)
    found = {name: (part.sample_rate, part.samples.shape) for name, part in stems.items()}
    assert found == dict.fromkeys(BAND, (RATE, (1, 2400)))
    facts = stems.provenance
    assert (facts["generation"], facts["given"], facts["generated"], facts["seed"]) == ("total", [], list(BAND), 1)
    assert facts["model"]["untrained"] == "tiny"
    assert torch.equal(generator.generate(0.3, seed=1, quality=2)["drums"].samples, stems["drums"].samples)
    assert not torch.equal(generator.generate(0.3, seed=2, quality=2)["drums"].samples, stems["drums"].samples)


def test_generated_music_has_the_variances_of_the_prior() -> None:
    """Over several windows, with no seam in between: each coefficient and frame is as loud as the others."""
    variances = (0.5 * gaussian(0, "v", 0, 64, 4)).exp() * 0.01
    stems = GENERATOR.generate(4.0, seed=3, quality=40)
    codec = GENERATOR.prior.codec
    z = torch.stack([codec.encode(part.samples[None])[0] for part in stems.values()])
    power = z.square() / variances[..., None]  # below 1 by what Euler steps with churn lose
    assert 0.6 < float(power.mean()) < 1.05
    by_coefficient = power.mean(dim=-1) / power.mean()
    assert float(by_coefficient.std()) < 0.12
    by_frame = power.mean(dim=(0, 1)) / power.mean()
    assert 0.6 < float(by_frame.min()) < float(by_frame.max()) < 1.5
    neighbours = (z[..., 1:] * z[..., :-1] / variances[..., None]).mean()
    assert abs(float(neighbours)) < 0.02


@pytest.mark.parametrize("given", CHOICES, ids="+".join)
def test_each_arrangement_leaves_what_is_given_untouched(given: tuple[str, ...]) -> None:
    stems = GENERATOR.arrange({stem: STEMS[stem] for stem in given}, seed=1, quality=3)
    assert tuple(stems) == BAND
    for stem in BAND:
        assert torch.equal(stems[stem].samples, STEMS[stem].samples) == (stem in given)
        assert stems[stem].samples.shape == (2, 6000)
        assert stems[stem].samples.abs().max() > 0
    assert stems.provenance["generated"] == [stem for stem in BAND if stem not in given]


def test_the_level_of_what_is_made_follows_what_is_given() -> None:
    quiet = {"drums": Audio(1e-3 * STEMS["drums"].samples, RATE)}
    loud, soft = (GENERATOR.arrange(one, ["bass"], seed=1, quality=3) for one in ({"drums": STEMS["drums"]}, quiet))
    assert tuple(loud) == ("bass", "drums")
    torch.testing.assert_close(1e3 * soft["bass"].samples, loud["bass"].samples, rtol=1e-3, atol=1e-4)


def test_any_format_and_length_comes_back() -> None:
    for rate, channels, length in ((16_000, 1, 3001), (44_100, 6, 20_011), (RATE, 2, 1), (11_025, 2, 12_000)):
        drums = Audio(0.1 * gaussian(0, "drums", 0, length, channels), rate)
        stems = GENERATOR.arrange({"drums": drums}, ["piano"], quality=2)
        assert (stems["piano"].sample_rate, stems["piano"].samples.shape) == (rate, (channels, length))
        assert torch.equal(stems["drums"].samples, drums.samples)


def test_a_stretch_is_made_anew_and_nothing_else() -> None:
    gap = (0.3, 0.5)
    stems = GENERATOR.inpaint(STEMS, *gap, ["drums", "bass"], seed=2, quality=4)
    fade = 64  # samples: a frame, which is less than 10 ms here
    fade = max(fade, round(0.01 * RATE))
    before, after = slice(0, round(gap[0] * RATE) - fade), slice(round(gap[1] * RATE) + fade, None)
    for stem in BAND:
        now, was = stems[stem].samples, STEMS[stem].samples
        assert torch.equal(now[:, before], was[:, before])
        assert torch.equal(now[:, after], was[:, after])
        inside = slice(before.stop + 2 * fade, after.start - 2 * fade)
        assert torch.equal(now[:, inside], was[:, inside]) == (stem not in ("drums", "bass"))
    # what the gap held plays no part
    other = {stem: Audio(torch.where(torch.arange(6000) // 100 == 31, 9.0, part.samples), RATE)
             for stem, part in STEMS.items()}  # fmt: skip
    again = GENERATOR.inpaint(other, *gap, seed=2, quality=4)
    first = GENERATOR.inpaint(STEMS, *gap, seed=2, quality=4)
    for stem in BAND:
        torch.testing.assert_close(again[stem].samples, first[stem].samples, rtol=0, atol=1e-6)


def test_module_functions_are_those_of_a_generator() -> None:
    stems = generate(0.2, 5, generator=GENERATOR, quality=2)
    assert torch.equal(stems["bass"].samples, GENERATOR.generate(0.2, seed=5, quality=2)["bass"].samples)
    given = {"bass": stems["bass"]}
    assert torch.equal(arrange(given, generator=GENERATOR, quality=2)["bass"].samples, stems["bass"].samples)
    made = inpaint(stems, 0.05, 0.1, generator=GENERATOR, quality=2)
    assert tuple(made) == BAND


@pytest.mark.parametrize(
    ("call", "kind", "reason"),
    [
        (lambda: GENERATOR.generate(0), OptionError, "length above 0"),
        (lambda: GENERATOR.generate(1, quality="bets"), OptionError, "best"),
        (lambda: GENERATOR.generate(1, seed="one"), OptionError, "seed"),  # type: ignore[arg-type]
        (lambda: GENERATOR.arrange({}), OptionError, "No stem was given"),
        (lambda: GENERATOR.arrange({"vocals": STEMS["bass"]}), UnknownNameError, "vocals"),
        (lambda: GENERATOR.arrange(STEMS), OptionError, "all stems are given"),
        (lambda: GENERATOR.arrange({"bass": STEMS["bass"]}, ["bass"]), OptionError, "given and to be generated"),
        (
            lambda: GENERATOR.arrange({"bass": STEMS["bass"], "drums": STEMS["drums"].remixed(1)}),
            AudioError,
            "one rate, channel count and length",
        ),
        (lambda: GENERATOR.inpaint(STEMS, 0.5, 0.2), OptionError, "within the stems' 0.750 s"),
        (lambda: GENERATOR.inpaint({"bass": STEMS["bass"]}, 0.1, 0.2, ["drums"]), OptionError, "'drums'"),
    ],
)
def test_what_cannot_be_made_is_refused(call: Any, kind: type[Exception], reason: str) -> None:
    with pytest.raises(kind, match=reason):
        call()
