"""What a conformance case is, and how a function becomes one or several."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from ..subject import Subject

Check = Callable[[Subject], None]


@dataclass(frozen=True)
class Case:
    """One law that every separator keeps: `check` raises when it doesn't."""

    name: str  # an identifier: the kit's test method is called test_<name>
    law: str
    check: Check


class CaseList:
    """Cases in the order in which they are defined; `case` and `sweep` are its decorators."""

    def __init__(self) -> None:
        self.cases: list[Case] = []

    def case(self, check: Check) -> Check:
        """Add a function as the case of its name; its docstring is the law."""
        self.cases.append(Case(check.__name__, (check.__doc__ or "").strip(), check))
        return check

    def sweep(self, values: Mapping[str, Any]) -> Callable[[Callable[[Subject, Any], None]], Callable[..., None]]:
        """Add a function of (subject, value) as one case for each value, named <function>_<key>."""

        def add(check: Callable[[Subject, Any], None]) -> Callable[..., None]:
            for key, value in values.items():
                law = f"{(check.__doc__ or '').strip()} [{key.replace('_', ' ')}]"
                self.cases.append(Case(f"{check.__name__}_{key}", law, _bound(check, value)))
            return check

        return add


def _bound(check: Callable[[Subject, Any], None], value: Any) -> Check:
    return lambda subject: check(subject, value)
