"""How far an ONNX folder is from its checkpoint: logits against torch, tool calls against GGUF F16, speeds beside it.

usage: python benchmarks/onnx_parity.py [CHECKPOINT] [--positions 500] [--calls 200] [--rounds 5] [--append]

Needs the extra `onnx`. Makes fp32, fp16, int8 and int4 (blocks of 32 and 128) of the checkpoint and a GGUF in F16, all
in a temporary folder. Logits: of transformers' forward pass in float32 and of each engine, at the last positions of
conversations with the demo tools that nano/town_talk.py makes with seeds of its own. Calls: the requests of
nano/requests.py and first turns of further such conversations, each answered by a Session (`cra` form, greedy, one
step) on each engine; equal when name and arguments are. Speeds: prompt and single tokens, engines in turn. One JSON row
a model, and last one JSON object of all; `--append` adds it to results/onnx.jsonl.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from coalm_lite import demo, dialects
from coalm_lite.converters.gguf import Quant, convert
from coalm_lite.converters.onnx import OnnxQuant, convert_onnx
from coalm_lite.runtime.base import Cancel, Engine
from coalm_lite.runtime.llamacpp import LlamaEngine
from coalm_lite.runtime.onnx import OnnxEngine
from coalm_lite.session import Session
from coalm_lite.tools import Toolbox
from coalm_lite.types import Observation, Sampling, TextDelta, ToolCall
from rows import provenance

sys.path.insert(0, str(Path(__file__).parent.parent))

from nano.embed import METADATA
from nano.requests import REQUESTS
from nano.town_talk import conversation

CHECKPOINT = Path(__file__).parent.parent / "nano" / "checkpoint"
RESULTS = Path(__file__).parent / "results" / "onnx.jsonl"
SEEDS = 10_000_000  # far from those of training
SEQUENCES = 5
PROMPT_TOKENS, SINGLE_TOKENS = 512, 64
EXTRA = ("onnxruntime", "torch", "optimum-onnx", "transformers")
KINDS = {
    "fp32": (OnnxQuant.FP32, 32),
    "fp16": (OnnxQuant.FP16, 32),
    "int8": (OnnxQuant.INT8, 32),
    "int4 block 32": (OnnxQuant.INT4, 32),
    "int4 block 128": (OnnxQuant.INT4, 128),
}


@dataclass(frozen=True, slots=True)
class Wanted:
    """What to measure, and with how much of it."""

    positions: int
    calls: int
    rounds: int
    threads: int | None


class LogitEngine(Engine, Protocol):
    """An engine that gives the logits after many tokens at once."""

    def logits_after(self, tokens: Sequence[int], first: int, cancel: Cancel) -> Iterator[NDArray[np.float32]]: ...


def sequences(engine: Engine, count: int) -> list[list[int]]:
    """Token sequences of whole conversations, each longer than `count` and within the context."""
    dialect = dialects.get("cra")
    found: list[list[int]] = []
    seed = SEEDS
    while len(found) < SEQUENCES:
        example = conversation(random.Random(seed))
        tokens = engine.tokenize(dialect.render(example.steps[-1].messages, example.tools, True))
        if count < len(tokens) <= engine.info.context_tokens:
            found.append(tokens)
        seed += 1
    return found


def torch_logits(checkpoint: Path, texts: list[list[int]], count: int) -> NDArray[np.float32]:
    """The logits of transformers' own forward pass in float32 after each of the last `count` tokens of each text."""
    import torch
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(checkpoint, dtype=torch.float32, local_files_only=True)
    with torch.no_grad():
        rows = [model(torch.tensor([tokens])).logits[0, -count:].numpy() for tokens in texts]
    return np.concatenate(rows)


def engine_logits(engine: LogitEngine, texts: list[list[int]], count: int) -> NDArray[np.float32]:
    """The same of an engine."""
    rows = [row for tokens in texts for row in engine.logits_after(tokens, len(tokens) - count, Cancel())]
    return np.stack(rows)


def compared(base: NDArray[np.float32], other: NDArray[np.float32]) -> dict[str, float]:
    """How far `other` is from `base`."""
    p, q = log_softmax(base), log_softmax(other)
    return {
        "max_abs": float(np.abs(base - other).max()),
        "top1": float((base.argmax(1) == other.argmax(1)).mean()),
        "kl_mean": float((np.exp(p) * (p - q)).sum(1).mean()),
    }


def log_softmax(logits: NDArray[np.float32]) -> NDArray[np.float64]:
    """Logarithms of probabilities, by row."""
    shifted = logits.astype(np.float64) - logits.max(1, keepdims=True)
    result: NDArray[np.float64] = shifted - np.log(np.exp(shifted).sum(1, keepdims=True))
    return result


def requests(count: int) -> list[str]:
    """First requests of users that a call should follow."""
    texts = [text for text, _ in REQUESTS][:count]
    seed = 2 * SEEDS
    while len(texts) < count:
        first = conversation(random.Random(seed)).steps[0]
        if first.reply.calls and [message.role for message in first.messages] == ["user"]:
            texts.append(first.messages[0].text)
        seed += 1
    return texts


