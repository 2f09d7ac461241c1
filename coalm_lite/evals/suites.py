"""The suites by the names that the command line uses: "smoke", "bfcl", "bfcl:non_live", imported when they are opened.

Each stands in the module `suite` of its package, with `open_suite(folder, part)`: `folder` has its data (None for a
suite that ships them), `part` is what stands behind the colon, "" for the usual one.
"""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches
from importlib import import_module
from pathlib import Path
from typing import cast

from coalm_lite.errors import UsageError
from coalm_lite.evals.data.files import find_data
from coalm_lite.evals.items import Suite

DEFAULT_SUITE = "smoke"
SUITES = {
    "smoke": "60 items of our own, shipped: whether a model answers at all",
    "bfcl": "the Berkeley Function-Calling Leaderboard, V3",
    "apibank": "API-Bank, levels 1 and 2, one call an item",
    "multiwoz": "MultiWOZ 2.4: belief states and simulated users",
}
_SHIPPED = frozenset({"smoke"})


def open_suites(names: Sequence[str], data_dir: Path | None = None) -> tuple[Suite, ...]:
    """The suites of these names, in their order. UsageError for an unknown name or one that stands there twice."""
    for name in names:
        if name.partition(":")[0] not in SUITES:
            close = get_close_matches(name.partition(":")[0], SUITES, n=1)
            hint = f"Did you mean {close[0]}?" if close else f"Use one of {', '.join(SUITES)}."
            raise UsageError(f"there is no suite {name!r}", hint)
        if names.count(name) > 1:
            raise UsageError(f"the suite {name} is named twice", "Name each once.")
    return tuple(_open(name, data_dir) for name in names)


def _open(name: str, data_dir: Path | None) -> Suite:
    home, _, part = name.partition(":")
    folder = None if home in _SHIPPED else find_data(name, data_dir)
    module = import_module(f"coalm_lite.evals.{home}.suite")
    return cast(Suite, module.open_suite(folder, part))
