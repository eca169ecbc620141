"""All conformance cases, in the order in which they run: from what breaks first to what is subtle."""

from __future__ import annotations

from .case import Case as Case
from .formats import FORMATS
from .refusals import REFUSALS
from .repeatability import REPEATABILITY
from .results import RESULTS

CASES: tuple[Case, ...] = (*RESULTS.cases, *FORMATS.cases, *REPEATABILITY.cases, *REFUSALS.cases)
