"""What can be chosen when a test is exported."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from ...config import Frozen
from .manifest import Role
from .presets import Preset


class ExportSettings(Frozen):
    """What is exported; None: the preset's own. `mid_anchor` concerns presets that have anchors."""

    preset: Literal["ismir22", "mushra"] = "ismir22"
    name: str | None = Field(default=None, pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$")  # webMUSHRA names a folder after it
    stem: str = "vocals"
    methods: tuple[str, ...] | None = None
    tracks: tuple[str, ...] | None = None
    seed: int = Field(default=0, ge=0)
    excerpts: int | None = Field(default=None, ge=1, le=100)
    seconds: float | None = Field(default=None, ge=1.0, le=60.0)
    bits: Literal[16, 24] = 16
    mid_anchor: bool = False


def anchors_of(preset: Preset, settings: ExportSettings) -> tuple[Role, ...]:
    """The anchors on every page, in no order that listeners see."""
    return (*preset.anchors, "mid_anchor") if preset.anchors and settings.mid_anchor else preset.anchors
