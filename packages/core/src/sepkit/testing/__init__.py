"""The kit that plugin authors inherit, and tiny methods to test hosts and tools with."""

from __future__ import annotations

from .conformance import CaseResult as CaseResult
from .conformance import SeparatorConformance as SeparatorConformance
from .conformance import run_conformance as run_conformance
