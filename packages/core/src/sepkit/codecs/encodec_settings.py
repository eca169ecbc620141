"""The settings of codecs of the EnCodec class, and those of the two published ones."""

from __future__ import annotations

import os
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from ..config import Frozen, validated
from ..errors import OptionError

Name = Literal["encodec_24khz", "encodec_48khz", "seanet"]
Ratio = Annotated[int, Field(ge=1)]


class EncodecSettings(Frozen):
    """A codec of the EnCodec class (Defossez et al., arXiv 2210.13438): its network, and how sound is cut for it.

    `weights` is "random" (drawn from `seed`: for tests, and to train from), the path of a file, or "hub", which
    downloads the published ones. `segment_seconds` None encodes the whole sound at once.
    """

    name: Name = "seanet"
    weights: str
    seed: int = 0
    sample_rate: int = Field(gt=0)  # Hz
    audio_channels: int = Field(default=1, ge=1)
    dimension: int = Field(default=128, ge=1)  # features of a frame
    n_filters: int = Field(default=32, ge=1)  # doubles with each ratio
    ratios: tuple[Ratio, ...] = Field(default=(8, 5, 4, 2), min_length=1)  # of the decoder, first to last
    n_residual_layers: int = Field(default=1, ge=0)
    compress: int = Field(default=2, ge=1)  # of the residual branches
    lstm_layers: int = Field(default=2, ge=0)
    causal: bool = True
    norm: Literal["none", "weight_norm", "time_group_norm"] = "weight_norm"
    normalise: bool = False  # divide each segment by its level
    segment_seconds: float | None = Field(default=None, gt=0.0)
    overlap: float = Field(default=0.01, ge=0.0, lt=1.0)  # of a segment

    @model_validator(mode="after")
    def _possible(self) -> Self:
        if self.causal and self.norm == "time_group_norm":
            raise ValueError("norm 'time_group_norm' looks at the whole segment; wanted causal=False with it")
        if self.n_filters < self.compress:
            raise ValueError(f"compress is {self.compress}; wanted at most n_filters, {self.n_filters}")
        if self.segment_seconds is not None and self.segment_seconds * self.sample_rate < 1:
            raise ValueError(f"segment_seconds is {self.segment_seconds}, less than one sample")
        return self


PUBLISHED_SETTINGS: dict[Name, dict[str, Any]] = {
    "encodec_24khz": {"sample_rate": 24_000},
    "encodec_48khz": {
        "sample_rate": 48_000,
        "audio_channels": 2,
        "causal": False,
        "norm": "time_group_norm",
        "normalise": True,
        "segment_seconds": 1.0,
    },
}


def encodec_settings(name: Name, given: dict[str, Any]) -> EncodecSettings:
    """The settings of a codec by its name, with what is given in place of the published; raises OptionError."""
    what = f"The codec {name!r}"
    if "weights" not in given:
        raise OptionError(
            f"{what} needs weights=: the path of a file, 'hub' to download the published ones, or 'random' ones to "
            "train or to test with."
        )
    weights = given["weights"]
    path = os.fspath(weights) if isinstance(weights, os.PathLike) else weights
    settings = {**PUBLISHED_SETTINGS.get(name, {}), **given, "weights": path, "name": name}
    return validated(EncodecSettings, settings, what)
