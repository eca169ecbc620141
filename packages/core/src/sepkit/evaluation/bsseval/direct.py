"""Energies of a window from its signals, where correlations would lose them in round-off (SAR above some 65 dB).

The window's parts are filtered in blocks by FFT, overlap-save, and squared in time: nothing cancels, and the memory
does not depend on the window's length.
"""

from __future__ import annotations

import numpy as np
from scipy import fft

from .energies import PARTS, part_filters
from .passes import Material
from .projections import Projections
from .signals import Array, gathered

BLOCK_SAMPLES = 1 << 15


def direct_energies(material: Material, window: tuple[int, int], found: Projections, wanted: list[int]) -> Array:
    """Energies of the five parts for the wanted pairs of a window: p 5."""
    start, stop = window
    history = material.lags - 1
    step = max(BLOCK_SAMPLES, material.lags)
    step = min(step, stop - start + history)
    size = fft.next_fast_len(step + history, real=True)
    spectra = [[fft.rfft(one, n=size, axis=0) for one in part_filters(found, material.pairs, pair)] for pair in wanted]
    sums = np.zeros((len(wanted), PARTS))
    for first in range(start, stop + history, step):
        last = min(first + step, stop + history)
        rows = np.zeros((2 * material.rows, size))  # samples first - history .. last - 1 of the window, zero outside
        low, high = max(start, first - history), min(stop, last)
        if low < high:
            gathered(material.read(low, high), rows[:, low - first + history :])
        inputs = fft.rfft(rows[: material.rows])
        for index, pair in enumerate(wanted):
            outputs = _outputs(inputs, spectra[index], size)[:, :, history : history + last - first]
            estimate = material.pairs[pair][1] * material.channels + material.rows
            heard = rows[estimate : estimate + material.channels, history : history + last - first]
            for part, signal in enumerate([*outputs, heard - outputs[3]]):
                sums[index, part] += np.einsum("ct,ct->", signal, signal)
    return sums


def _outputs(inputs: Array, filters: list[Array], size: int) -> Array:
    """Outputs of filters f a c to inputs a f: 4 c t. A channel without taps costs nothing."""
    outputs = []
    for spectrum in filters:
        used = np.flatnonzero(np.abs(spectrum).max(axis=(0, 2)) > 0)
        outputs.append(np.einsum("fac,af->cf", spectrum[:, used], inputs[used]))
    return np.asarray(fft.irfft(np.stack(outputs), n=size))
