"""Groups of methods that can be named together."""

from __future__ import annotations

from sepkit.evaluation.methods import BY_NAME_ONLY, available_methods
from sepkit.evaluation.reference_points import REFERENCE_POINTS

ORACLES = ["ideal_ratio_mask", "wiener_oracle"]


def groups() -> dict[str, list[str]]:
    """Group name -> method names: `all`, `methods` (installed ones), `references` (points of reference), `oracles`."""
    available = available_methods()
    methods = [name for name in available if name not in REFERENCE_POINTS]
    references = [name for name in REFERENCE_POINTS if name not in BY_NAME_ONLY]
    return {"all": methods + references, "methods": methods, "references": references, "oracles": ORACLES}
