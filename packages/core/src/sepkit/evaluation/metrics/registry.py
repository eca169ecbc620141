"""What tables must know of a metric: which way it points, what it is counted in, and between which ends."""

from __future__ import annotations

from math import inf
from typing import NamedTuple


class Metric(NamedTuple):
    """A metric's name, unit ("" for a plain number), direction, ends, and definition in a line."""

    name: str
    unit: str
    higher_is_better: bool
    lowest: float
    highest: float
    definition: str


def _bss4(measure: str, what: str) -> Metric:
    name = f"{measure}_bss4_median"
    return Metric(name, "dB", True, -inf, inf, f"BSS Eval v4: {what}, median over windows of 1 s")


METRICS: dict[str, Metric] = {
    metric.name: metric
    for metric in (
        Metric("sdr_mdx", "dB", True, -inf, inf, "10 log10((Σs² + 1e-7) / (Σ(s−e)² + 1e-7)) over the whole track"),
        _bss4("sdr", "reference to all that differs from it"),
        _bss4("isr", "reference to errors of place and timbre"),
        _bss4("sir", "target to sounds of other stems"),
        _bss4("sar", "all that comes from stems to all that comes from none"),
        Metric("si_sdr", "dB", True, -inf, inf, "SDR against the best scaled reference, over the whole track"),
        Metric(
            "si_sdri_4s",
            "dB",
            True,
            -inf,
            inf,
            "SI-SDR less the mixture's, mean over 4 s windows with two stems sounding",
        ),
        Metric(
            "si_sdri_4s_active", "dB", True, -inf, inf, "si_sdri_4s over the windows in which the stem itself sounds"
        ),
        Metric(
            "log_wmse", "", True, -inf, 73.683, "−4 ln of the error's power as ears hear it, relative to the mixture"
        ),
        Metric("l1_freq", "", True, 0.0, 100.0, "100 / (1 + 10 · mean difference of STFT magnitudes)"),
        Metric("bleedless", "", True, 0.0, 100.0, "100 / (1 + mean excess over the reference's mel spectrogram in dB)"),
        Metric("fullness", "", True, 0.0, 100.0, "100 / (1 + mean lack under the reference's mel spectrogram in dB)"),
        Metric(
            "mrstft", "", False, 0.0, inf, "spectral convergence + log magnitude error, mean over three resolutions"
        ),
    )
}

LEVEL_FREE = {"si_sdr", "si_sdri_4s", "si_sdri_4s_active", "sir_bss4_median", "sar_bss4_median"}
"""Metrics that do not see how loud an estimate is beside its reference."""
