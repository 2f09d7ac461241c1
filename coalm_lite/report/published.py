"""Published scores of the unquantized CoALM models, to stand beside measured ones: the table `published.toml`.

They come of other prompts, other runners and, for MultiWOZ, a judge model: where a run's base is far below, look at the
run before the model. Only for a model whose source names CoALM 8B, 70B or 405B (CALM, as it was called before).
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import TypeAlias

from coalm_lite.report.comparison import Published

_SOURCES = {"paper": "paper", "leaderboard": "BFCL leaderboard"}
_MODEL = re.compile(r"(?<![A-Za-z0-9])CO?ALM-(8B|70B|405B)(?![A-Za-z0-9])", re.IGNORECASE)
_Table: TypeAlias = Mapping[str, Mapping[str, Mapping[str, Mapping[str, float]]]]


def published_scores(source: str, suite: str, metric: str) -> tuple[Published, ...]:
    """What was published of the model that `source` names, for a suite's metric; nothing for other models."""
    found = _MODEL.search(source)
    if found is None:
        return ()
    size = found[1].upper()
    by_source = _table()[f"CoALM-{size}"]
    home = suite.partition(":")[0]
    return tuple(
        Published(float(scores[home][metric]), f"CoALM {size}", _SOURCES[name])
        for name, scores in by_source.items()
        if metric in scores.get(home, {})
    )


@cache
def _table() -> _Table:
    return tomllib.loads((files("coalm_lite.report") / "published.toml").read_text(encoding="utf-8"))
