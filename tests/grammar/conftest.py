"""Lets tests use the benchmarks' random schemas: scripts import their neighbours by bare names."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parents[2] / "benchmarks"))
