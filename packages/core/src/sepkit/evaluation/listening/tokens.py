"""Names that say nothing: what anonymous files and stimuli are called."""

from __future__ import annotations

import numpy as np

LETTERS = "bcdfghjkmnpqrstvwxz"  # no vowels: no token can hold a word, so no method's name
SIGNS = LETTERS + "23456789"
LENGTH = 10


class Tokens:
    """A stream of names without meaning, all different, that depends on the seed only.

    They begin with a letter, so that no reader of YAML takes one for a number. Who knows the seed and this code can
    tell what they name.
    """

    def __init__(self, seed: int):
        self._dice = np.random.default_rng([seed, 3])
        self._used: set[str] = set()

    def next(self) -> str:
        """A name of consonants and digits that this stream has not given before."""
        while True:
            first, *rest = self._dice.random(LENGTH)
            token = LETTERS[int(first * len(LETTERS))] + "".join(SIGNS[int(x * len(SIGNS))] for x in rest)
            if token not in self._used:
                self._used.add(token)
                return token
