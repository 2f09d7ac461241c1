"""The Llama architecture, small, in plain PyTorch, with Hugging Face's parameter names.

Covered: RMSNorm, rotary positions (half-split, as Hugging Face stores them), grouped-query attention, SwiGLU, an
untied output, an explicit attention mask and explicit positions (a packed dialogue is a tree, see nano/packing.py).
Not covered: a KV cache; llama.cpp runs the trained model.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional


@dataclass(frozen=True, slots=True)
class ModelConfig:
    """Sizes; `hidden` and `ffn` are multiples of 256, which k-quants need."""

    vocabulary: int = 4096
    hidden: int = 256
    ffn: int = 768
    layers: int = 6
    heads: int = 4
    kv_heads: int = 2
    rope_theta: float = 10000.0
    rms_epsilon: float = 1e-5
    context_tokens: int = 2048

    @property
    def head_dim(self) -> int:
        """Width of one attention head."""
        return self.hidden // self.heads

    def to_dict(self) -> dict[str, int | float]:
        """The sizes by name, as a checkpoint stores them."""
        return asdict(self)


class RMSNorm(nn.Module):
    """Root-mean-square normalisation with a learned gain."""

    def __init__(self, width: int, epsilon: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))
        self.epsilon = epsilon

    def forward(self, x: Tensor) -> Tensor:
        """`x` normalised over its last dimension, same shape."""
        return functional.rms_norm(x, (x.shape[-1],), self.weight, self.epsilon)


class Attention(nn.Module):
    """Grouped-query attention under an explicit mask."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        kv_width = config.kv_heads * config.head_dim
        self.q_proj = nn.Linear(config.hidden, config.hidden, bias=False)
        self.k_proj = nn.Linear(config.hidden, kv_width, bias=False)
        self.v_proj = nn.Linear(config.hidden, kv_width, bias=False)
        self.o_proj = nn.Linear(config.hidden, config.hidden, bias=False)

    def forward(self, x: Tensor, rotation: tuple[Tensor, Tensor], mask: Tensor) -> Tensor:
        """`x` [batch, length, hidden] after attention; `mask` [batch, 1, length, length], True where it may look."""
        query, key = self._heads(self.q_proj(x)), self._heads(self.k_proj(x))
        value = self._heads(self.v_proj(x))
        groups = self.config.heads // self.config.kv_heads
        key = rotate(key, rotation).repeat_interleave(groups, dim=1)
        value = value.repeat_interleave(groups, dim=1)
        mixed = functional.scaled_dot_product_attention(rotate(query, rotation), key, value, attn_mask=mask)
        return self.o_proj(mixed.transpose(1, 2).flatten(2))  # type: ignore[no-any-return]  # nn.Module call

    def _heads(self, x: Tensor) -> Tensor:
        return x.unflatten(-1, (-1, self.config.head_dim)).transpose(1, 2)


class FeedForward(nn.Module):
    """SwiGLU."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.gate_proj = nn.Linear(config.hidden, config.ffn, bias=False)
        self.up_proj = nn.Linear(config.hidden, config.ffn, bias=False)
        self.down_proj = nn.Linear(config.ffn, config.hidden, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """`x` [..., hidden] after the gated projection, same shape."""
        return self.down_proj(functional.silu(self.gate_proj(x)) * self.up_proj(x))  # type: ignore[no-any-return]


class Block(nn.Module):
    """One decoder layer."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.input_layernorm = RMSNorm(config.hidden, config.rms_epsilon)
        self.self_attn = Attention(config)
        self.post_attention_layernorm = RMSNorm(config.hidden, config.rms_epsilon)
        self.mlp = FeedForward(config)

    def forward(self, x: Tensor, rotation: tuple[Tensor, Tensor], mask: Tensor) -> Tensor:
        """`x` [batch, length, hidden] after the layer."""
        x = x + self.self_attn(self.input_layernorm(x), rotation, mask)
        return x + self.mlp(self.post_attention_layernorm(x))  # type: ignore[no-any-return]


