"""Loaded methods, of which the last few are kept: the next job mostly wants the same."""

from __future__ import annotations

import threading

from ..cli.request import SeparationRequest
from ..separator import Separator

KEPT = 2
LOADING = {"model", "untrained", "device", "segment_seconds", "overlap", "options", "commercial"}


class Separators:
    """Methods by the settings that they were loaded with."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._known: dict[str, Separator] = {}

    def get(self, request: SeparationRequest) -> Separator:
        """The method of a request, loaded if need be; raises what loading it raises."""
        key = request.model_dump_json(include=LOADING)
        with self._lock:  # also while loading, so that two requests do not load the same
            separator = self._known.pop(key, None) or request.separator()
            self._known[key] = separator
            while len(self._known) > KEPT:
                del self._known[next(iter(self._known))]
            return separator
