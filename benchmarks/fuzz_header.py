"""The header check under fuzz: damaged GGUF files, and no outcome but a header or a ModelError, at little memory.

usage: python benchmarks/fuzz_header.py [--executions 200000] [--seed 0] [--keep FOLDER]

Seeds are small files written here in the form of a Llama model, and for one in fifty the header of the embedded model.
Each execution depends on the seed and its number alone; it checks the file, then reads the values in a random share of
its first bytes. Where the system can limit a process's address space, no allocation of more than 64 MiB succeeds, and
one that is asked for counts as a crash. Exit code 1 when there was one, its file in FOLDER. The last line is one JSON
object.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import tempfile
import time
import traceback
from collections import Counter
from pathlib import Path

from gguf_mutations import Pair, Parts, Tensor, damaged

from coalm_lite import models
from coalm_lite.errors import ModelError
from coalm_lite.runtime.gguf_header import read_leading_values
from coalm_lite.runtime.gguf_types import ARRAY, SCALARS, STRING
from coalm_lite.runtime.model_file import check_model_file
from rows import provenance

EMBEDDED = Path(models.__file__).parent / "coalm-nano.Q8_0.gguf"
LIMIT_BYTES = 64 << 20
EMBEDDED_SHARE = 0.02
_UINT32, _FLOAT32 = 4, 6


def small_model(tokens: int, layers: int) -> Parts:
    """A whole model of a few kilobytes in the form of a Llama model; its weights are zeros."""
    width, head = 64, 16
    numbers = {"context_length": 128, "embedding_length": width, "block_count": layers, "feed_forward_length": 32}
    numbers |= {"attention.head_count": 4, "attention.head_count_kv": 2, "rope.dimension_count": head}
    pairs = [_text("general.architecture", b"llama")]
    pairs += [Pair(f"llama.{key}".encode(), _UINT32, SCALARS[_UINT32].pack(value)) for key, value in numbers.items()]
    pairs.append(Pair(b"llama.attention.layer_norm_rms_epsilon", _FLOAT32, SCALARS[_FLOAT32].pack(1e-5)))
    pairs += [_text("tokenizer.ggml.model", b"gpt2"), _text("tokenizer.ggml.pre", b"llama-bpe")]
    pairs.append(_texts("tokenizer.ggml.tokens", [b"t%d" % index for index in range(tokens)]))
    pairs.append(_texts("tokenizer.ggml.merges", [b"t t"]))
    pairs.append(_text("tokenizer.chat_template", b"{{ messages }}"))
    shapes = {"token_embd.weight": (width, tokens), "output_norm.weight": (width,)}
    for layer in range(layers):
        shapes |= {f"blk.{layer}.attn_norm.weight": (width,), f"blk.{layer}.attn_k.weight": (width, 2 * head)}
    tensors = [Tensor(name.encode(), shape, 0, bytes(4 * _product(shape))) for name, shape in shapes.items()]
    return Parts.of(Parts(tuple(pairs), tuple(tensors), (), 0).written())


def _product(shape: tuple[int, ...]) -> int:
    return shape[0] * (shape[1] if len(shape) > 1 else 1)


def _text(key: str, text: bytes) -> Pair:
    return Pair(key.encode(), STRING, SCALARS[10].pack(len(text)) + text)


def _texts(key: str, texts: list[bytes]) -> Pair:
    head = SCALARS[_UINT32].pack(STRING) + SCALARS[10].pack(len(texts))
    return Pair(key.encode(), ARRAY, head + b"".join(SCALARS[10].pack(len(text)) + text for text in texts))


class Fuzz:
    """Executions on one set of seeds, with what came of them."""

    def __init__(self, seed: int, keep: Path) -> None:
        self.outcomes: Counter[str] = Counter()
        self.bad: list[str] = []
        self._seed = seed
        self._keep = keep
        small = [small_model(tokens, layers) for tokens, layers in ((3, 1), (40, 2), (300, 3))]
        self._seeds = [(parts.written(), parts) for parts in small]
        whole = EMBEDDED.read_bytes()
        parts = Parts.of(whole)
        self._embedded = (whole[: parts.data_offset], parts)

    def execute(self, number: int) -> None:
        """One file: made, checked, peeked at."""
        chance = random.Random(f"{self._seed}-{number}")
        data = self._file(chance)
        path = self._keep / "fuzzed.gguf"
        path.write_bytes(data)
        for name, step in (("check", lambda: check_model_file(path)), ("peek", lambda: _peek(data, chance))):
            try:
                step()
                self.outcomes[f"{name}: passed"] += 1
            except ModelError:
                self.outcomes[f"{name}: refused"] += 1
            except Exception as error:  # whatever it is, it is what this program looks for
                self._note(number, f"{name}: {type(error).__name__}", data)

    def _file(self, chance: random.Random) -> bytes:
        if chance.random() < EMBEDDED_SHARE:
            return damaged(*self._embedded, chance, self._seeds[0][0])
        data, parts = chance.choice(self._seeds)
        if chance.random() < 0.4:
            return parts.changed(chance)
        return damaged(data, parts, chance, chance.choice(self._seeds)[0])

    def _note(self, number: int, what: str, data: bytes) -> None:
        traceback.print_exc()
        self.outcomes[what] += 1
        self.bad.append(f"{self._seed}-{number}: {what}")
        (self._keep / f"crash-{self._seed}-{number}.gguf").write_bytes(data)


def _peek(data: bytes, chance: random.Random) -> None:
    size = len(data) if chance.random() < 0.5 else None
    read_leading_values(data[: chance.randrange(len(data) + 1)], "a fuzzed file", size)


def limit_memory() -> bool:
    """Let this process grow by `LIMIT_BYTES` at most; False where the system cannot."""
    try:
        import resource
    except ImportError:
        return False
    statistics = Path("/proc/self/statm")
    if not statistics.exists():
        return False
    used = int(statistics.read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + LIMIT_BYTES, used + LIMIT_BYTES))
    return True


def main() -> None:
    """Run and print; exit code 1 when something crashed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--executions", type=int, default=200_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--keep", type=Path)
    options = parser.parse_args()
    in_memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=in_memory if in_memory.is_dir() else None) as folder:
        keep = options.keep or Path(folder)
        keep.mkdir(parents=True, exist_ok=True)
        fuzz = Fuzz(options.seed, keep)
        limited = limit_memory()
        started, started_cpu = time.perf_counter(), time.process_time()
        for number in range(options.executions):
            fuzz.execute(number)
        wall_s, cpu_s = time.perf_counter() - started, time.process_time() - started_cpu
    row: dict[str, object] = {"benchmark": "fuzz_header", "n": options.executions, "seed": options.seed}
    row |= {"wall_s": wall_s, "cpu_s": cpu_s, "executions_per_cpu_s": options.executions / cpu_s}
    row |= {"growth_limit_bytes": LIMIT_BYTES if limited else None}
    print(json.dumps(row | {"outcomes": dict(fuzz.outcomes), "bad": fuzz.bad} | provenance()))
    sys.exit(1 if fuzz.bad else 0)


if __name__ == "__main__":
    main()
