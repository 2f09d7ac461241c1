"""How much of a reference text another one has: Rouge-1, Rouge-2, Rouge-L (F-measures) and BLEU-4, each in 0 to 1.

Rouge (Lin 2004) over words as the usual package for it splits them: lower case, runs of a-z and 0-9, no stemming.
BLEU-4 (Papineni et al. 2002) of one sentence over mteval-v13a words, case kept: an order without a match counts half as
much as the one before it (NIST's smoothing), orders that the text is too short for are left out.
Not covered: several references, a corpus's BLEU, other alphabets in Rouge (their letters are no words there).
`benchmarks/text_overlap.py` holds the values against public implementations.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterator, Sequence

BLEU_ORDERS = 4
_NO_WORD = re.compile(r"[^a-z0-9]+")
_ENTITIES = (("&quot;", '"'), ("&amp;", "&"), ("&lt;", "<"), ("&gt;", ">"))
# mteval-v13a: symbols stand alone; a full stop or comma except between digits, a dash after a digit
_V13A = (
    (re.compile(r"([!-&(-+/:-@\[-`{-~])"), r" \1 "),
    (re.compile(r"([^0-9])([.,])"), r"\1 \2 "),
    (re.compile(r"([.,])([^0-9])"), r" \1 \2"),
    (re.compile(r"([0-9])(-)"), r"\1 \2 "),
)


def rouge_n(text: str, reference: str, n: int) -> float:
    """Rouge-n's F-measure: shared runs of n words."""
    there, wanted = (Counter(_runs(_rouge_words(words), n)) for words in (text, reference))
    return _f_measure((there & wanted).total(), there.total(), wanted.total())


def rouge_l(text: str, reference: str) -> float:
    """Rouge-L's F-measure: the longest sequence of words that both have in this order."""
    there, wanted = _rouge_words(text), _rouge_words(reference)
    return _f_measure(_common_length(there, wanted), len(there), len(wanted))


def bleu_4(text: str, reference: str) -> float:
    """BLEU-4 of one sentence against one reference."""
    there, wanted = _bleu_words(text), _bleu_words(reference)
    logarithms: list[float] = []
    halved = 1.0
    for n in range(1, min(BLEU_ORDERS, len(there)) + 1):
        runs = Counter(_runs(there, n))
        shared = (runs & Counter(_runs(wanted, n))).total()
        if shared == 0:
            if n == 1:  # without a shared word there is no shared run either
                return 0.0
            halved *= 2
        logarithms.append(math.log((shared or 1 / halved) / runs.total()))
    if not logarithms:
        return 0.0
    brevity = min(0.0, 1 - len(wanted) / len(there))
    return math.exp(brevity + sum(logarithms) / len(logarithms))


def _rouge_words(text: str) -> list[str]:
    return _NO_WORD.sub(" ", text.lower()).split()


def _bleu_words(text: str) -> list[str]:
    text = text.rstrip().replace("<skipped>", "").replace("-\n", "").replace("\n", " ")
    for entity, letter in _ENTITIES:
        text = text.replace(entity, letter)
    text = f" {text} "
    for pattern, spaced in _V13A:
        text = pattern.sub(spaced, text)
    return text.split()


def _runs(words: Sequence[str], n: int) -> Iterator[tuple[str, ...]]:
    return (tuple(words[at : at + n]) for at in range(len(words) - n + 1))


def _common_length(first: Sequence[str], second: Sequence[str]) -> int:
    """The length of a longest common subsequence, by one row of the table at a time."""
    row = [0] * (len(second) + 1)
    for word in first:
        diagonal = 0
        for at, other in enumerate(second, 1):
            above = row[at]
            row[at] = diagonal + 1 if word == other else max(above, row[at - 1])
            diagonal = above
    return row[-1]


def _f_measure(shared: int, there: int, wanted: int) -> float:
    return 2 * shared / (there + wanted) if there and wanted else 0.0
