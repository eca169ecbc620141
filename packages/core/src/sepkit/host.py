"""The host: wraps every method once, so that any audio goes in and the same format comes out, checked and recorded."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from types import TracebackType
from typing import Any

import torch
from torch import Tensor

from .audio import Audio, Stems
from .checked import CheckedSeparator as CheckedSeparator
from .devices import Precision, check_precision, choose_device, default_batch_windows, precision_error_db
from .errors import OptionError, PluginError, SepkitError
from .filters.consistency import check_consistency
from .inputs import as_audio, as_blocks, check_stems, whole_number
from .noise import gaussian
from .provenance import model_facts, plain, versions
from .quality import Budget, fit_budget, parse_quality
from .route import Route
from .run import Run
from .runner import ModelRunner, WindowTiming
from .samples import checked_rate
from .separator import Consistency, Progress, Quality, SeparatorInfo, WindowModel, WindowSettings
from .windows import Grid, Window

TEST_SECONDS = 2.0  # of noise, for self-tests and timing of methods without a window
DEFAULT_OVERLAP = 0.25  # of the window, for a whole-track method that is given a window


class HostedSeparator:
    """A Separator around a WindowModel: format, windows, streaming, consistency, checks and provenance.

    `device` is auto, cpu, cuda, cuda:N or mps; `precision` fp32, bf16 or fp16, the latter two only if a self-test
    allows them; `batch_windows` go through the model at once (None: by device); `segment_seconds` and `overlap`
    (fraction of the window, 0 to 1) replace the method's own window. Raises DeviceError, OptionError or PluginError.
    """

    def __init__(
        self,
        model: WindowModel,
        *,
        device: str = "auto",
        precision: str = "fp32",
        batch_windows: int | None = None,
        segment_seconds: float | None = None,
        overlap: float | None = None,
    ) -> None:
        self.info: SeparatorInfo = _checked_info(model)
        self.model = model
        _check_window_options(self.info, segment_seconds, overlap)
        self._segment_seconds = segment_seconds
        self._overlap = overlap
        self._choice = choose_device(device, movable=hasattr(model, "to"))
        self._precision: Precision = check_precision(precision)
        self._precision_error_db: float | None = None  # until the self-test has run
        if batch_windows is None:
            batch_windows = default_batch_windows(self._choice.device)
        self._batch_windows = whole_number("batch_windows", batch_windows, at_least=1)
        self._settings_as_given: dict[str, Any] = {
            "device": device, "precision": precision, "batch_windows": batch_windows,
            "segment_seconds": segment_seconds, "overlap": overlap,
        }  # fmt: skip
        self._runner = ModelRunner(model, self._choice, self._precision, self._batch_windows)
        self._closed = False

    def hosting(self, model: WindowModel) -> HostedSeparator:
        """Another model under the settings that this host was given."""
        return HostedSeparator(model, **self._settings_as_given)

    @property
    def device(self) -> torch.device:
        """The device in use."""
        return self._choice.device

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
        """Separate a path, Audio, numpy or torch array (c t) or (t) at `sample_rate` (Hz; None: the model's own).

        The stems have the mixture's rate, channels and length exactly; stems and residual sum to the mixture. With a
        `consistency` other than `none` all the stems alone do. Equal `seed`, `quality` and options give equal results.
        Raises AudioError, OptionError, UnknownNameError, NonFiniteOutput, DeviceError or PluginError.
        """
        audio = as_audio(mixture, sample_rate, self.info.sample_rate)
        pieces = self.separate_stream(
            as_blocks(audio),
            audio.sample_rate,
            audio.channels,
            audio.length_samples,
            stems=stems,
            seed=seed,
            quality=quality,
            consistency=consistency,
            progress=progress,
        )
        return collected(pieces, audio)

    def separate_stream(
        self,
        blocks: Iterable[Any],
        sample_rate: int,
        channels: int,
        length_samples: int | None = None,
        *,
        stems: Sequence[str] | None = None,
        seed: int = 0,
        quality: Quality = "balanced",
        consistency: Consistency = "none",
        progress: Progress | None = None,
    ) -> Iterator[Stems]:
        """Separate blocks (c t) of any lengths, in memory that does not grow with the track; yields stretches of stems.

        The stretches laid end to end equal `separate` of the whole bit for bit, whatever the blocks. `length_samples`,
        where known, serves progress and a time budget. A method without a window needs the whole track in memory.
        Provenance is complete in the last stretch. Raises as `separate` does, and for wrong options at once.
        """
        run = self._run(sample_rate, channels, length_samples, stems, seed, quality, consistency)
        return run.stream(blocks, length_samples, progress)

    def separate_iter(
        self,
        mixture: Any,
        *,
        sample_rate: int | None = None,
        stems: Sequence[str] | None = None,
        seed: int = 0,
        quality: Quality = "balanced",
        consistency: Consistency = "none",
        progress: Progress | None = None,
    ) -> Iterator[Stems]:
        """Improving estimates, each a complete `Stems` of the whole track; the last equals what `separate` gives.

        A method that cannot improve step by step yields its one estimate.
        """
        audio = as_audio(mixture, sample_rate, self.info.sample_rate)
        run = self._run(audio.sample_rate, audio.channels, audio.length_samples, stems, seed, quality, consistency)
        if audio.length_samples and hasattr(self.model, "iterate_windows"):
            return run.iterate(audio, progress)
        return iter([collected(run.stream(as_blocks(audio), audio.length_samples, progress), audio)])

    def predicted_seconds(self, quality: Quality, sample_rate: int, channels: int, length_samples: int) -> float:
        """How long the separation of such a track will take here, by timing one window; a budget is its own answer."""
        parsed = parse_quality(quality)
        if isinstance(parsed, Budget):
            return parsed.seconds
        timing = WindowTiming(self._runner, self._test_windows())
        route = self._route(checked_rate(sample_rate), channels, "none")
        return self._needed_seconds(timing, self._settings(parsed), route, length_samples)

    def provenance(self) -> dict[str, Any]:
        """What is known before a run: method, weights, device, precision, versions; plain JSON."""
        return {
            "method": self.info.name,
            "model": model_facts(self.model),
            "licence": self.info.licence,
            "device": str(self.device),
            "device_reason": self._choice.reason,
            "precision": self._precision,
            "precision_error_db": plain(self._precision_error_db),
            "versions": versions(self.model),
        }

    def close(self) -> None:
        """Let go of the model and its memory; the separator cannot be used after."""
        if self._closed:
            return
        self._closed = True
        close = getattr(self.model, "close", None)
        if close is not None:
            close()
        del self.model, self._runner
        if self.device.type == "cuda":
            torch.cuda.empty_cache()

    def __enter__(self) -> HostedSeparator:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _run(
        self,
        sample_rate: int,
        channels: int,
        length_samples: int | None,
        stems: Sequence[str] | None,
        seed: int,
        quality: Quality,
        consistency: Consistency,
    ) -> Run:
        """All options of a run, checked and settled."""
        if self._closed:
            raise SepkitError(f"This separator ({self.info.name}) is closed. Get a new one with get_separator.")
        sample_rate, channels = checked_rate(sample_rate), whole_number("channels", channels, at_least=1)
        seed = whole_number("seed", seed)
        wanted = check_stems(stems, self.info.stems, self.info.name)
        route = self._route(sample_rate, channels, check_consistency(consistency))
        self._test_precision()
        chosen, request = self._settled_quality(quality, route, length_samples)
        settings = self._settings(chosen)
        route = replace(route, grid=self._grid(settings))
        facts = self.provenance() | {
            "quality": chosen,
            **request,
            "settings": plain(settings.model_dump(mode="json")),
            "seed": seed,
            "consistency": route.consistency,
            "stems": list(wanted),
            "window_samples": route.grid.window_samples if route.grid else None,
            "hop_samples": route.grid.hop_samples if route.grid else None,
            "model_sample_rate": self.info.sample_rate,
            "model_channels": self.info.channels,
            "input": {"sample_rate": sample_rate, "channels": channels},
        }
        return Run(self._runner, route, wanted, seed, settings, self._batch_windows, facts)

    def _route(self, sample_rate: int, channels: int, consistency: Consistency) -> Route:
        """The way of a track of this format, whose grid is settled by the quality."""
        return Route(
            sample_rate=sample_rate,
            channels=channels,
            model_sample_rate=self.info.sample_rate,
            model_channels=self.info.channels,
            stems=self.info.stems,
            grid=None,
            consistency=consistency,
        )

    def _settings(self, quality: str | int) -> WindowSettings:
        settings = self.model.settings(quality)
        if not isinstance(settings, WindowSettings):
            raise PluginError(
                f"The method {self.info.name!r} gave {type(settings).__name__} as settings; wanted a WindowSettings."
            )
        return settings

    def _grid(self, settings: WindowSettings) -> Grid | None:
        """The grid by the host's options, or else the quality's overlap, or else the method's info."""
        info = self.info
        window_samples = info.window_samples
        if self._segment_seconds is not None:
            window_samples = max(1, round(self._segment_seconds * info.sample_rate))
        if window_samples is None:
            return None
        overlap = self._overlap if self._overlap is not None else settings.overlap
        if overlap is None:
            overlap = info.overlap_samples / info.window_samples if info.window_samples else DEFAULT_OVERLAP
        return Grid(window_samples, max(1, window_samples - round(overlap * window_samples)))

    def _settled_quality(
        self, quality: Quality, route: Route, length_samples: int | None
    ) -> tuple[str | int, dict[str, Any]]:
        """The quality to run with, and for a budget what was asked, expected and chosen."""
        parsed = parse_quality(quality)
        if not isinstance(parsed, Budget):
            return parsed, {}
        if length_samples is None:
            raise OptionError(
                f"quality is the budget {quality!r}, but the length of the track is not known. Pass length_samples, or "
                "fast, balanced, best or a number of steps."
            )
        started = time.perf_counter()
        timing = WindowTiming(self._runner, self._test_windows())

        def estimate_seconds(settings: WindowSettings) -> float:
            needed = self._needed_seconds(timing, settings, route, length_samples)
            return needed + time.perf_counter() - started if needed else 0.0

        chosen, estimates = fit_budget(parsed.seconds, self._settings, estimate_seconds)
        return chosen, {
            "budget_seconds": parsed.seconds,
            "budget_estimates_seconds": {estimate.quality: plain(estimate.seconds) for estimate in estimates},
            "budget_fits": estimates[0].seconds <= parsed.seconds,  # the cheapest; if it doesn't, nothing does
        }

    def _needed_seconds(
        self, timing: WindowTiming, settings: WindowSettings, route: Route, length_samples: int
    ) -> float:
        planned = replace(route, grid=self._grid(settings))
        windows = float(planned.window_count(length_samples))
        if windows == 0:
            return 0.0  # an empty track costs nothing, and not even a timing
        if planned.grid is None:  # one window, as long as the track: cost by length
            windows *= length_samples / route.sample_rate / TEST_SECONDS
        return windows * timing.seconds_per_window(settings)

    def _test_windows(self) -> list[Window]:
        """One window of quiet noise, as long as the method's windows are."""
        grid = self._grid(self._settings("fast"))
        length_samples = grid.window_samples if grid else round(TEST_SECONDS * self.info.sample_rate)
        return [Window(0, 0, 0.1 * gaussian(0, "host self-test", 0, length_samples, self.info.channels))]

    def _test_precision(self) -> None:
        """Refuse a lower precision whose error is too large; runs once, at the first separation."""
        if self._precision == "fp32" or self._precision_error_db is not None:
            return
        windows, settings = self._test_windows(), self._settings("fast")

        def run(precision: Precision) -> Tensor:
            return self._runner.at_precision(precision).separate(windows, seed=0, settings=settings)

        self._precision_error_db = precision_error_db(run, self._precision, self.device)


def _checked_info(model: WindowModel) -> SeparatorInfo:
    """The model's info; raises PluginError for a model that does not keep to the protocol."""
    info = getattr(model, "info", None)
    if not isinstance(model, WindowModel) or not isinstance(info, SeparatorInfo):
        raise PluginError(
            f"A {type(model).__name__} is no WindowModel: it needs `info` (a SeparatorInfo), `settings` and "
            "`separate_windows`."
        )
    if info.window_samples is not None and info.overlap_samples >= info.window_samples:
        raise PluginError(
            f"The method {info.name!r} declares overlap_samples {info.overlap_samples} for window_samples "
            f"{info.window_samples}; wanted a shorter overlap than the window."
        )
    return info


def _check_window_options(info: SeparatorInfo, segment_seconds: float | None, overlap: float | None) -> None:
    if segment_seconds is not None and not (_is_number(segment_seconds) and 0 < segment_seconds < math.inf):
        raise OptionError(f"segment_seconds is {segment_seconds!r}; wanted a number of seconds above 0.")
    if overlap is not None and not (_is_number(overlap) and 0 <= overlap < 1):
        raise OptionError(f"overlap is {overlap!r}; wanted a fraction of the window, 0 or more and below 1.")
    if segment_seconds is not None and info.fixed_window:
        raise OptionError(
            f"segment_seconds={segment_seconds} was given, but {info.name!r} works with one window length only "
            f"({info.window_samples} samples at {info.sample_rate} Hz). Leave segment_seconds out."
        )
    if overlap is not None and info.window_samples is None and segment_seconds is None:
        raise OptionError(
            f"overlap={overlap} was given, but {info.name!r} takes the whole track at once. Leave overlap out, or cut "
            "the track into windows with segment_seconds."
        )


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def collected(pieces: Iterator[Stems], audio: Audio) -> Stems:
    """Stretches of one track laid end to end, in memory that is taken once."""
    rows: dict[str | None, Tensor] = {}  # None: the residual
    provenance: dict[str, Any] = {}
    position = 0
    for piece in pieces:
        assert piece.residual is not None
        for name, part in [*piece.items(), (None, piece.residual)]:
            if name not in rows:
                rows[name] = torch.empty(audio.channels, audio.length_samples)
            rows[name][:, position : position + part.length_samples] = part.samples
        position += piece.residual.length_samples
        provenance = piece.provenance
    assert position == audio.length_samples
    residual = Audio(rows.pop(None), audio.sample_rate)
    # Audio copies, so each row is let go as soon as it is copied.
    stems = {name: Audio(rows.pop(name), audio.sample_rate) for name in list(rows) if name is not None}
    return Stems(stems, residual, provenance)
