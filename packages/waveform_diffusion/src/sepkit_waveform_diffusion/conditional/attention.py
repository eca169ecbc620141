"""Self-attention over frames, and the rotary transformer at the conditioner's bottleneck."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

ROTARY_BASE = 10_000.0


class SelfAttention(nn.Module):
    """Residual multi-head attention over time, in PyTorch's fused form: b d n -> b d n.

    Serves as an item of a-unet too, which hands every item its level's features beside the frames.
    """

    def __init__(self, channels: int, heads: int, head_features: int, *, rotary: bool = False):
        super().__init__()
        self.heads, self.rotary = heads, rotary
        self.norm = nn.LayerNorm(channels)
        self.to_qkv = nn.Linear(channels, 3 * heads * head_features, bias=False)
        self.to_out = nn.Linear(heads * head_features, channels, bias=False)

    def forward(self, x: Tensor, *_: Any) -> Tensor:
        qkv = self.to_qkv(self.norm(rearrange(x, "b d n -> b n d")))
        q, k, v = rearrange(qkv, "b n (three h e) -> three b h n e", three=3, h=self.heads)
        if self.rotary:
            q, k = rotated(q), rotated(k)
        found = rearrange(F.scaled_dot_product_attention(q, k, v), "b h n e -> b n (h e)")
        return x + rearrange(self.to_out(found), "b n d -> b d n")


class Transformer(nn.Module):
    """Layers of rotary attention and a feed-forward part of four times the width, each residual: b d n -> b d n.

    Between projections to its own width, so that a wide bottleneck can have a slim transformer; the whole is residual.
    """

    def __init__(self, channels: int, width: int, layers: int, heads: int):
        super().__init__()
        self.enter, self.leave = nn.Conv1d(channels, width, 1), nn.Conv1d(width, channels, 1)
        self.attentions = nn.ModuleList(SelfAttention(width, heads, width // heads, rotary=True) for _ in range(layers))
        self.forwards = nn.ModuleList(
            nn.Sequential(nn.LayerNorm(width), nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))
            for _ in range(layers)
        )

    def forward(self, x: Tensor) -> Tensor:
        inner = self.enter(x)
        for attention, feed_forward in zip(self.attentions, self.forwards, strict=True):
            inner = attention(inner)
            inner = inner + rearrange(feed_forward(rearrange(inner, "b d n -> b n d")), "b n d -> b d n")
        return x + self.leave(inner)


def rotated(x: Tensor) -> Tensor:
    """Turn pairs of features by angles that grow with the frame (rotary embedding, Su et al. 2021): b h n e -> same."""
    frames, features = x.shape[-2:]
    rates = ROTARY_BASE ** (-torch.arange(0, features, 2, device=x.device, dtype=torch.float32) / features)
    angle = torch.arange(frames, device=x.device, dtype=torch.float32)[:, None] * rates
    cos, sin = angle.cos().to(x.dtype), angle.sin().to(x.dtype)
    first, second = x.chunk(2, dim=-1)
    return torch.cat([first * cos - second * sin, second * cos + first * sin], dim=-1)
