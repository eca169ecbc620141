"""A whole separator of a third party, held to its promises: the host can check its result, but cannot stream it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch

from .audio import Audio, Stems
from .errors import PluginError, SepkitError
from .filters.consistency import check_consistency, total
from .inputs import as_audio, check_stems
from .provenance import model_facts, plain, versions
from .separator import Consistency, Progress, Quality, Separator, SeparatorInfo

SUM_TOLERANCE = 1e-5  # of the mixture's peak


class CheckedSeparator:
    """A Separator around a plugin's own whole Separator, which checks what comes back.

    Checked are stems, rate, channels, length and finite samples, and with a `consistency` the sum; the residual and
    the provenance are filled in. Raises PluginError that names the method and the broken promise.
    """

    def __init__(self, separator: Separator) -> None:
        self.separator = separator
        self.info: SeparatorInfo = separator.info

    def separate(
        self,
        mixture: Any,
        *,
        sample_rate: int | None = None,
        stems: Sequence[str] | None = None,
        seed: int = 0,
        quality: Quality = "balanced",
        consistency: Consistency = "none",
        progress: Progress | None = None,
    ) -> Stems:
        """Separate as `HostedSeparator.separate` does, by the plugin's own means; it gets a copy of the audio."""
        audio = as_audio(mixture, sample_rate, self.info.sample_rate)
        wanted = check_stems(stems, self.info.stems, self.info.name)
        facts = self._facts() | {
            "quality": quality,
            "seed": seed,
            "consistency": check_consistency(consistency),
            "stems": list(wanted),
            "input": {
                "sample_rate": audio.sample_rate,
                "channels": audio.channels,
                "length_samples": audio.length_samples,
                "seconds": audio.seconds,
            },
        }
        if audio.length_samples == 0:
            return Stems(dict.fromkeys(wanted, audio), audio, facts)
        try:
            result = self.separator.separate(
                Audio(audio.samples, audio.sample_rate),
                stems=wanted,
                seed=seed,
                quality=quality,
                consistency=consistency,
                progress=progress,
            )
        except SepkitError:
            raise
        except Exception as error:
            raise PluginError(f"The method {self.info.name!r} failed: {type(error).__name__}: {error}") from error
        checked = self._checked(result, wanted, audio)
        residual = audio.samples - total(torch.stack([stem.samples for stem in checked.values()])[None])[0]
        if consistency != "none" and set(wanted) == set(self.info.stems):
            self._check_sum(residual, audio)
        told = result.provenance if isinstance(result, Stems) else {}
        return Stems(checked, Audio(residual, audio.sample_rate), facts | {"plugin_provenance": plain(told)})

    def provenance(self) -> dict[str, Any]:
        """What is known before a run; plain JSON."""
        return self._facts()

    def close(self) -> None:
        """Close the plugin's separator, where it can be closed."""
        close = getattr(self.separator, "close", None)
        if close is not None:
            close()

    def __enter__(self) -> CheckedSeparator:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def _facts(self) -> dict[str, Any]:
        return {
            "method": self.info.name,
            "model": model_facts(self.separator),
            "licence": self.info.licence,
            "versions": versions(self.separator),
        }

    def _checked(self, result: object, wanted: tuple[str, ...], audio: Audio) -> dict[str, Audio]:
        if not isinstance(result, Mapping) or set(result) != set(wanted):
            shown = ", ".join(map(str, result)) if isinstance(result, Mapping) else type(result).__name__
            raise self._broken(f"the stems {shown or 'none'}", f"a mapping with {', '.join(wanted)}")
        form = (audio.sample_rate, audio.channels, audio.length_samples)
        for name in wanted:
            stem = result[name]
            if not isinstance(stem, Audio):
                raise self._broken(f"a {type(stem).__name__} as stem {name!r}", "a sepkit.Audio")
            given = (stem.sample_rate, stem.channels, stem.length_samples)
            if given != form:
                raise self._broken(f"{_format(given)} for stem {name!r}", f"the mixture's {_format(form)}")
        return {name: result[name] for name in wanted}

    def _check_sum(self, residual: torch.Tensor, audio: Audio) -> None:
        left = float(residual.abs().max())
        if left > SUM_TOLERANCE * max(float(audio.samples.abs().max()), 1e-30):
            raise self._broken(f"stems that leave up to {left:.3g} of the mixture", "stems that sum to it")

    def _broken(self, given: str, wanted: str) -> PluginError:
        return PluginError(f"The method {self.info.name!r} broke its promise: it returned {given}; wanted {wanted}.")


def _format(form: tuple[int, int, int]) -> str:
    return f"{form[0]} Hz, {form[1]} channels, {form[2]} samples"
