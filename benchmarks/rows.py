"""What every benchmark row carries beside its figures, so that it can be measured again."""

from __future__ import annotations

import json
import os
import platform
import re
import subprocess
import sys
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path


def provenance() -> dict[str, object]:
    """Machine, versions, command and commit of this run."""
    asked = ["git", "rev-parse", "--verify", "--quiet", "HEAD"]
    commit = subprocess.run(asked, capture_output=True, text=True, check=False).stdout.strip()
    return {
        "machine": f"{platform.machine()}, {os.cpu_count()} CPUs, load {os.getloadavg()[0]:.1f}",
        "versions": {name: version(name) for name in ("coalm-lite", "llama-cpp-python", "numpy")},
        "command": command(sys.argv),
        "commit": commit or "none",
    }


def command(arguments: Sequence[str]) -> str:
    """The command line without where things lie on the machine that it ran on: an absolute path is its last name."""
    return re.sub(r"(?<![\w.])/[^\s=]*/([^/\s]+)", r"\1", " ".join(arguments))


def tell(row: dict[str, object], results: Path | None) -> None:
    """Print the row, and append it to `results` if it is to be kept."""
    print(json.dumps(row))
    if results is not None:
        with results.open("a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")
