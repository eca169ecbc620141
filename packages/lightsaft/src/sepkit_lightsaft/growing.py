"""More stems for a trained network: only its embedding grows."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from einops import reduce, repeat

from sepkit.errors import OptionError

from .network import LightSaft


def grow(network: LightSaft, stems: Sequence[str]) -> LightSaft:
    """A copy of `network` that knows further `stems`, to be trained on; what it gives for the old ones is unchanged.

    A new stem starts as the mean of the old embeddings, so it sounds like a bit of everything until it is trained.
    Raises OptionError for a stem that is there already or is named twice.
    """
    names = (*network.config.stems, *stems)
    twice = next((name for name in stems if names.count(name) > 1), None)
    if twice is not None:
        raise OptionError(
            f"The stem {twice!r} would be there twice; the network has {', '.join(network.config.stems)}."
        )
    with torch.random.fork_rng():  # the first weights of the copy are replaced, so their draw must not be felt
        grown = LightSaft(network.config.model_copy(update={"stems": names}))
    state = network.state_dict()
    known = state["embedding.weight"]
    mean = reduce(known, "s d -> d", "mean")
    state["embedding.weight"] = torch.cat([known, repeat(mean, "d -> s d", s=len(stems))])
    grown.load_state_dict(state)
    return grown.to(known.device).train(network.training)
