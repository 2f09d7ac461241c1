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


def test_a_new_model_copies_what_followed_a_token_before() -> None:
    """Of 40 random tokens said twice, the second time is guessed better, before any training."""
    torch.manual_seed(1)
    config = ModelConfig()
    model = Llama(config)
    said = torch.randint(0, config.vocabulary, (8, 40))
    tokens = torch.cat((said, said), dim=1)
    causal = torch.ones(80, 80, dtype=torch.bool).tril()[None, None]
    with torch.no_grad():
        logits = model.logits(model(tokens, torch.arange(80).expand(8, 80), causal))
    loss = torch.nn.functional.cross_entropy(logits[:, :-1].flatten(0, 1), tokens[:, 1:].flatten(), reduction="none")
    first, second = loss.view(8, 79)[:, :39], loss.view(8, 79)[:, 40:]
    assert second.mean() < first.mean() - 0.5


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