class Llama(nn.Module):
    """Token ids to hidden states; `logits` turns chosen ones into next-token logits."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        self.embed_tokens = nn.Embedding(config.vocabulary, config.hidden)
        self.layers = nn.ModuleList(Block(config) for _ in range(config.layers))
        self.norm = RMSNorm(config.hidden, config.rms_epsilon)
        self.lm_head = nn.Linear(config.hidden, config.vocabulary, bias=False)
        self._initialise()

    def forward(self, tokens: Tensor, positions: Tensor, mask: Tensor) -> Tensor:
        """Hidden states [batch, length, hidden] for ids and positions [batch, length]."""
        x = self.embed_tokens(tokens)
        rotation = rotation_table(positions, self.config.head_dim, self.config.rope_theta, x.dtype)
        for layer in self.layers:
            x = layer(x, rotation, mask)
        return self.norm(x)  # type: ignore[no-any-return]  # nn.Module call

    def logits(self, hidden: Tensor) -> Tensor:
        """Logits [..., vocabulary] of hidden states [..., hidden]."""
        return self.lm_head(hidden)  # type: ignore[no-any-return]  # nn.Module call

    def _initialise(self) -> None:
        """Embeddings of deviation 0.7, projections into the residual stream and the output zero, the rest hidden^-0.5.

        So the stream begins as the token itself, which every layer can then read and copy. In a run with small
        embeddings the first layers outgrew it (stream 18, embedding 0.1 after 1,300 steps) and copying was not
        learnt; that the one caused the other was not tested apart.
        """
        for name, parameter in self.named_parameters():
            if name.startswith("embed_tokens"):
                nn.init.normal_(parameter, std=0.7)
            elif name.endswith(("o_proj.weight", "down_proj.weight", "lm_head.weight")):
                nn.init.zeros_(parameter)
            elif parameter.ndim == 2:
                nn.init.normal_(parameter, std=parameter.shape[1] ** -0.5)
        self._begin_with_positions()

    @torch.no_grad()
    def _begin_with_positions(self) -> None:
        """All embeddings share a vector, by which the first head of the first two layers looks at the token before.

        Copying needs such heads; left to chance they came late (none after 400 steps). Score of distance d:
        16 s^2 times the mean of cos(theta (d - 1)) over the fastest rotations, times the shared part.
        """
        shared = torch.randn(self.config.hidden)
        shared *= 0.7 / shared.square().mean().sqrt()
        self.embed_tokens.weight += shared
        direction = shared / shared.norm()
        half = self.config.head_dim // 2
        theta = self.config.rope_theta ** -(torch.arange(half) / half)
        ahead = torch.zeros(2, half)
        ahead[0, :6] = 6**-0.5
        behind = torch.stack((ahead[0] * theta.cos(), ahead[0] * theta.sin()))  # turned by one position
        for layer in list(self.layers)[:2]:
            attention = layer.self_attn
            assert isinstance(attention, Attention)
            for weight, pattern in ((attention.q_proj.weight, ahead), (attention.k_proj.weight, behind)):
                weight[: self.config.head_dim] *= 0.2
                weight[: self.config.head_dim] += 1.5 * torch.outer(pattern.flatten(), direction)


def rotation_table(positions: Tensor, head_dim: int, theta: float, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """Cosines and sines [batch, 1, length, head_dim] of the rotary angles at `positions`."""
    frequencies = theta ** -(torch.arange(0, head_dim, 2, device=positions.device, dtype=torch.float32) / head_dim)
    angles = positions[..., None].float() * frequencies
    angles = torch.cat((angles, angles), dim=-1)[:, None]
    return angles.cos().to(dtype), angles.sin().to(dtype)


def rotate(x: Tensor, rotation: tuple[Tensor, Tensor]) -> Tensor:
    """`x` [batch, heads, length, head_dim] turned by its position's angles (half-split pairs)."""
    cosine, sine = rotation
    first, second = x.chunk(2, dim=-1)
    return x * cosine + torch.cat((-second, first), dim=-1) * sine
