"""The forms that CoALM was trained to write, one module a form; each is a `Dialect`."""

from __future__ import annotations

from collections.abc import Iterable
from importlib import import_module
from typing import cast

from coalm_lite.dialects.base import Dialect
from coalm_lite.errors import UsageError

NAMES = ("bfcl", "cra", "dst", "hammer")
DEFAULT = "cra"

__all__ = ["DEFAULT", "NAMES", "Dialect", "first_known", "get"]


def first_known(names: Iterable[str]) -> str:
    """The first of a model's dialects that is known here; the default where none is."""
    return next((name for name in names if name in NAMES), DEFAULT)


def get(name: str) -> Dialect:
    """The dialect called `name`; UsageError for another name."""
    if name not in NAMES:
        raise UsageError(f"unknown dialect {name!r}", f"Use one of {', '.join(NAMES)}.")
    return cast(Dialect, import_module(f"coalm_lite.dialects.{name}"))