def replies(engine: Engine, texts: list[str]) -> list[tuple[ToolCall, ...] | str]:
    """What a session's first step gives for each text: its calls, or else its words."""
    with tempfile.TemporaryDirectory() as folder:
        tools = Toolbox(demo.tools(Path(folder) / "demo.sqlite3"))
        session = Session(engine, tools, dialect="cra", sampling=Sampling(), max_steps=1, approve=lambda _: False)
        found: list[tuple[ToolCall, ...] | str] = []
        for text in texts:
            session.reset()
            events = list(session.send(text))
            calls = tuple(event.call for event in events if isinstance(event, Observation))
            found.append(calls or "".join(event.text for event in events if isinstance(event, TextDelta)))
    return found


def speeds(engines: dict[str, Engine], tokens: list[int], rounds: int) -> dict[str, dict[str, object]]:
    """Tokens a second of a prompt and of single tokens after it, the engines in turn."""
    prompt, single = tokens[:PROMPT_TOKENS], tokens[:SINGLE_TOKENS]
    taken: dict[str, list[tuple[float, float]]] = {name: [] for name in engines}
    for _ in range(rounds + 1):
        for name, engine in engines.items():
            engine.prefill([(prompt[0] + 1) % engine.info.vocabulary_size], Cancel())  # nothing is left of the prompt
            started = time.perf_counter()
            engine.prefill(prompt, Cancel())
            middle = time.perf_counter()
            for token in single:
                engine.extend([token], Cancel())
            taken[name].append((len(prompt) / (middle - started), len(single) / (time.perf_counter() - middle)))
    return {name: _spread(pairs[1:]) if rounds else {} for name, pairs in taken.items()}  # the first round warms up


def _spread(pairs: list[tuple[float, float]]) -> dict[str, object]:
    result: dict[str, object] = {"n": len(pairs)}
    for name, values in zip(("prompt_tokens_per_s", "tokens_per_s"), zip(*pairs, strict=True), strict=True):
        result |= {name: round(statistics.median(values)), f"{name}_range": [round(min(values)), round(max(values))]}
    return result


def measure(checkpoint: Path, folder: Path, wanted: Wanted) -> dict[str, object]:
    """All rows by model."""
    gguf = folder / "model.gguf"
    convert(checkpoint, gguf, Quant.F16, metadata=METADATA)
    for name, (quant, block) in KINDS.items():
        convert_onnx(checkpoint, folder / name, quant, block=block, metadata=METADATA)
        print(f"made {name}", file=sys.stderr)
    engines: dict[str, LogitEngine] = {"gguf f16": LlamaEngine.load(gguf, threads=wanted.threads)}
    engines |= {name: OnnxEngine.load(folder / name, threads=wanted.threads) for name in KINDS}
    each = wanted.positions // SEQUENCES
    texts = sequences(engines["gguf f16"], each)
    base = torch_logits(checkpoint, texts, each)
    asked = requests(wanted.calls)
    expected = replies(engines["gguf f16"], asked)
    timed = speeds(dict(engines), max(texts, key=len), wanted.rounds)
    rows: dict[str, object] = {}
    for name, engine in engines.items():
        answers = expected if name == "gguf f16" else replies(engine, asked)
        rows[name] = {
            "positions": len(base),
            **compared(base, engine_logits(engine, texts, each)),
            "prompts": len(asked),
            "calls_made": sum(not isinstance(answer, str) for answer in answers),
            "same_as_gguf_f16": sum(map(same, expected, answers)) / len(asked),
            **timed[name],
            "size_bytes": sum(path.stat().st_size for path in (folder / name).glob("model.onnx*"))
            or gguf.stat().st_size,
        }
        print(json.dumps({"model": name, **rows[name]}))  # type: ignore[dict-item]
        engine.close()
    return rows


def same(left: tuple[ToolCall, ...] | str, right: tuple[ToolCall, ...] | str) -> bool:
    """Whether two replies make the same calls, or say the same words."""
    return left == right


def main() -> None:
    """Measure, print the rows, and the summary last."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint", nargs="?", type=Path, default=CHECKPOINT)
    parser.add_argument("--positions", type=int, default=500)
    parser.add_argument("--calls", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=5, help="of the speeds; 0 measures none")
    parser.add_argument("--threads", type=int)
    parser.add_argument("--append", action="store_true", help=f"add the summary to {RESULTS.name}")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="coalm-onnx-") as folder:
        rows = measure(
            given.checkpoint, Path(folder), Wanted(given.positions, given.calls, given.rounds, given.threads)
        )
    summary: dict[str, object] = {"benchmark": "onnx_parity", "checkpoint": given.checkpoint.name, "models": rows}
    summary |= provenance()
    summary["extra"] = {name: version(name) for name in EXTRA}
    line = json.dumps(summary)
    if given.append:
        with RESULTS.open("a", encoding="utf-8") as file:
            file.write(line + "\n")
    print(line)


if __name__ == "__main__":
    main()
