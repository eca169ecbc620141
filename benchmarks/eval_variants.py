"""What each idea for the costly step of BSS Eval gave: `python -m benchmarks.eval_variants`, half a minute, no files.

The step: correlations of one window of 1 s, four stereo stems, 512 lags (sepkit.evaluation.bsseval.correlations). All
variants compute the same; they run by turns in one thread, and the CPU times of a turn are set against each other.
"""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from unittest import mock

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np
from numpy.lib.stride_tricks import as_strided
from numpy.typing import NDArray
from scipy import fft

from sepkit.evaluation.bsseval import correlations

from .eval_speed_cases import scene

LAGS, LENGTH, X, Y = 512, 44_100, 8, 16
SIZE, BLOCKS, HOP = correlations.block_grid(LENGTH, LAGS, X, Y)
Array = NDArray[Any]


def rows(both: Array) -> Array:
    return correlations.piece_rows((both[0], both[1]), LENGTH, LAGS, X, Y)


def shipped(both: Array) -> Array:
    return correlations.piece_correlations(rows(both), LENGTH, LAGS, X)


def blocks_of(size: int) -> Callable[[Array], Array]:
    """The shipped step with another transform size."""
    count = -(-LENGTH // (size - LAGS + 1))
    grid = correlations.Grid(size, count, -(-LENGTH // count))

    def step(both: Array) -> Array:
        with mock.patch.object(correlations, "block_grid", return_value=grid):
            return shipped(both)

    return step


def fresh_arrays(both: Array) -> Array:
    correlations._workspace.__dict__.clear()
    return shipped(both)


def extended_and_padded(both: Array) -> tuple[Array, Array]:
    """Blocks with what follows them (y b t), and the references' with zeros (x b t)."""
    x = rows(both)
    extended = as_strided(x, (Y, BLOCKS, SIZE), (x.strides[0], HOP * 8, 8))
    padded = np.zeros((X, BLOCKS, SIZE))
    padded[:, :, :HOP] = extended[:X, :, :HOP]
    return extended, padded


def sixteen_transforms(both: Array) -> Array:
    """Zero-padded blocks of half the size: the spectrum of two neighbours is X_i + (-1)^f X_{i+1}."""
    hop, bins = SIZE // 2, SIZE // 2 + 1
    count = -(-LENGTH // hop)
    x = np.zeros((Y, count * hop))
    x[:, :LENGTH] = rows(both)[:, :LENGTH]
    left, right = np.empty((bins, Y, count), complex), np.empty((bins, X, count), complex)
    sign = np.where(np.arange(bins) % 2, -1.0, 1.0)[:, None]
    for row in range(Y):
        spectra = fft.rfft(x[row].reshape(count, hop), n=SIZE).T
        left[:, row] = spectra
        left[:, row, :-1] += sign * spectra[:, 1:]
        if row < X:
            np.conjugate(spectra, out=right[:, row])
    return correlations.inverse(left @ right.swapaxes(1, 2), SIZE, LAGS)


def complex_pairs(both: Array) -> Array:
    """Left and right as one complex signal; its products with z and conj(z) hold the four real correlations."""
    z = np.zeros((X, (BLOCKS - 1) * HOP + SIZE), complex)
    z[:, :LENGTH] = both.reshape(X, LENGTH, 2).view(complex)[:, :, 0]
    extended = as_strided(z, (X, BLOCKS, SIZE), (z.strides[0], HOP * 16, 16))
    half = X // 2
    left, right = np.empty((SIZE, X, BLOCKS), complex), np.empty((SIZE, X, BLOCKS), complex)
    for row in range(X):
        left[:, row] = fft.fft(extended[row]).T
    for row in range(half):
        spectra = fft.fft(extended[row, :, :HOP], n=SIZE).T
        np.conjugate(spectra, out=right[:, row])
        right[0, half + row], right[1:, half + row] = spectra[0], spectra[:0:-1]
    turned = np.ascontiguousarray((left @ right.swapaxes(1, 2)).reshape(SIZE, -1).T)
    c = fft.ifft(turned)[:, :LAGS].reshape(X, 2, half, LAGS)  # y pair, (conj x, x), x pair, k
    one, two = c[:, 0], c[:, 1]
    parts = [[one.real + two.real, one.imag + two.imag], [two.imag - one.imag, one.real - two.real]]  # x l/r, y l/r
    found = np.empty((X, 2, half, 2, LAGS))
    for a in range(2):
        for b in range(2):
            found[:, b, :, a] = parts[a][b] / 2
    return found.reshape(Y, X, LAGS)


def along_the_first_axis(both: Array) -> Array:
    """Transforms of strided columns, whose results need no turning."""
    extended, padded = extended_and_padded(both)
    left, right = fft.rfft(extended.transpose(2, 0, 1), axis=0), fft.rfft(padded.transpose(2, 0, 1), axis=0)
    return correlations.inverse(left @ np.conjugate(right).swapaxes(1, 2), SIZE, LAGS)


def real_products(both: Array) -> Array:
    """Real and imaginary parts as columns of one real product, then summed: dgemm instead of zgemm."""
    extended, padded = extended_and_padded(both)
    bins = SIZE // 2 + 1
    left, right = np.empty((bins, BLOCKS, Y), complex), np.empty((bins, BLOCKS, X), complex)
    for row in range(Y):
        left[:, :, row] = fft.rfft(extended[row]).T
    for row in range(X):
        right[:, :, row] = fft.rfft(padded[row]).T
    g = left.view(float).swapaxes(1, 2) @ right.view(float)
    products = g[:, ::2, ::2] + g[:, 1::2, 1::2] + 1j * (g[:, 1::2, ::2] - g[:, ::2, 1::2])
    return correlations.inverse(products, SIZE, LAGS)


def torch_kernels(both: Array) -> Array:
    """torch on the CPU: MKL's transforms and batched products."""
    import torch

    torch.set_num_threads(1)
    extended, padded = (torch.from_numpy(np.ascontiguousarray(x)) for x in extended_and_padded(both))
    left = torch.fft.rfft(extended).permute(2, 0, 1).contiguous()
    right = torch.fft.rfft(padded).permute(2, 1, 0).conj().resolve_conj().contiguous()
    products = torch.bmm(left, right).reshape(-1, Y * X).T.contiguous()
    return np.asarray(torch.fft.irfft(products, n=SIZE)[:, :LAGS]).reshape(Y, X, LAGS)


VARIANTS: dict[str, Callable[[Array], Array]] = {
    "shipped": shipped,
    "16 transforms per block instead of 24": sixteen_transforms,
    "stereo pairs as complex signals": complex_pairs,
    "transforms along the first axis": along_the_first_axis,
    "real instead of complex products": real_products,
    "torch (MKL) on the CPU": torch_kernels,
    "fresh arrays for every window": fresh_arrays,
    "transforms of 1,024": blocks_of(1024),
    "transforms of 4,096": blocks_of(4096),
    "transforms of 8,192": blocks_of(8192),
}


def turns(both: Array, count: int) -> Iterator[dict[str, float]]:
    """CPU seconds of every variant, turn by turn."""
    for _ in range(count):
        times = {}
        for name, variant in VARIANTS.items():
            before = time.thread_time()
            variant(both)
            times[name] = time.thread_time() - before
        yield times


@contextmanager
def announced(title: str) -> Iterator[None]:
    print(f"| {title} | ms | times the shipped one | largest difference |\n|---|---|---|---|")
    yield
    print(f"\nMedians over turns of thread CPU time; numpy {np.__version__} on one thread.")


def main() -> None:
    """Check that all variants agree, then time them by turns and print the table."""
    both = scene(4, 2, 1.0)
    wanted = shipped(both).copy()
    distances = {
        name: np.abs(variant(both) - wanted).max() / np.abs(wanted).max() for name, variant in VARIANTS.items()
    }
    all_times = list(turns(both, 25))
    with announced("variant"):
        for name in VARIANTS:
            ratio = statistics.median(times[name] / times["shipped"] for times in all_times)
            milliseconds = 1e3 * statistics.median(times[name] for times in all_times)
            print(f"| {name} | {milliseconds:.1f} | {ratio:.2f} | {distances[name]:.0e} |")


if __name__ == "__main__":
    main()
