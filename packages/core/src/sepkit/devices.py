"""Devices and precisions: what `auto` chooses and why, and whether a lower precision may be used."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, get_args

import torch
from torch import Tensor

from .errors import DeviceError, NonFiniteOutput, OptionError, nearest

Precision = Literal["fp32", "bf16", "fp16"]
DTYPES = {"bf16": torch.bfloat16, "fp16": torch.float16}
MAX_PRECISION_ERROR_DB = -40.0
"""A lower precision is allowed only while its error stays this far below the full-precision output."""

_BATCH_WINDOWS = {"cpu": 4, "mps": 4, "cuda": 16}
_OUT_OF_MEMORY = ("out of memory", "not enough memory", "can't allocate memory")


@dataclass(frozen=True, slots=True)
class DeviceChoice:
    """The device that is used, and in words why it was chosen."""

    device: torch.device
    reason: str


def choose_device(asked: str, *, movable: bool = True) -> DeviceChoice:
    """The device for `auto` (the first of cuda, mps, cpu that is there), `cpu`, `cuda`, `cuda:N` or `mps`.

    A model that is not `movable` stays on the CPU under `auto`. Raises OptionError for a name of no device, and
    DeviceError, with the reason, for one that is not here: a device that was asked for is never replaced by another.
    """
    if asked == "auto":
        return _best_device() if movable else DeviceChoice(torch.device("cpu"), "auto: the method runs on the CPU only")
    kind = asked.split(":")[0]
    if kind not in ("cpu", "cuda", "mps"):
        raise OptionError(f"device is {asked!r}: {nearest(asked, ('auto', 'cpu', 'cuda', 'mps'))}")
    try:
        device = torch.device(asked)
    except RuntimeError as error:
        raise OptionError(f"device is {asked!r}; wanted {kind} or {kind}:N with a number N.") from error
    missing = _missing(device)
    if missing:
        raise DeviceError(f"device {asked!r} was asked for, but {missing}. Use device 'auto' or 'cpu'.")
    return DeviceChoice(device, f"asked for{_device_name(device)}")


def _best_device() -> DeviceChoice:
    reasons = []
    for kind in ("cuda", "mps"):
        missing = _missing(torch.device(kind))
        if not missing:
            device = torch.device(kind)
            return DeviceChoice(device, f"auto: the first that is there of cuda, mps, cpu{_device_name(device)}")
        reasons.append(missing)
    return DeviceChoice(torch.device("cpu"), f"auto: {'; '.join(reasons)}")


def _missing(device: torch.device) -> str | None:
    """Why the device cannot be used here; None when it can."""
    if device.type == "cuda":
        if torch.version.cuda is None and torch.version.hip is None:
            return f"this torch ({torch.__version__}) was built without CUDA"
        count = torch.cuda.device_count()
        if not torch.cuda.is_available() or count == 0:
            return "no CUDA GPU or driver was found"
        if (device.index or 0) >= count:
            return f"there are only {count} CUDA devices, cuda:0 to cuda:{count - 1}"
    if device.type == "mps" and not torch.backends.mps.is_available():
        built = torch.backends.mps.is_built()
        return "no MPS device was found" if built else f"this torch ({torch.__version__}) was built without MPS"
    return None


def _device_name(device: torch.device) -> str:
    return f" ({torch.cuda.get_device_name(device)})" if device.type == "cuda" else ""


def default_batch_windows(device: torch.device) -> int:
    """How many windows go through the network at once when nothing says otherwise."""
    return _BATCH_WINDOWS.get(device.type, 1)


def check_precision(precision: str) -> Precision:
    """`precision` itself when known; raises OptionError naming the nearest otherwise."""
    for known in get_args(Precision):
        if known == precision:
            return known
    raise OptionError(f"precision is {precision!r}: {nearest(str(precision), get_args(Precision))}")


def autocast(device: torch.device, precision: Precision) -> torch.autocast:
    """The context in which a model runs at this precision; it changes nothing for fp32."""
    return torch.autocast(device.type, dtype=DTYPES.get(precision), enabled=precision in DTYPES)


def precision_error_db(run: Callable[[Precision], Tensor], precision: Precision, device: torch.device) -> float:
    """The error of `precision` on a self-test, in dB relative to what fp32 gives; -inf for none.

    `run` separates the same test window at the precision it is given. Raises DeviceError, with the measured error,
    above `MAX_PRECISION_ERROR_DB` or when the device cannot run that precision at all.
    """
    reference = run("fp32").double()
    advice = "Use precision 'fp32'."
    try:
        lowered = run(precision).double()
    except (RuntimeError, NonFiniteOutput) as error:
        if is_out_of_memory(error):
            raise
        raise DeviceError(f"precision {precision!r} cannot run on {device}: {error}. {advice}") from error
    error_power = float((lowered - reference).square().sum())
    reference_power = float(reference.square().sum())
    error_db = _decibels(error_power, reference_power)
    if not error_db <= MAX_PRECISION_ERROR_DB:  # also refuses NaN
        raise DeviceError(
            f"precision {precision!r} on {device} changes this method's output by {error_db:.1f} dB relative to fp32; "
            f"allowed are {MAX_PRECISION_ERROR_DB:.0f} dB. {advice}"
        )
    return error_db


def _decibels(power: float, reference_power: float) -> float:
    if power == 0:
        return -math.inf
    if reference_power == 0:
        return math.inf
    return 10 * math.log10(power / reference_power) if math.isfinite(power) else math.nan


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an exception says that memory ran out, on any device."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    return isinstance(error, RuntimeError) and any(words in str(error).lower() for words in _OUT_OF_MEMORY)
