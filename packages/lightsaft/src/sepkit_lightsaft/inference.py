"""The network rebuilt for speed: norms folded, work shared between stems, frequency-major channels-last maps.

Maps are stored `b f n c` (a channels-last `b c f n`), so that every convolution reads its native layout *and* the
linear layers over frequency are plain matrix products W (r f) @ X (f, n c), without a transpose in between.
"""

from __future__ import annotations

from collections.abc import Iterator
from copy import deepcopy
from itertools import product
from typing import cast

import torch
import torch.nn.functional as F
from einops import rearrange, repeat
from torch import Tensor, nn

from .blocks import LaSaftTransform, LightSaftTransform, Tfc
from .folding import clamped, fold_conv
from .network import LightSaft, SaftBlock

# Elements of one map that pass through the network together on a CPU: larger maps leave the cache, and blocks above
# 32 MB come from fresh pages of the system on every allocation, which costs more than the batching saves.
CPU_MAP_ELEMENTS = 2**22
DEVICE_MAP_ELEMENTS = 2**28
CPU_STRETCH_ELEMENTS = 2**20  # of one map inside a dense block, whose five or six maps then stay in the last cache
CPU_TILE_ELEMENTS = 2**19  # of the widest product inside a frequency transform: 2 MB stay in the second-level cache
DEVICE_TILE_ELEMENTS = 2**27


def fuse(network: LightSaft) -> FusedLightSaft:
    """The same function as `network.eval()` (to 1e-5), several times faster; the weights are copied."""
    return FusedLightSaft(network)


def _stored(tensor: Tensor) -> nn.Parameter:
    return nn.Parameter(tensor.detach().float().clone(memory_format=torch.preserve_format), requires_grad=False)


def _rows(**values: Tensor) -> nn.ParameterDict:
    """Per-channel values (c) by name."""
    return nn.ParameterDict({name: _stored(value) for name, value in values.items()})


def _kernel(weight: Tensor) -> nn.Parameter:
    """A convolution kernel o i n f, turned to our frequency-major maps (o i f n) and to channels-last memory."""
    turned = rearrange(weight, "o i n f -> o i f n")
    return _stored(turned.contiguous(memory_format=torch.channels_last))


def _conv_and_norm(layer: nn.Module) -> tuple[nn.Conv2d | nn.ConvTranspose2d, nn.BatchNorm2d]:
    """The first two of a sequence: a convolution and its norm."""
    conv, norm, *_ = cast(nn.Sequential, layer)
    return cast(nn.Conv2d, conv), cast(nn.BatchNorm2d, norm)


class FoldedConv(nn.Module):
    """A convolution, plain or transposed, with its batch norm inside: b c f n -> b c f n."""

    def __init__(self, layer: nn.Module):
        super().__init__()
        conv, norm = _conv_and_norm(layer)
        weight, bias = fold_conv(conv, norm)
        self.transposed = isinstance(conv, nn.ConvTranspose2d)
        self.weight, self.bias = _kernel(weight), _stored(bias)
        self.stride = (conv.stride[1], conv.stride[0])

    def forward(self, x: Tensor) -> Tensor:
        convolve = F.conv_transpose2d if self.transposed else F.conv2d
        return convolve(x, self.weight, self.bias, stride=self.stride)


