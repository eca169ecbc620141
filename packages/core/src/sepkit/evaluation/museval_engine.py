"""BSS Eval v4 by museval itself: the field's yardstick, imported only when a recipe asks for it."""

from __future__ import annotations

import shutil
from typing import Any

import numpy as np
from einops import rearrange

from ..errors import MissingExtraError, SepkitError
from .bss_engine import BssWindows


class EngineError(SepkitError, RuntimeError):
    """A metric engine that cannot run here or refuses the material; the message says which and what to do."""


def bss_eval_v4(references: Any, estimates: Any, *, window_samples: int, hop_samples: int) -> BssWindows:
    """SDR, ISR, SIR and SAR per stem and window in dB, exactly museval's: s c t -> s n each.

    Windows in which any reference or estimate is silent are NaN for all stems.
    Raises MissingExtraError or EngineError where museval cannot be imported, and EngineError where it refuses the
    material (a source that is silent over the whole track).
    """
    bss_eval = load_museval().metrics.bss_eval
    try:
        with np.errstate(divide="ignore", invalid="ignore"):
            sdr, isr, sir, sar, _ = bss_eval(
                rearrange(np.asarray(references, dtype=np.float64), "s c t -> s t c"),
                rearrange(np.asarray(estimates, dtype=np.float64), "s c t -> s t c"),
                window=window_samples,
                hop=hop_samples,
                compute_permutation=False,
                filters_len=512,
                framewise_filters=False,
                bsseval_sources_version=False,
            )
    except ValueError as error:
        raise EngineError(f"museval refuses this track: {error}") from error
    return BssWindows(sdr, isr, sir, sar)


def load_museval() -> Any:
    """Import museval; its own imports fail without ffmpeg, even though no metric of it uses that program.

    Raises MissingExtraError without the package, EngineError without the programs, each with what to install.
    """
    try:
        import museval
    except ModuleNotFoundError as error:
        raise MissingExtraError("museval", "eval", "The recipe museval_v4") from error
    except Exception as error:  # stempeg raises a bare RuntimeError
        missing = [program for program in ("ffmpeg", "ffprobe") if shutil.which(program) is None]
        advice = (
            f"it wants the program {missing[0]} on the PATH (Debian: apt-get install ffmpeg)"
            if missing
            else f"importing it raised {type(error).__name__}: {error}"
        )
        raise EngineError(
            f"museval cannot be imported: {advice}; or take the recipe musdb18, whose numbers are the same."
        ) from error
    return museval
