"""Starts a model with the attention circuit that copies: previous-token heads, induction heads, copying values.

Left to chance, a model of this size did not learn to copy a name within 7 M tokens. The circuit is the one found in
trained models (Olsson et al. 2022, "In-context Learning and Induction Heads"): a head of the first layer tells every
position which token stands before it; a head further up looks for the place whose predecessor is the current token
and hands on the token found there. Starting attention from a known structure follows Trockman and Kolter 2023
("Mimetic Initialization of Self-Attention Layers"). Everything stays trainable.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

EMBEDDING_DEVIATION = 0.7
_PREVIOUS_LAYERS = (0, 1)
_INDUCTION_LAYERS = (2, 3, 4)
_SLOW_FROM = 18 / 32  # share of a head's rotations; from there on they turn slowly
_MATCH_GAIN = 3.3  # of the query and of the key: a match scores about 25, other tokens about 0 +- 5
_COPY_GAIN = 1.0
_OTHER_GAIN = 0.3  # of the heads that look about evenly everywhere as yet
_OUTPUT_GAIN = 0.03  # low, so that the first guesses are near uniform


@dataclass(frozen=True, slots=True)
class Sizes:
    """What the construction needs of the model's shape."""

    hidden: int
    head_dim: int
    heads: int
    kv_heads: int
    rope_theta: float


class Circuits:
    """Random directions of the residual stream, and the weights that read and write them.

    `hidden` must be above (1 + kv_heads) * head_dim, room for the directions that tokens are read by.
    """

    def __init__(self, sizes: Sizes) -> None:
        self.sizes = sizes
        width, dim = sizes.hidden, sizes.head_dim
        # Disjoint directions for reading a token; the first is what all embeddings share.
        basis = _orthogonal(width)
        self.shared = basis[0]
        self.token = basis[1 : 1 + dim]  # [head_dim, hidden]
        self.value = [basis[1 + dim * i : 1 + dim * (i + 1)] for i in range(1, 1 + sizes.kv_heads)]
        self.before = _orthogonal(width)[:dim]  # where the previous token is written
        self.turned = _orthogonal(width)  # copied tokens are written turned, apart from the current token

    def shared_embedding(self) -> Tensor:
        """The vector [hidden] added to every embedding; by it any position can be attended to."""
        return self.shared * EMBEDDING_DEVIATION * self.sizes.hidden**0.5

    def output(self, embedding: Tensor) -> Tensor:
        """Output weights [vocabulary, hidden] that read the turned copies of `embedding` without its shared part."""
        return _OUTPUT_GAIN * (embedding - self.shared_embedding()) @ self.turned.T

    def apply(self, layer: int, q: nn.Linear, k: nn.Linear, v: nn.Linear, o: nn.Linear) -> None:
        """Sets a layer's attention in place: its head 0 by the layer's number, and what its heads hand on."""
        dim = self.sizes.head_dim
        if layer in _PREVIOUS_LAYERS:
            ahead, behind = self._one_back()
            for weight, pattern in ((q.weight, ahead), (k.weight, behind)):
                weight[:dim] *= 0.2
                weight[:dim] += 1.5 * torch.outer(pattern, self.shared)
            if layer == 0:
                v.weight[:dim] = self.token
                o.weight[:, :dim] = self.before.T
            return
        for group, directions in enumerate(self.value):
            v.weight[group * dim : (group + 1) * dim] = directions
        written = self.turned @ torch.cat(self.value).T  # [hidden, kv_heads * head_dim]
        repeats = self.sizes.heads // self.sizes.kv_heads
        o.weight[:] = _OTHER_GAIN * written.unflatten(1, (-1, dim)).repeat_interleave(repeats, dim=1).flatten(1)
        if layer in _INDUCTION_LAYERS:
            o.weight[:, :dim] = _COPY_GAIN * written[:, :dim]
            slow = self._slow_pairs()
            q.weight[:dim], k.weight[:dim] = 0.0, 0.0
            q.weight[slow] = _MATCH_GAIN * self.token[: len(slow)]
            k.weight[slow] = _MATCH_GAIN * self.before[: len(slow)]

    def _one_back(self) -> tuple[Tensor, Tensor]:
        """Query and key [head_dim] whose score peaks one position back: fast rotations, the key turned by one."""
        half = self.sizes.head_dim // 2
        theta = self.sizes.rope_theta ** -(torch.arange(half) / half)
        ahead = torch.zeros(2, half)
        ahead[0, :6] = 6**-0.5
        behind = torch.stack((ahead[0] * theta.cos(), ahead[0] * theta.sin()))
        return ahead.flatten(), behind.flatten()

    def _slow_pairs(self) -> Tensor:
        """The rows of a head that turn by less than a radian in 200 positions, so that distance hardly counts."""
        half = self.sizes.head_dim // 2
        first = torch.arange(int(_SLOW_FROM * half), half)
        return torch.cat((first, first + half))


def _orthogonal(width: int) -> Tensor:
    return torch.linalg.qr(torch.randn(width, width)).Q