class FoldedTfc(nn.Module):
    """The dense block without concatenation: a convolution of a concatenation is the sum of its parts' convolutions.

    `inputs` is the number of maps that the block reads (two in a decoder: upsampled and skip).
    """

    def __init__(self, tfc: Tfc, inputs: int):
        super().__init__()
        self.kernels = nn.ModuleList()
        self.biases = nn.ParameterList()
        for j, layer in enumerate(tfc.layers):
            weight, bias = fold_conv(*_conv_and_norm(layer))
            # in the concatenation: newest output, ..., oldest output, inputs; here: inputs, oldest, ..., newest
            newest_first = torch.split(weight, weight.shape[0], dim=1)
            ordered = [*newest_first[j:], *reversed(newest_first[:j])]
            assert len(ordered) == inputs + j
            self.kernels.append(nn.ParameterList(_kernel(part) for part in ordered))
            self.biases.append(_stored(bias))
        self.channels = len(self.biases[0])

    def forward(self, *maps: Tensor) -> Tensor:
        if maps[0].device.type != "cpu" or maps[0][:, :1].numel() * self.channels <= CPU_STRETCH_ELEMENTS:
            return self._dense(*maps)
        batch, frequencies, frames = maps[0].shape[0], maps[0].shape[2], maps[0].shape[3]
        out = maps[0].new_empty(batch, frequencies, frames, self.channels)
        out = rearrange(out, "b f n c -> b c f n")
        for item, place, seen, kept in self._stretches(batch, frequencies, frames):
            part = self._dense(*(x[item, :, seen] for x in maps))
            out[item, :, place] = part[:, :, kept]
        return out

    def _stretches(self, batch: int, frequencies: int, frames: int) -> Iterator[tuple[slice, slice, slice, slice]]:
        """Stretches of frequency, one item each: its item and place, what it must see, and what of that is kept.

        A 3x3 convolution sees one more bin on either side, so a stretch sees as many more as there are layers.
        """
        margin = len(self.kernels)
        length = max(CPU_STRETCH_ELEMENTS // (self.channels * frames), 8 * margin)
        for item, start in product(range(batch), range(0, frequencies, length)):
            stop = min(start + length, frequencies)
            low, high = max(start - margin, 0), min(stop + margin, frequencies)
            yield slice(item, item + 1), slice(start, stop), slice(low, high), slice(start - low, stop - low)

    def _dense(self, *maps: Tensor) -> Tensor:
        known = list(maps)
        for layer, bias in zip(self.kernels, self.biases, strict=True):
            first, *rest = cast(nn.ParameterList, layer)
            total = F.conv2d(known[0], first, bias, padding=1)
            for x, kernel in zip(known[1:], rest, strict=True):
                total += F.conv2d(x, kernel, padding=1)
            known.append(total.relu_())
        return known[-1]


class FoldedTransform(nn.Module):
    """LightSAFT or LaSAFT with folded norms, in tiles of columns that stay in cache.

    forward(x b f m, attention b s l) -> one map b f m per stem, with the input added, which is overwritten; m runs over
    (n c).
    """

    def __init__(self, transform: LightSaftTransform | LaSaftTransform):
        super().__init__()
        self.light = isinstance(transform, LightSaftTransform)
        self.latent_sources = transform.latent_sources
        expand = transform.expand.weight.detach()
        if not self.light:  # feature-major values become source-major, so that the mix is one matrix product
            expand = rearrange(expand, "(f l) r -> (l f) r", l=self.latent_sources)
        self.compress, self.expand = _stored(transform.compress.weight), _stored(expand)
        first, second = clamped(transform.compress_norm), clamped(transform.expand_norm)
        self.first, self.second = _rows(**vars(first)), _rows(**vars(second))
        # LightSAFT's second norm comes behind a product that is linear over channels: its scale goes in front of it
        self.joint = _rows(scale=first.scale * second.scale, shift=first.shift * second.scale)

    def forward(self, x: Tensor, attention: Tensor) -> list[Tensor]:
        # x is not needed behind its own columns, so the last stem's result takes its place
        outputs = [*(torch.empty_like(x) for _ in range(attention.shape[1] - 1)), x]
        channels = self.joint["scale"].shape[0]
        for columns in self._tiles(x, channels):
            part = x[:, :, columns]
            added = self._tile(part, attention, part.shape[2] // channels)
            for output, stem in zip(outputs, added.unbind(1), strict=True):
                torch.add(part, stem, out=output[:, :, columns])
        return outputs

    def _tile(self, x: Tensor, attention: Tensor, frames: int) -> Tensor:
        """What the transform adds to a tile b f m for each stem: b s f m."""

        def row(values: Tensor) -> Tensor:
            return values.repeat(frames)  # (n c), as the tile's columns

        batch, stems = attention.shape[:2]
        hidden = torch.bmm(self.compress.expand(batch, -1, -1), x)
        hidden = torch.clamp(hidden, row(self.first["low"]), row(self.first["high"]), out=hidden)
        if self.light:
            mixed = self._mixed(hidden, attention)
            mixed = torch.addcmul(row(self.joint["shift"]), mixed, row(self.joint["scale"]))
            flat = rearrange(mixed, "b s k m -> (b s) k m")
            expand = self.expand.expand(batch * stems, -1, -1)
            wide = torch.baddbmm(row(self.second["shift"]), expand, flat).relu_()
            return rearrange(wide, "(b s) f m -> b s f m", s=stems)
        hidden = torch.addcmul(row(self.first["shift"]), hidden, row(self.first["scale"]))
        wide = torch.bmm(self.expand.expand(batch, -1, -1), hidden)
        wide = torch.clamp(wide, row(self.second["low"]), row(self.second["high"]), out=wide)
        return torch.addcmul(row(self.second["shift"]), self._mixed(wide, attention), row(self.second["scale"]))

    def _mixed(self, latent: Tensor, attention: Tensor) -> Tensor:
        """Mix latent sources for each stem: b (l k) m, b s l -> b s k m."""
        columns = latent.shape[2]
        flat = rearrange(latent, "b (l k) m -> b l (k m)", l=self.latent_sources)
        return rearrange(torch.bmm(attention, flat), "b s (k m) -> b s k m", m=columns)

    def _tiles(self, x: Tensor, channels: int) -> Iterator[slice]:
        rows = max(self.compress.shape[0], self.expand.shape[0])
        budget = CPU_TILE_ELEMENTS if x.device.type == "cpu" else DEVICE_TILE_ELEMENTS
        width = max(budget // (x.shape[0] * rows * channels), 1) * channels
        return (slice(start, start + width) for start in range(0, x.shape[2], width))


class FoldedBlock(nn.Module):
    """One encoder, middle or decoder block: TFC, gate in decoders, frequency transform as a residual."""

    def __init__(self, block: SaftBlock, inputs: int):
        super().__init__()
        self.tfc = FoldedTfc(block.tfc, inputs)
        self.attention = deepcopy(block.attention)
        self.transform = FoldedTransform(block.transform)

    def transformed(self, x: Tensor, embeddings: Tensor) -> list[Tensor]:
        """Map b c f n and embeddings b s d -> one map b c f n per stem."""
        attention = self.attention(rearrange(embeddings, "b s d -> (b s) d"))
        attention = rearrange(attention, "(b s) l -> b s l", b=len(embeddings))
        frames = x.shape[3]
        outputs = self.transform(rearrange(x, "b c f n -> b f (n c)"), attention)
        return [rearrange(output, "b f (n c) -> b c f n", n=frames) for output in outputs]

    def forward(self, *maps: Tensor, embedding: Tensor, gate: tuple[Tensor, Tensor] | None = None) -> Tensor:
        x = self.tfc(*maps)
        if gate is not None:
            x = _gated(x, *gate)
        [x] = self.transformed(x, rearrange(embedding, "b d -> b 1 d"))
        return x


def _gated(x: Tensor, gamma: Tensor, beta: Tensor) -> Tensor:
    """sigmoid(x * gamma + beta) * x, in place on x: b c f n, gamma b c o, beta b o."""
    pixels = rearrange(x, "b c f n -> b (f n) c")
    return rearrange(
        pixels.mul_(torch.baddbmm(rearrange(beta, "b o -> b 1 o"), pixels, gamma).sigmoid_()),
        "b (f n) c -> b c f n",
        n=x.shape[3],
    )


class FusedLightSaft(nn.Module):
    """`LightSaft` for inference only; built by `fuse`.

    `forward` has the arguments of `LightSaft`; `stems` serves several stems of the same input and does what they have
    in common once: the first convolution, the first encoder's TFC and its transform up to the attention.
    """

    def __init__(self, network: LightSaft):
        super().__init__()
        self.config = network.config
        self.embedding = deepcopy(network.embedding)
        self.generator = deepcopy(network.generator)
        self.first = FoldedConv(network.first)
        self.encoders = nn.ModuleList(FoldedBlock(cast(SaftBlock, block), inputs=1) for block in network.encoders)
        self.downs = nn.ModuleList(FoldedConv(down) for down in network.downs)
        self.middle = FoldedBlock(network.middle, inputs=1)
        self.ups = nn.ModuleList(FoldedConv(up) for up in network.ups)
        self.decoders = nn.ModuleList(FoldedBlock(cast(SaftBlock, block), inputs=2) for block in network.decoders)
        assert network.last.bias is not None
        self.last_weight, self.last_bias = _kernel(network.last.weight), _stored(network.last.bias)
        self.requires_grad_(False)
        self.eval()

    def embed(self, condition: Tensor) -> Tensor:
        """Stem indices (b) or soft stem weights (b s) -> embeddings (b d)."""
        if condition.dim() == 1:
            return F.embedding(condition.long(), self.embedding.weight)
        return condition.to(self.embedding.weight.dtype) @ self.embedding.weight

    def train(self, mode: bool = True) -> FusedLightSaft:
        """Stays in evaluation mode: there is nothing left to train."""
        return super().train(False)

    @torch.no_grad()
    def forward(self, features: Tensor, condition: Tensor) -> Tensor:
        """features b c n f, condition b or b s -> b o n f, as `LightSaft.forward` in evaluation mode."""
        embedding = self.embed(condition)
        items = self._items(features)
        parts = zip(torch.split(features, items), torch.split(embedding, items), strict=True)
        return torch.cat([self._separated(x, rearrange(d, "b d -> b 1 d"), items) for x, d in parts])[:, 0]

    @torch.no_grad()
    def stems(self, features: Tensor, conditions: Tensor) -> Tensor:
        """Every stem of every input: features b c n f, conditions s (or soft, s k) -> b s o n f."""
        embedding = self.embed(conditions)
        items = self._items(features)
        parts = torch.split(features, max(items // len(embedding), 1))
        return torch.cat([self._separated(x, repeat(embedding, "s d -> b s d", b=len(x)), items) for x in parts])

    def _items(self, features: Tensor) -> int:
        """How many maps may pass together."""
        limit = CPU_MAP_ELEMENTS if features.device.type == "cpu" else DEVICE_MAP_ELEMENTS
        return max(limit // (self.config.channels * features.shape[2] * self.config.frequencies), 1)

    def _separated(self, features: Tensor, embeddings: Tensor, items: int) -> Tensor:
        """features b c n f, embeddings b s d -> b s o n f, at most `items` maps at a time behind the shared part."""
        frames, batch = features.shape[2], features.shape[0]
        x = F.pad(features, (0, 0, 0, -frames % self.config.time_multiple))
        x = rearrange(x, "b c n f -> b c f n").contiguous(memory_format=torch.channels_last)
        outermost = cast(FoldedBlock, self.encoders[0])
        shared = outermost.transformed(outermost.tfc(self.first(x).relu_()), embeddings)  # s maps b c f n
        together = max(items // batch, 1)  # stems that pass the widest level at once
        skips = [torch.cat(shared[i : i + together]) for i in range(0, len(shared), together)]
        embedding = rearrange(embeddings, "b s d -> (s b) d")
        gamma, beta = self.generator(embedding)
        x = self._inside(torch.cat([self.downs[0](skip) for skip in skips]), embedding, gamma, beta)
        behind = (torch.split(y, len(skips[0])) for y in (x, embedding, gamma[:, -1], beta[:, -1]))
        parts = zip(*behind, skips, strict=True)
        outputs = [self._outermost(x, skip, d, (g, b)) for x, d, g, b, skip in parts]
        return rearrange(torch.cat(outputs)[..., :frames], "(s b) o f n -> b s o n f", b=batch)

    def _inside(self, x: Tensor, embedding: Tensor, gamma: Tensor, beta: Tensor) -> Tensor:
        """All levels but the widest, where maps are small enough to batch every stem: b c f n -> b c f n."""
        skips = []
        for encoder, down in zip(self.encoders[1:], self.downs[1:], strict=True):
            skips.append(encoder(x, embedding=embedding))
            x = down(skips[-1])
        x = self.middle(x, embedding=embedding)
        for i, (decoder, up) in enumerate(zip(self.decoders[:-1], self.ups[:-1], strict=True)):
            x = decoder(up(x), skips.pop(), embedding=embedding, gate=(gamma[:, i], beta[:, i]))
        return x

    def _outermost(self, x: Tensor, skip: Tensor, embedding: Tensor, gate: tuple[Tensor, Tensor]) -> Tensor:
        x = self.decoders[-1](self.ups[-1](x), skip, embedding=embedding, gate=gate)
        return F.conv2d(x, self.last_weight, self.last_bias, padding=(1, 0))
