"""Music from the prior alone: all stems of nothing, stems that go with given ones, a stretch of time made anew.

All three are imputation: what is known of the latents stays, the rest is sampled (`imputation.impute`). Music longer
than a window is made window by window, each of which knows the half of it that the one before has made.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import torch
from torch import Tensor

from sepkit.audio import Audio, Stems
from sepkit.codecs import bound_to
from sepkit.diffusion import ChurnedEuler
from sepkit.errors import AudioError, OptionError, nearest
from sepkit.inputs import as_audio, check_stems, whole_number
from sepkit.noise import gaussian
from sepkit.provenance import plain, versions
from sepkit.separator import Progress, Quality, SeparatorInfo

from .given_stems import Gap, KnownStems
from .imputation import impute
from .inference import Prior

OVERLAP = 0.5  # of a window that is known from the one before
STEPS: Mapping[str, tuple[int, int]] = {"fast": (50, 1), "balanced": (150, 1), "best": (150, 2)}  # and passes
CHURN, CHURN_BESIDE = 20.0, 10.0  # as published, for total generation and for imputation
DRAW = "generated"  # in the noise's key: not the noise of separating
SHORTEST_FADE_SECONDS = 0.01


@dataclass(frozen=True)
class MsdmGenerator:
    """`sepkit.generator.Generator` over a multi-source prior; `facts` go into the provenance of what it makes."""

    prior: Prior
    info: SeparatorInfo
    facts: Mapping[str, Any] = field(default_factory=dict)

    def generate(
        self, seconds: float, *, seed: int = 0, quality: Quality = "balanced", progress: Progress | None = None
    ) -> Stems:
        """All stems, that long, at the prior's own rate, channels and level.

        Raises OptionError for a length that is none, a quality or a seed.
        """
        if not (isinstance(seconds, int | float) and 0 < seconds < math.inf):
            raise OptionError(f"seconds is {seconds!r}; wanted a length above 0.")
        rate, level = self.info.sample_rate, self.prior.config.level_rms or 0.1
        length = max(1, round(seconds * rate))
        codec = bound_to(
            self.prior.codec, level * gaussian(0, "level", 0, length, self.prior.codec.audio_channels)[None]
        )
        like = torch.zeros(1, len(self.info.stems), codec.features, codec.frames(length))
        kept = torch.zeros(1, len(self.info.stems), 1, like.shape[-1], dtype=torch.bool)
        sampler = self._sampler(quality, CHURN)
        latents = self._imputed(like, kept, seed, sampler, progress, seconds)
        made = codec.decode(latents[0], length)
        stems = {stem: Audio(sound, rate) for stem, sound in zip(self.info.stems, made, strict=True)}
        return Stems(stems, provenance=self._facts("total", (), self.info.stems, seed, quality, sampler))

    def arrange(
        self,
        given: Mapping[str, Any],
        generate: Sequence[str] | None = None,
        *,
        sample_rate: int | None = None,
        seed: int = 0,
        quality: Quality = "balanced",
        progress: Progress | None = None,
    ) -> Stems:
        """The given stems, bit for bit, and those to `generate` beside them (None: all others), in their format.

        Stems that are neither are silent. What is made is mono where the prior is, the same in every channel. Raises
        UnknownNameError for a stem that the prior does not have, OptionError for none to make or one that is given,
        AudioError where the given ones differ in rate, channels or length.
        """
        known = self._known(given, sample_rate)
        wanted = tuple(stem for stem in self.info.stems if stem not in known)
        if generate is not None:
            wanted = check_stems(generate, self.info.stems, self.info.name)
        both = [stem for stem in wanted if stem in known]
        if both or not wanted:
            reason = f"{both[0]!r} is given and to be generated" if both else "all stems are given"
            raise OptionError(f"There is nothing to make: {reason}. Give fewer, or use inpaint for a stretch of time.")
        part = KnownStems(self.prior, known, wanted)
        kept = torch.ones(1, len(self.info.stems), 1, part.frames, dtype=torch.bool)
        for stem in wanted:
            kept[:, self.info.stems.index(stem)] = False
        sampler = self._sampler(quality, CHURN_BESIDE)
        latents = self._imputed(part.latents, kept, seed, sampler, progress, part.seconds)
        made = part.decoded(latents)
        stems = {stem: known.get(stem) or made[stem] for stem in self.info.stems if stem in known or stem in wanted}
        return Stems(stems, provenance=self._facts("arrangement", tuple(known), wanted, seed, quality, sampler))

    def inpaint(
        self,
        given: Mapping[str, Any],
        start_seconds: float,
        end_seconds: float,
        generate: Sequence[str] | None = None,
        *,
        sample_rate: int | None = None,
        seed: int = 0,
        quality: Quality = "balanced",
        progress: Progress | None = None,
    ) -> Stems:
        """The given stems with that stretch of time made anew in those to `generate` (None: all that are given).

        What they hold there is not looked at. Their samples further from it than a latent frame, at least 10 ms, are
        returned bit for bit; in between they are cross-faded. Stems that are not given are silent. Raises as `arrange`
        does, and OptionError for a stretch that does not lie within the stems.
        """
        known = self._known(given, sample_rate)
        wanted = check_stems(generate, self.info.stems, self.info.name) if generate is not None else tuple(known)
        missing = [stem for stem in wanted if stem not in known]
        if missing or not wanted:
            raise OptionError(f"A stretch of {missing or 'no stem'} was to be made anew; wanted one of {tuple(known)}.")
        seconds = next(iter(known.values())).seconds
        if not 0 <= start_seconds < end_seconds <= seconds:
            raise OptionError(
                f"The stretch from {start_seconds!r} to {end_seconds!r} s was to be made anew; wanted one within the "
                f"stems' {seconds:.3f} s."
            )
        gap = Gap(start_seconds, end_seconds, self._fade_seconds)
        part = KnownStems(
            self.prior, {stem: gap.emptied(sound) if stem in wanted else sound for stem, sound in known.items()}, ()
        )
        kept = torch.ones(1, len(self.info.stems), 1, part.frames, dtype=torch.bool)
        frames = gap.frames(self.prior.codec.frame_rate)
        for stem in wanted:
            kept[:, self.info.stems.index(stem), :, frames] = False
        sampler = self._sampler(quality, CHURN_BESIDE)
        made = part.decoded(self._imputed(part.latents, kept, seed, sampler, progress, seconds))
        stems = {stem: gap.filled(sound, made[stem]) if stem in wanted else sound for stem, sound in known.items()}
        facts = self._facts("inpainting", tuple(known), wanted, seed, quality, sampler)
        return Stems(stems, provenance={**facts, "start_seconds": start_seconds, "end_seconds": end_seconds})

    @property
    def _fade_seconds(self) -> float:
        return max(SHORTEST_FADE_SECONDS, 1 / self.prior.codec.frame_rate)

    def _imputed(
        self,
        given: Tensor,
        kept: Tensor,
        seed: int,
        sampler: ChurnedEuler,
        progress: Progress | None,
        seconds: float,
    ) -> Tensor:
        """Latents 1 s d n with all that is not kept (1 s 1 n) made, window after window."""
        seed = whole_number("seed", seed)
        latents, known = given.clone(), kept.clone()
        frames = given.shape[-1]
        window = max(1, (self.info.window_samples or frames) // self.prior.codec.hop_samples)
        advance = max(1, window - round(OVERLAP * window))
        last = max(0, frames - window)
        for start in [*range(0, last, advance), last]:
            here = slice(start, start + window)
            if not known[..., here].all():
                noise = self.prior.noise(seed, (start,), DRAW)
                with torch.inference_mode():
                    latents[..., here] = impute(
                        self.prior.denoise, latents[..., here], known[..., here].expand_as(latents[..., here]),
                        schedule=self.prior.config.generation, sampler=sampler, noise=noise,
                    )  # fmt: skip
                known[..., here] = True
            if progress is not None:
                progress(seconds * min(1.0, (start + window) / frames), seconds)
        return latents

    def _sampler(self, quality: Quality, churn: float) -> ChurnedEuler:
        if isinstance(quality, str) and quality not in STEPS:
            raise OptionError(f"quality {quality!r} is not known: {nearest(quality, STEPS)} Or a number of steps.")
        steps, passes = STEPS[quality] if isinstance(quality, str) else (whole_number("quality", quality, 1), 1)
        return ChurnedEuler(steps=steps, churn=churn, passes=passes)

    def _known(self, given: Mapping[str, Any], sample_rate: int | None) -> dict[str, Audio]:
        """The given stems in the prior's order, of one rate, channel count and length."""
        if not given:
            raise OptionError("No stem was given; give at least one, or use generate.")
        names = check_stems(tuple(given), self.info.stems, self.info.name)
        sounds = {name: as_audio(given[name], sample_rate, self.info.sample_rate) for name in names}
        known = {stem: sounds[stem] for stem in self.info.stems if stem in sounds}
        first = next(iter(known.values()))
        for stem, sound in known.items():
            if (sound.sample_rate, sound.samples.shape) != (first.sample_rate, first.samples.shape):
                raise AudioError(
                    f"The given stem {stem!r} is {sound!r} ({sound.length_samples} samples), and another is {first!r} "
                    f"({first.length_samples}): one rate, channel count and length is wanted."
                )
        if not first.length_samples:
            raise AudioError("The given stems are empty; give some sound, so that there is something to go with.")
        return known

    def _facts(
        self,
        generation: str,
        given: Sequence[str],
        generated: Sequence[str],
        seed: int,
        quality: Quality,
        sampler: ChurnedEuler,
    ) -> dict[str, Any]:
        return {
            "method": self.info.name,
            "model": plain(dict(self.facts)),
            "generation": generation,
            "given": list(given),
            "generated": list(generated),
            "seed": seed,
            "quality": quality,
            "settings": plain({"sampler": sampler.model_dump(), "schedule": self.prior.config.generation.model_dump()}),
            "versions": versions(self),
        }


@cache
def shipped_generator() -> MsdmGenerator:
    """The generator of the shipped weights; raises CheckpointError where there are none."""
    from .separator import build_projected

    return build_projected().generator()


def generate(seconds: float, seed: int = 0, *, generator: MsdmGenerator | None = None, **options: Any) -> Stems:
    """All stems of a piece of music, made of nothing by the shipped prior; see `MsdmGenerator.generate`."""
    return (generator or shipped_generator()).generate(seconds, seed=seed, **options)


def arrange(
    given: Mapping[str, Any],
    generate: Sequence[str] | None = None,
    *,
    generator: MsdmGenerator | None = None,
    **options: Any,
) -> Stems:
    """The given stems, untouched, with others that go with them; see `MsdmGenerator.arrange`."""
    return (generator or shipped_generator()).arrange(given, generate, **options)


def inpaint(
    given: Mapping[str, Any],
    start_seconds: float,
    end_seconds: float,
    *,
    generator: MsdmGenerator | None = None,
    **options: Any,
) -> Stems:
    """The given stems with a stretch of time made anew; see `MsdmGenerator.inpaint`."""
    return (generator or shipped_generator()).inpaint(given, start_seconds, end_seconds, **options)
