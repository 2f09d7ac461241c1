"""A size in the user's own catalog of which nobody has published a file; its checkpoint is the tiny one."""

from __future__ import annotations

from coalm_lite.catalog import user_catalog_path

REPOSITORY = "someone/CoALM-tiny"
FILE = "CoALM-tiny.Q8_0.gguf"
CATALOG = f"""
[sizes.tiny]
title = "A tiny stand-in"
context_tokens = 256
dialects = ["cra", "hammer"]
license = "CC-BY-NC-4.0, for tests"
non_commercial = true
checkpoint = "{REPOSITORY}"
parameters = 100_000
layers = 2
hidden = 64
feed_forward = 96
heads = 4
kv_heads = 2
vocabulary = 331
"""


def add_tiny_size(non_commercial: bool = True) -> None:
    """Write the user's catalog."""
    text = CATALOG if non_commercial else CATALOG.replace("non_commercial = true", "non_commercial = false")
    user_catalog_path().parent.mkdir(parents=True)
    user_catalog_path().write_text(text)
