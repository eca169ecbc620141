"""Runs a WindowModel on batches of windows: device, precision, shrinking when memory runs out, checks of its output."""

from __future__ import annotations

import time
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

import torch
from torch import Tensor

from .devices import DeviceChoice, Precision, autocast, is_out_of_memory
from .errors import DeviceError, NonFiniteOutput, PluginError, SepkitError
from .separator import WindowModel, WindowSettings
from .windows import Window


class ModelRunner:
    """A model on its device, called with at most `batch_windows` windows at once.

    The model gets copies, so it can change neither the user's audio nor the host's, and it runs without gradients.
    """

    def __init__(self, model: WindowModel, device: DeviceChoice, precision: Precision, batch_windows: int) -> None:
        self.model = model
        self.device = device.device
        self.precision: Precision = precision
        self.batch_windows = batch_windows  # shrinks, for good, when memory runs out
        self._move(device)

    def separate(self, windows: Sequence[Window], *, seed: int, settings: WindowSettings) -> Tensor:
        """The stems b s c t, float32 on the CPU, of windows that hold (c t) each.

        Raises NonFiniteOutput, PluginError for a wrong shape or a failing model, DeviceError when one window alone
        does not fit into memory.
        """
        results: list[Tensor] = []
        done = 0
        while done < len(windows):
            batch = windows[done : done + self.batch_windows]
            result = self._try(batch, seed, settings)
            if result is not None:
                results.append(result)
                done += len(batch)
        return torch.cat(results) if len(results) > 1 else results[0]

    def iterate(self, windows: Sequence[Window], *, seed: int, settings: WindowSettings) -> Iterator[Tensor]:
        """The improving estimates b s c t of a model that has `iterate_windows`; windows hold (c t) each."""
        iterate_windows: Any = getattr(self.model, "iterate_windows")  # noqa: B009 (optional member of the protocol)
        starts = [window.start for window in windows]
        estimates: Iterator[Tensor] | None = None
        while True:
            try:
                with torch.inference_mode(), autocast(self.device, self.precision):
                    if estimates is None:
                        batch = self._stacked(windows)
                        estimates = iter(iterate_windows(batch, starts, seed=seed, settings=settings))
                    estimate = next(estimates, None)
            except Exception as error:
                self._fail(error, windows)
            if estimate is None:
                return
            yield self._checked(estimate, windows)

    def at_precision(self, precision: Precision) -> ModelRunner:
        """The same model on the same device at another precision."""
        return ModelRunner(self.model, DeviceChoice(self.device, "the same"), precision, self.batch_windows)

    def _try(self, batch: Sequence[Window], seed: int, settings: WindowSettings) -> Tensor | None:
        """The result for a batch; None when memory ran out and `batch_windows` has been halved."""
        starts = [window.start for window in batch]
        try:
            with torch.inference_mode(), autocast(self.device, self.precision):
                output = self.model.separate_windows(self._stacked(batch), starts, seed=seed, settings=settings)
            return self._checked(output, batch)
        except Exception as error:
            if not is_out_of_memory(error) or len(batch) == 1:
                self._fail(error, batch)
            reason = f"{error}".splitlines()[0] if f"{error}" else type(error).__name__
        # Out of the except block: the traceback, and with it the memory of the failed call, is released here.
        self._shrink(len(batch), reason)
        return None

    def _shrink(self, tried: int, reason: str) -> None:
        self.batch_windows = max(1, tried // 2)
        warnings.warn(
            f"Out of memory with {tried} windows at once on {self.device} ({reason}): "
            f"going on with {self.batch_windows}. Pass batch_windows={self.batch_windows} to start there.",
            RuntimeWarning,
            stacklevel=2,
        )
        if self.device.type == "cuda":
            torch.cuda.empty_cache()

    def _stacked(self, windows: Sequence[Window]) -> Tensor:
        return torch.stack([window.samples for window in windows]).to(self.device)  # b c t

    def _fail(self, error: Exception, windows: Sequence[Window]) -> NoReturn:
        name, info = self.model.info.name, self.model.info
        if is_out_of_memory(error):
            seconds = windows[0].samples.shape[-1] / info.sample_rate
            advice = "Use device 'cpu' or a machine with more memory."
            if not info.fixed_window:
                advice = f"Use a shorter window (segment_seconds, --segment) than {seconds:.1f} s, or device 'cpu'."
            raise DeviceError(
                f"Out of memory on {self.device}: {name} cannot separate {len(windows)} window(s) of {seconds:.1f} s "
                f"at once. {advice}"
            ) from error
        if isinstance(error, SepkitError):
            raise error
        raise PluginError(
            f"The method {name!r} failed on window {windows[0].index} (from {self._time(windows[0], 0)}): "
            f"{type(error).__name__}: {error}"
        ) from error

    def _checked(self, output: object, windows: Sequence[Window]) -> Tensor:
        info = self.model.info
        channels, length_samples = windows[0].samples.shape
        wanted = (len(windows), len(info.stems), channels, length_samples)
        if not isinstance(output, Tensor) or not output.is_floating_point() or tuple(output.shape) != wanted:
            shown = f"{tuple(output.shape)} {output.dtype}" if isinstance(output, Tensor) else type(output).__name__
            raise PluginError(
                f"The method {info.name!r} returned {shown} for {len(windows)} window(s); wanted a float tensor "
                f"b s c t of shape {wanted}, one for each of its stems {', '.join(info.stems)}."
            )
        # A clone made outside inference mode is an ordinary tensor, and no buffer of the model's that it may reuse.
        result = output.detach().to("cpu", torch.float32).clone()
        if not torch.isfinite(result).all():
            self._refuse_non_finite(result, windows)
        return result

    def _refuse_non_finite(self, result: Tensor, windows: Sequence[Window]) -> NoReturn:
        b, s, c, t = (~torch.isfinite(result)).nonzero()[0].tolist()
        window, info = windows[b], self.model.info
        raise NonFiniteOutput(
            f"The method {info.name!r} returned {result[b, s, c, t].item()} for stem {info.stems[s]!r} in window "
            f"{window.index} at {self._time(window, t)} (window from {self._time(window, 0)}); wanted finite samples. "
            "Try precision 'fp32', and report it to the method's author with this position."
        )

    def _time(self, window: Window, sample: int) -> str:
        return f"{(window.start + sample) / self.model.info.sample_rate:.3f} s"

    def _move(self, device: DeviceChoice) -> None:
        move = getattr(self.model, "to", None)
        if move is None:
            if self.device.type != "cpu":
                raise DeviceError(
                    f"The method {self.model.info.name!r} runs on the CPU only (it has no `to(device)`), but the "
                    f"device is {self.device} ({device.reason}). Use device 'cpu'."
                )
            return
        try:
            move(self.device)
        except Exception as error:
            if is_out_of_memory(error):
                raise DeviceError(
                    f"The weights of {self.model.info.name!r} do not fit into the memory of {self.device}. "
                    "Use device 'cpu'."
                ) from error
            raise


@dataclass
class WindowTiming:
    """The time one window takes with given settings, by trying; the first try of all is a warm-up."""

    runner: ModelRunner
    windows: list[Window]
    seconds_per_call: float | None = None
    warm: bool = False

    def seconds_per_window(self, settings: WindowSettings) -> float:
        """Where the model says how many network calls settings need, one timing does for all settings."""
        network_calls = getattr(self.runner.model, "network_calls", None)
        if network_calls is None:
            return self._time(settings)
        calls = float(network_calls(settings))
        if self.seconds_per_call is None:
            self.seconds_per_call = self._time(settings) / calls
        return self.seconds_per_call * calls

    def _time(self, settings: WindowSettings) -> float:
        if not self.warm:
            self.runner.separate(self.windows, seed=0, settings=settings)
            self.warm = True
        started = time.perf_counter()
        self.runner.separate(self.windows, seed=0, settings=settings)
        return time.perf_counter() - started
