"""The conformance kit: one list of laws, as a pytest class that a plugin's author inherits and as a function.

from sepkit.testing import SeparatorConformance

class TestMine(SeparatorConformance):
    name = "mine"
"""

from __future__ import annotations

import time
import unittest
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from ..separator import Separator, WindowModel
from .cases import CASES, Case
from .promises import NotApplicable
from .subject import Subject


@dataclass(frozen=True)
class CaseResult:
    """How one case went: `law` is what it checks, `reason` why it failed or why it does not apply."""

    case: str
    passed: bool  # True for a case that does not apply too
    seconds: float
    reason: str = ""
    applicable: bool = True
    law: str = ""


def run_conformance(
    separator: Separator | WindowModel | str,
    *,
    cases: Iterable[str] | None = None,
    on_result: Callable[[CaseResult], None] | None = None,
    **options: Any,
) -> list[CaseResult]:
    """Run the conformance cases on a separator or on the method of that name; needs no pytest.

    `cases` are names from `CASES` (None: all); `on_result` hears each result at once; `options` go to `get_separator`
    with a name. A failure is a result and never raised, nor is a separator that cannot be built.
    """
    subject = Subject.named(separator, **options) if isinstance(separator, str) else Subject(lambda: separator)
    wanted = None if cases is None else set(cases)
    results = []
    for case in CASES:
        if wanted is None or case.name in wanted:
            results.append(run_case(case, subject))
            if on_result is not None:
                on_result(results[-1])
    if isinstance(separator, str):
        subject.close()
    return results


def run_case(case: Case, subject: Subject) -> CaseResult:
    """Run one case on a subject."""
    start = time.perf_counter()
    passed, reason, applicable = True, "", True
    try:
        case.check(subject)
    except NotApplicable as why:
        reason, applicable = f"does not apply: {why}", False
    except Exception as error:  # a plugin may raise anything, and each is one failed case
        kind = "" if isinstance(error, AssertionError) else f"{type(error).__name__}: "
        passed, reason = False, f"{kind}{error}"
    return CaseResult(case.name, passed, time.perf_counter() - start, reason, applicable, case.law)


class SeparatorConformance:
    """Inherit as `class TestMine(SeparatorConformance)` with `name = "mine"`, or override `make`; pytest does the rest.

    One method `test_<case>` stands for each case; the separator is built once for the class, on the CPU, and closed
    after it. Set `test_<case> = None` in the subclass to leave a case out, with a comment that says why.
    """

    name: ClassVar[str | None] = None
    options: ClassVar[Mapping[str, Any]] = {}
    """Handed to `get_separator` with the name: `{"untrained": True}`, `{"checkpoint": folder}`."""

    _subject: ClassVar[Subject | None] = None

    def make(self) -> Separator | WindowModel:
        """Build the separator under test; the default is `get_separator(name, device="cpu", **options)`."""
        if self.name is None:
            raise NotImplementedError(f'{type(self).__name__} needs `name = "..."` or its own `make(self)`.')
        from ..registry import get_separator

        return get_separator(self.name, **{"device": "cpu", **self.options})

    @classmethod
    def teardown_class(cls) -> None:
        """Close the separator after the class's last test; pytest calls this."""
        if cls._subject is not None:
            cls._subject.close()
            cls._subject = None

    def _check(self, case: Case) -> None:
        kind = type(self)
        if "_subject" not in vars(kind) or kind._subject is None:
            kind._subject = Subject(self.make, name=self.name, options=self.options)
        try:
            case.check(kind._subject)
        except NotApplicable as why:
            raise unittest.SkipTest(str(why)) from why  # pytest's own skip, without needing pytest here


def _test_of(case: Case) -> Callable[[SeparatorConformance], None]:
    return lambda self: self._check(case)


def _add_tests(cases: Iterable[Case]) -> None:
    for case in cases:
        test = _test_of(case)
        test.__name__ = f"test_{case.name}"
        test.__qualname__ = f"{SeparatorConformance.__name__}.{test.__name__}"
        test.__doc__ = case.law
        setattr(SeparatorConformance, test.__name__, test)


_add_tests(CASES)
