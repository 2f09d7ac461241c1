"""The model in PyTorch: a packed tree computes what separate prompts would. Needs the extra `train`; else it skips."""

from __future__ import annotations

import random

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from nano.examples import Example
from nano.model import Llama, ModelConfig
from nano.muon import Muon, orthogonalised
from nano.packing import Row, batch_rows, build_tree
from nano.tokenizer import Encoder, train_tokenizer
from nano.town_talk import conversation
from nano.train import visibility

CONFIG = ModelConfig(vocabulary=600, hidden=64, ffn=64, layers=2, heads=2, kv_heads=1)


@pytest.fixture(scope="module")
def example() -> Example:
    return next(found for seed in range(50) if len((found := conversation(random.Random(seed))).steps) > 3)


def test_a_packed_tree_gives_the_logits_of_its_separate_paths(example: Example) -> None:
    torch.manual_seed(0)
    texts = [message.text for message in example.steps[-1].messages]
    tree = build_tree(example, Encoder(train_tokenizer(texts, CONFIG.vocabulary)), 0.1)
    model = Llama(CONFIG)
    for parameter in model.parameters():  # projections begin at zero, which would make the test vacuous
        torch.nn.init.normal_(parameter, std=0.3)
    batch = batch_rows([Row(len(tree), (tree,))])
    packed = model(torch.from_numpy(batch.tokens), torch.from_numpy(batch.positions), visibility(batch))[0]
    for branch in range(1, len(example.steps) + 1):
        last = int(np.flatnonzero(tree.branches == branch)[-1])
        seen = [i for i in range(last + 1) if tree.branches[i] in (0, branch)]
        tokens = torch.from_numpy(tree.tokens[seen])[None]
        causal = torch.ones(len(seen), len(seen), dtype=torch.bool).tril()[None, None]
        alone = model(tokens, torch.arange(len(seen))[None], causal)[0, -1]
        torch.testing.assert_close(packed[last], alone, rtol=1e-3, atol=1e-3)


def test_some_head_looks_at_the_token_before_from_the_start() -> None:
    torch.manual_seed(1)
    config = ModelConfig()
    model = Llama(config)
    x = model.layers[0].input_layernorm(model.embed_tokens(torch.randint(0, config.vocabulary, (1, 60))))
    attention = model.layers[0].self_attn
    from nano.model import rotate, rotation_table

    rotation = rotation_table(torch.arange(60)[None], config.head_dim, config.rope_theta, x.dtype)
    query, key = (rotate(attention._heads(p(x)), rotation) for p in (attention.q_proj, attention.k_proj))
    scores = query[0, 0] @ key[0, 0].T / config.head_dim**0.5
    hidden = torch.ones(60, 60, dtype=torch.bool).triu(1)
    shares = scores.masked_fill(hidden, float("-inf")).softmax(-1)
    assert shares.diagonal(-1).mean() > 0.8


def test_orthogonalised_matrices_have_singular_values_near_one() -> None:
    torch.manual_seed(2)  # a square random matrix may have values too small to reach 1 in five rounds
    for shape in ((3, 16, 48), (2, 48, 16)):
        values = torch.linalg.svdvals(orthogonalised(torch.randn(shape)))
        assert values.min() > 0.3
        assert values.max() < 1.6


def test_an_optimizer_step_lowers_a_quadratic_loss() -> None:
    weight = torch.nn.Parameter(torch.randn(8, 8))
    optimizer = Muon([weight], lr=0.1)
    before = float(weight.detach().square().sum())
    for _ in range(20):
        optimizer.zero_grad()
        (weight**2).sum().backward()
        optimizer.step()
    assert float(weight.detach().square().sum()) < before / 2
