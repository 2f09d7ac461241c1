"""The tiny model and an engine on it, for the tests of this folder."""

from __future__ import annotations

from tests.gguf_models import engine, tiny_model

__all__ = ["engine", "tiny_model"]
