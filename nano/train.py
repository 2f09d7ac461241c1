"""Trains coalm-nano: `python -m nano.train --data DATA --out WORK --minutes 90 [--device cpu|cuda]`.

Muon for the layers' matrices, AdamW for embeddings and norms; the learning rate follows the share of the time budget
that has passed, constant at first and falling linearly to zero at the end, so that a slow machine ends with a finished
model too. `WORK/last.pt` is written at every report and resumed from; `--decay-from 0` with a resumed run only cools it
down. Export with `python -m nano.export`.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import time
from collections.abc import Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from tokenizers import Tokenizer
from torch import Tensor
from torch.nn import functional

from coalm_lite import dialects
from nano.checkpoints import TOKENIZER_FILES, read_checkpoint
from nano.data import Corpus, Mixture
from nano.model import Llama, ModelConfig
from nano.muon import Muon
from nano.packing import Batch, Row, batch_rows, build_tree, pack_rows
from nano.tokenizer import Encoder, save_tokenizer, train_tokenizer

HISTORY_WEIGHT = 0.15  # of predicting the conversation itself, which teaches the words
ROW_LENGTHS = (512, 1024, 2048)  # few, since each is compiled; short, since attention costs their square


@dataclass(frozen=True, slots=True)
class Options:
    """What the command line sets."""

    data: Path
    out: Path
    minutes: float
    device: str
    batch_tokens: int
    muon_rate: float
    adam_rate: float
    decay_from: float
    compile: bool
    report_s: float
    init: Path | None


def main() -> None:
    """Parses the command line and trains."""
    train(_options())


def _options() -> Options:
    parser = argparse.ArgumentParser(description="Train coalm-nano.")
    parser.add_argument("--data", type=Path, required=True, help="the data folder (multiwoz24, sgd, snips)")
    parser.add_argument("--out", type=Path, required=True, help="where checkpoints and the tokenizer go")
    parser.add_argument("--minutes", type=float, default=90.0, help="time budget of this run")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--batch-tokens", type=int, default=4096, help="tokens a step, padding included")
    parser.add_argument("--muon-rate", type=float, default=0.01)
    parser.add_argument("--adam-rate", type=float, default=0.002)
    parser.add_argument("--decay-from", type=float, default=0.5, help="share of the budget at which the decay begins")
    parser.add_argument("--no-compile", dest="compile", action="store_false")
    parser.add_argument("--report-s", type=float, default=300.0, help="seconds between reports and checkpoints")
    parser.add_argument("--init", type=Path, help="weights and tokenizer of an exported checkpoint to begin from")
    return Options(**vars(parser.parse_args()))


def train(options: Options) -> None:
    """Trains until the budget is spent; the last line printed is one JSON object."""
    torch.manual_seed(0)
    options.out.mkdir(parents=True, exist_ok=True)
    if options.init and not (options.out / "tokenizer.json").exists():
        for name in TOKENIZER_FILES:
            shutil.copyfile(options.init / name, options.out / name)
    corpus = Corpus(options.data)
    tokenizer = _tokenizer(options.out, corpus)
    model = Llama(ModelConfig()).to(options.device)
    trainer = Trainer(model, options, Encoder(tokenizer))
    trainer.resume()
    trainer.run(corpus)


def _tokenizer(out: Path, corpus: Corpus) -> Tokenizer:
    """The tokenizer in `out`, trained there when there is none."""
    path = out / "tokenizer.json"
    if not path.exists():
        texts = list(_texts(corpus))
        save_tokenizer(train_tokenizer(texts, ModelConfig().vocabulary), out)
    return Tokenizer.from_file(str(path))


def _texts(corpus: Corpus) -> Iterator[str]:
    for number, example in enumerate(corpus.examples(Mixture(), seed=0)):
        if number % 3 == 0:
            dialect = dialects.get(example.dialect)
            last = example.steps[-1]
            prompt = dialect.render(last.messages, example.tools, short=True)
            yield "".join(segment.text for segment in prompt if not segment.marker)
            yield from (dialect.render_reply(step.reply) for step in example.steps)


_worker_corpus: Corpus | None = None


def build_pass(data: Path, tokenizer_path: Path, seed: int, batch_tokens: int) -> list[list[Row]]:
    """The batches of one pass over the mixture, in random order; runs in a worker process."""
    global _worker_corpus  # noqa: PLW0603  # read once for each worker process
    os.nice(19)  # the training beside it comes first
    _worker_corpus = _worker_corpus or Corpus(data)
    encoder = Encoder(Tokenizer.from_file(str(tokenizer_path)))
    rng = np.random.default_rng(seed)
    trees = [build_tree(example, encoder, HISTORY_WEIGHT) for example in _worker_corpus.examples(Mixture(), seed)]
    # Packed in random portions, so that a row's neighbours in length differ from pass to pass.
    order = rng.permutation(len(trees))
    rows = [row for part in np.array_split(order, 4) for row in pack_rows((trees[i] for i in part), ROW_LENGTHS)]
    batches: list[list[Row]] = []
    for length in ROW_LENGTHS:
        shuffled = rng.permutation([number for number, row in enumerate(rows) if row.length == length])
        size = max(1, batch_tokens // length)
        groups = range(0, len(shuffled) - size + 1, size)  # whole groups alone: a compiled model wants fixed shapes
        batches += [[rows[i] for i in shuffled[at : at + size]] for at in groups]
    return [batches[i] for i in rng.permutation(len(batches))]


class Trainer:
    """Model, optimizers and progress; everything that a checkpoint holds."""

    def __init__(self, model: Llama, options: Options, encoder: Encoder) -> None:
        self.model, self.options, self.encoder = model, options, encoder
        self.forward = torch.compile(model, dynamic=False) if options.compile else model
        named = dict(model.named_parameters())
        embedding, output = named.pop("embed_tokens.weight"), named.pop("lm_head.weight")
        matrices = [parameter for parameter in named.values() if parameter.ndim == 2]
        vectors = [parameter for parameter in named.values() if parameter.ndim != 2]
        rate = options.adam_rate
        groups = [{"params": [embedding], "lr": 5 * rate}, {"params": [output, *vectors], "lr": rate}]
        self.optimizers: list[torch.optim.Optimizer] = [
            Muon(matrices, lr=options.muon_rate),
            torch.optim.AdamW(groups, betas=(0.9, 0.95), weight_decay=0.0),
        ]
        for optimizer in self.optimizers:
            for group in optimizer.param_groups:
                group["full_rate"] = group["lr"]
        self.passes = self.steps = self.tokens = 0
        self.started = self.reported = time.monotonic()
        self.losses: list[float] = []

    @property
    def spent(self) -> float:
        """The share of this run's budget that has passed."""
        return (time.monotonic() - self.started) / (60 * self.options.minutes)

    def run(self, corpus: Corpus) -> None:
        """Passes over the mixture until the budget is spent; the next pass is built beside the current one."""
        tokenizer = self.options.out / "tokenizer.json"
        with ProcessPoolExecutor(1) as pool:
            coming = pool.submit(build_pass, self.options.data, tokenizer, self.passes + 1, self.options.batch_tokens)
            while self.spent < 1:
                batches = self._await(coming)
                self.passes += 1
                arguments = (self.options.data, tokenizer, self.passes + 1, self.options.batch_tokens)
                coming = pool.submit(build_pass, *arguments)
                self._one_pass(batches)
            coming.cancel()
        self.report()

    def _await(self, coming: Future[list[list[Row]]]) -> list[list[Row]]:
        waited = time.monotonic()
        batches = coming.result()
        if not self.steps:
            self.started = time.monotonic()  # reading the data is not training
        print(f"pass {self.passes + 1}: {len(batches)} batches, waited {time.monotonic() - waited:.0f} s", flush=True)
        return batches

    def _one_pass(self, batches: list[list[Row]]) -> None:
        for rows in batches:
            if self.spent >= 1:
                return
            self.step(batch_rows(rows))
            if time.monotonic() - self.reported > self.options.report_s:
                self.report()

    def step(self, batch: Batch) -> None:
        """One update of the weights."""
        fraction = min(1.0, (1.0 - self.spent) / max(1e-9, 1.0 - self.options.decay_from)) * min(
            1.0, (self.steps + 1) / 30
        )
        for optimizer in self.optimizers:
            for group in optimizer.param_groups:
                group["lr"] = group["full_rate"] * max(fraction, 0.0)
        loss = self.loss(batch)
        loss.backward()  # type: ignore[no-untyped-call]  # torch
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        for optimizer in self.optimizers:
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        self.steps += 1
        self.tokens += int((batch.examples > 0).sum())
        self.losses.append(float(loss.detach()))

    def loss(self, batch: Batch) -> Tensor:
        """The weighted mean of the next tokens' cross entropy, in nats."""
        tensors = [torch.from_numpy(array).to(self.options.device) for array in (batch.tokens, batch.positions)]
        mask = visibility(batch).to(self.options.device)
        weights = torch.from_numpy(batch.weights).flatten().to(self.options.device)
        targets = torch.from_numpy(batch.targets).flatten().long().to(self.options.device)
        with self._precision():
            hidden = self.forward(*tensors, mask).flatten(0, 1)
            learnt = weights.nonzero().squeeze(1)
            logits = self.model.logits(hidden[learnt])
        each = functional.cross_entropy(logits.float(), targets[learnt], reduction="none")
        return (each * weights[learnt]).sum() / weights.sum()

    def _precision(self) -> torch.autocast | nullcontext[None]:
        return torch.autocast(self.options.device, dtype=torch.bfloat16)

    def report(self) -> None:
        """Prints progress as JSON and writes the checkpoint."""
        self.reported = time.monotonic()
        recent = self.losses[-100:]
        row = {
            "spent": round(self.spent, 4), "passes": self.passes, "steps": self.steps, "tokens": self.tokens,
            "loss": round(sum(recent) / max(1, len(recent)), 4),
        }  # fmt: skip
        print(json.dumps(row), flush=True)
        state = {
            "config": self.model.config.to_dict(), "model": self.model.state_dict(),
            "optimizers": [optimizer.state_dict() for optimizer in self.optimizers],
            "passes": self.passes, "steps": self.steps, "tokens": self.tokens,
        }  # fmt: skip
        partial = self.options.out / "last.pt.partial"
        torch.save(state, partial)
        partial.replace(self.options.out / "last.pt")

    def resume(self) -> None:
        """Goes on from `last.pt` if there is one, else begins from the weights of `--init`, if given."""
        path = self.options.out / "last.pt"
        if not path.exists():
            if self.options.init:
                self.model.load_state_dict(read_checkpoint(self.options.init))
            return
        state = torch.load(path, map_location=self.options.device)
        self.model.load_state_dict(state["model"])
        for optimizer, saved in zip(self.optimizers, state["optimizers"], strict=True):
            rates = [group["full_rate"] for group in optimizer.param_groups]
            optimizer.load_state_dict(saved)
            for group, rate in zip(optimizer.param_groups, rates, strict=True):
                group["full_rate"] = rate  # this run's, not the saved one's
        self.passes, self.steps, self.tokens = state["passes"], state["steps"], state["tokens"]


def visibility(batch: Batch) -> Tensor:
    """Mask [rows, 1, length, length]: a token sees its own example's trunk and its own branch, up to itself."""
    examples, branches = torch.from_numpy(batch.examples), torch.from_numpy(batch.branches)
    same_example = examples[:, :, None] == examples[:, None, :]
    allowed = (branches[:, None, :] == 0) | (branches[:, :, None] == branches[:, None, :])
    length = examples.shape[1]
    causal = torch.ones(length, length, dtype=torch.bool).tril()
    return (same_example & allowed & causal)[:, None]


if __name__ == "__main__":
    main()
