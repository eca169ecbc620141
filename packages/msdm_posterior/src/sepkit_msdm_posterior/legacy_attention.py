"""Attention over frames with the layout of audio-diffusion-pytorch 0.0.43; see legacy_unet."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

EPSILON = 1e-5


class Gain(nn.Module):
    """Layer norm with a gain and no offset, over the channels: `axis` -1 of b n c, 1 of b c n."""

    def __init__(self, size: int, axis: int):
        super().__init__()
        self.axis = axis
        self.g = nn.Parameter(torch.ones(size) if axis == -1 else torch.ones(1, size, 1))

    def forward(self, x: Tensor) -> Tensor:
        centred = x - x.mean(self.axis, keepdim=True)
        power = centred.square().mean(self.axis, keepdim=True)
        return centred * (power + EPSILON).rsqrt() * self.g


class Attention(nn.Module):
    """Normed self-attention, normed again at its end: b n c -> b n c."""

    def __init__(self, width: int, heads: int, features: int):
        super().__init__()
        self.norm = Gain(width, -1)
        self.to_q = nn.Linear(width, heads * features, bias=False)
        self.to_kv = nn.Linear(width, 2 * heads * features, bias=False)
        self.attention = Mixing(width, heads, features)

    def forward(self, x: Tensor) -> Tensor:
        x = self.norm(x)
        found: Tensor = self.attention(self.to_q(x), *self.to_kv(x).chunk(2, dim=-1))
        return found


class Mixing(nn.Module):
    """Softmax attention of queries to keys, by heads, and what is made of the values."""

    def __init__(self, width: int, heads: int, features: int):
        super().__init__()
        self.heads = heads
        self.to_out = nn.Sequential(nn.Linear(heads * features, width, bias=False), Gain(width, -1))

    def forward(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        q, k, v = (rearrange(one, "b n (h d) -> b h n d", h=self.heads) for one in (q, k, v))
        mixed = F.scaled_dot_product_attention(q, k, v)
        found: Tensor = self.to_out(rearrange(mixed, "b h n d -> b n (h d)"))
        return found


class Wrapped(nn.Module):
    """A module of b n c that is given b c n; the library's own name for it is `fn`."""

    def __init__(self, fn: nn.Module):
        super().__init__()
        self.fn = fn

    def forward(self, x: Tensor) -> Tensor:
        return rearrange(self.fn(rearrange(x, "b c n -> b n c")), "b n c -> b c n")


class Transformer(nn.Module):
    """Attention and a dense part, each with a way around: b c n -> b c n."""

    def __init__(self, width: int, heads: int, features: int, multiplier: int):
        super().__init__()
        self.attention = Wrapped(Attention(width, heads, features))
        wide = multiplier * width
        self.feed_forward = nn.Sequential(
            Gain(width, 1),
            nn.Conv1d(width, wide, 1, bias=False),
            nn.GELU(),
            Gain(wide, 1),
            nn.Conv1d(wide, width, 1, bias=False),
        )

    def forward(self, x: Tensor) -> Tensor:
        x = self.attention(x) + x
        found: Tensor = self.feed_forward(x)
        return found + x
