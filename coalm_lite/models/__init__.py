"""The model files that ship inside the package, and where they lie."""

from __future__ import annotations

from pathlib import Path


def shipped_model_path(file_name: str) -> Path:
    """Where the shipped file of this name lies; whether it is there is for the caller to see."""
    return Path(__file__).parent / file_name
