"""Energies of a window from its signals, where correlations would lose them in round-off (SAR above some 65 dB).

The window's parts are filtered in blocks by FFT, overlap-save, and squared in time: nothing cancels, and the memory
does not depend on the window's length. An estimate that is a mix of the references (the mixture itself, say) takes
this way in every window, so the filters' spectra are kept from window to window.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import fft

from .energies import PARTS, part_filters
from .levels import Flags
from .passes import Material
from .projections import Projections
from .signals import Array, gathered

BLOCK_SAMPLES = 1 << 15
ARTEFACTS, PROJECTION = 4, 3  # of the parts: the estimate less its projection, and that


class DirectEnergies:
    """Called with a window and the wanted parts of pairs (p 5): their energies p 5, zero where not wanted."""

    def __init__(self, material: Material, found: Projections):
        self.material, self.found = material, found
        self._spectra: dict[tuple[int, int, int], tuple[NDArray[np.intp], Array]] = {}

    def __call__(self, window: tuple[int, int], wanted: Flags) -> Array:
        """`window` is its first sample and the one after its last."""
        start, stop = window
        material, history = self.material, self.material.lags - 1
        step = min(max(BLOCK_SAMPLES, material.lags), stop - start + history)
        size = fft.next_fast_len(step + history, real=True)
        sums = np.zeros((len(wanted), PARTS))
        for first in range(start, stop + history, step):
            last = min(first + step, stop + history)
            # samples first - history .. last - 1 of the window, zero outside it
            rows = np.zeros((2 * material.rows, size))
            low, high = max(start, first - history), min(stop, last)
            if low < high:
                gathered(material.read(low, high), rows[:, low - first + history :])
            inputs, kept = fft.rfft(rows[: material.rows]), slice(history, history + last - first)
            for pair in np.flatnonzero(wanted.any(1)):
                for part in np.flatnonzero(wanted[pair]):
                    signal = self._part(inputs, int(pair), int(part), size)[:, kept]
                    if part == ARTEFACTS:
                        estimate = material.pairs[pair][1] * material.channels + material.rows
                        signal = rows[estimate : estimate + material.channels, kept] - signal
                    sums[pair, part] += np.einsum("ct,ct->", signal, signal)
        return sums

    def _part(self, inputs: Array, pair: int, part: int, size: int) -> Array:
        """Outputs c t of a part's filters to spectra a f of the references; for the artefacts the projection."""
        used, spectra = self._filters(pair, min(part, PROJECTION), size)
        return np.asarray(fft.irfft(np.einsum("caf,af->cf", spectra, inputs[used]), n=size))

    def _filters(self, pair: int, part: int, size: int) -> tuple[NDArray[np.intp], Array]:
        """The channels that have taps, and the spectra of those c a f. Two threads may make the same at once."""
        key = (pair, part, size)
        if key not in self._spectra:
            filters = part_filters(self.found, self.material.pairs, pair)[part]
            used = np.flatnonzero(np.abs(filters).max(axis=(0, 2)) > 0)
            taps = np.ascontiguousarray(filters[:, used].transpose(2, 1, 0))
            self._spectra[key] = used, np.asarray(fft.rfft(taps, n=size))
        return self._spectra[key]
