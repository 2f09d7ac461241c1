"""Gold answers of BFCL and API-Bank in their dialects, where the data lies beside a checkout; without it this skips."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DATA = ROOT.parent / "shared" / "data"
sys.path.append(str(ROOT / "benchmarks"))


@pytest.mark.skipif(not (DATA / "bfcl").is_dir(), reason="the public data is not here")
@pytest.mark.parametrize("dialect", ["hammer", "cra", "bfcl"])
def test_functions_compile_and_gold_answers_that_fit_them_are_accepted(dialect: str) -> None:
    from gold_answers import measure

    counts, _ = measure(DATA, dialect, limit=3)
    assert counts["gold answers"] > 50 and counts["not compiled"] == 0
    assert counts["refused though its schema allows it"] == 0
