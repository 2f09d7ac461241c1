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

from nano.circuits import EMBEDDING_DEVIATION, Circuits, Sizes


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
        """Projections into the residual stream zero, the rest hidden^-0.5, then the copying circuit (nano/circuits.py).

        So the stream begins as the token itself, which every layer can read and copy.
        """
        for name, parameter in self.named_parameters():
            if name.startswith("embed_tokens"):
                nn.init.normal_(parameter, std=EMBEDDING_DEVIATION)
            elif name.endswith(("o_proj.weight", "down_proj.weight")):
                nn.init.zeros_(parameter)
            elif parameter.ndim == 2:
                nn.init.normal_(parameter, std=parameter.shape[1] ** -0.5)
        self._begin_with_copying()

    @torch.no_grad()
    def _begin_with_copying(self) -> None:
        config = self.config
        circuits = Circuits(Sizes(config.hidden, config.head_dim, config.heads, config.kv_heads, config.rope_theta))
        self.embed_tokens.weight += circuits.shared_embedding()
        self.lm_head.weight.copy_(circuits.output(self.embed_tokens.weight))
        for number, layer in enumerate(self.layers):
            attention = layer.self_attn
            assert isinstance(attention, Attention)
            circuits.apply(number, attention.q_proj, attention.k_proj, attention.v_proj, attention.o_proj)


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
