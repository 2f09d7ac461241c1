"""The cache that each test of the store fills for itself."""

from __future__ import annotations

from tests.store.pulled import cache

__all__ = ["cache"]
