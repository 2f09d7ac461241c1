"""Our Rouge-1, Rouge-2, Rouge-L and BLEU-4 beside rouge-score, sacrebleu and nltk, on API-Bank's gold calls.

usage: python benchmarks/text_overlap.py --data-dir DATA --peer PYTHON [--mutations 3000] [--seed 0] [--keep]

PYTHON is an interpreter with rouge-score, sacrebleu and nltk (`python -m venv V && V/bin/pip install rouge-score
sacrebleu nltk`); they are measured in a process of their own, so the project needs none of them. Pairs: every gold text
with itself, and seeded mutations of them (words dropped, doubled, swapped, other values, other calls, cut off, other
punctuation, letters beyond ASCII, line breaks, entities). nltk smooths as sacrebleu does (its method 3) but counts
orders that a text is too short for, so it is asked about texts of four words and more, split by sacrebleu.
The last line is one JSON object, which `--keep` appends to results/evals.jsonl. Exit status 1 beyond TOLERANCE.
"""

from __future__ import annotations

import argparse
import json
import random
import subprocess
import sys
from pathlib import Path

Scores = dict[str, float]
RESULTS = Path(__file__).with_name("results") / "evals.jsonl"
TOLERANCE = 0.01
NOISE = (" ", "\n", "-\n", ", ", "3.5", "&quot;", "&amp;", "é", "北京", "_", "'", "0-1", "<skipped>", "...", "A", "\t")


def mutated(text: str, others: list[str], draw: random.Random) -> str:
    """A seeded mutation of a gold text; several at once now and then."""
    for _ in range(draw.choice((1, 1, 2, 4))):
        text = draw.choice((dropped, doubled, swapped, noisy, cut, spliced))(text, others, draw)
    return text


def dropped(text: str, _others: list[str], draw: random.Random) -> str:
    """A stretch of letters left out."""
    at = draw.randrange(len(text) + 1)
    return text[:at] + text[at + draw.randint(1, 12) :]


def doubled(text: str, _others: list[str], draw: random.Random) -> str:
    """A stretch of letters written twice."""
    at = draw.randrange(len(text) + 1)
    return text[:at] + text[at : at + draw.randint(1, 30)] + text[at:]


def swapped(text: str, _others: list[str], draw: random.Random) -> str:
    """Two words in each other's place."""
    words = text.split(" ")
    one, other = draw.randrange(len(words)), draw.randrange(len(words))
    words[one], words[other] = words[other], words[one]
    return " ".join(words)


def noisy(text: str, _others: list[str], draw: random.Random) -> str:
    """Something in between that words are split by, or not."""
    at = draw.randrange(len(text) + 1)
    return text[:at] + draw.choice(NOISE) + text[at:]


def cut(text: str, _others: list[str], draw: random.Random) -> str:
    """The beginning alone, at times nothing."""
    return text[: draw.randrange(len(text) + 1)]


def spliced(text: str, others: list[str], draw: random.Random) -> str:
    """The beginning with another call's end."""
    other = draw.choice(others)
    return text[: draw.randrange(len(text) + 1)] + other[draw.randrange(len(other)) :]


def pairs(data_dir: Path, mutations: int, seed: int) -> list[tuple[str, str]]:
    """Texts with their references: the gold texts themselves, then mutations of them."""
    from coalm_lite.evals.apibank import open_suite

    golds = [item.content.gold_text for item in open_suite(data_dir / "apibank").items]
    draw = random.Random(seed)
    chosen = [draw.choice(golds) for _ in range(mutations)]
    return [(gold, gold) for gold in golds] + [(mutated(gold, golds, draw), gold) for gold in chosen]


def ours(text: str, reference: str) -> Scores:
    """What the project computes."""
    from coalm_lite.evals.apibank.overlap import bleu_4, rouge_l, rouge_n

    rouge = {f"rouge_{n}": rouge_n(text, reference, n) for n in (1, 2)}
    return rouge | {"rouge_l": rouge_l(text, reference), "bleu_4": bleu_4(text, reference)}


def peer() -> None:
    """Read pairs as JSON lines, write what the public packages compute: run by the other interpreter."""
    import sacrebleu
    from nltk.translate.bleu_score import SmoothingFunction, sentence_bleu
    from rouge_score.rouge_scorer import RougeScorer
    from sacrebleu.tokenizers.tokenizer_13a import Tokenizer13a

    scorer, split, smooth = RougeScorer(["rouge1", "rouge2", "rougeL"]), Tokenizer13a(), SmoothingFunction().method3
    for line in sys.stdin:
        text, reference = json.loads(line)
        rouge = scorer.score(reference, text)
        found = {name: rouge[name.replace("_", "").replace("l", "L")].fmeasure for name in ("rouge_1", "rouge_2")}
        found["rouge_l"] = rouge["rougeL"].fmeasure
        found["bleu_4"] = sacrebleu.sentence_bleu(text, [reference]).score / 100
        words, wanted = split(text.rstrip()).split(), split(reference.rstrip()).split()
        if len(words) >= 4:
            found["bleu_4 (nltk)"] = sentence_bleu([wanted], words, smoothing_function=smooth)
        print(json.dumps(found))


def theirs(python: str, asked: list[tuple[str, str]]) -> tuple[list[Scores], dict[str, str]]:
    """The public packages' values for each pair, and the packages' versions."""
    lines = "".join(json.dumps(pair) + "\n" for pair in asked)
    told = subprocess.run([python, __file__, "--as-peer"], input=lines, capture_output=True, text=True, check=True)
    names = ("rouge-score", "sacrebleu", "nltk")
    code = f"import json; from importlib.metadata import version; print(json.dumps([version(n) for n in {names}]))"
    versions = subprocess.run([python, "-c", code], capture_output=True, text=True, check=True).stdout
    return [json.loads(line) for line in told.stdout.splitlines()], dict(zip(names, json.loads(versions), strict=True))


def differences(asked: list[tuple[str, str]], public: list[Scores]) -> tuple[dict[str, object], float]:
    """For each figure how many values were compared, the largest difference and the range; and the largest of all."""
    found: dict[str, object] = {}
    own = [ours(*pair) for pair in asked]
    largest = 0.0
    for name in ("rouge_1", "rouge_2", "rouge_l", "bleu_4", "bleu_4 (nltk)"):
        mine = name.split(" ")[0]
        both = [(scores[mine], other[name]) for scores, other in zip(own, public, strict=True) if name in other]
        apart = max(abs(one - other) for one, other in both)
        largest = max(largest, apart)
        values = sorted(other for _, other in both)
        found[name] = {"n": len(both), "largest difference": apart, "median": round(values[len(values) // 2], 4)}
    return found, largest


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-dir", type=Path, required=True)
    parser.add_argument("--peer", required=True, help="a Python with rouge-score, sacrebleu and nltk")
    parser.add_argument("--mutations", type=int, default=3000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--keep", action="store_true")
    options = parser.parse_args()
    from rows import provenance

    asked = pairs(options.data_dir, options.mutations, options.seed)
    public, versions = theirs(options.peer, asked)
    found, largest = differences(asked, public)
    counts = {"gold texts": len(asked) - options.mutations, "mutations": options.mutations, "seed": options.seed}
    line = json.dumps({"benchmark": "text_overlap", **counts, **found, "peers": versions} | provenance())
    print(line)
    if options.keep:
        with RESULTS.open("a", encoding="utf-8") as file:
            file.write(line + "\n")
    return int(largest > TOLERANCE)


if __name__ == "__main__":
    sys.exit(peer() if sys.argv[1:] == ["--as-peer"] else main())
