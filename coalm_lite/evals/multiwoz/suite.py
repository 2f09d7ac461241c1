"""MultiWOZ's suites by name: "multiwoz" for state tracking, "multiwoz:task" for tasks with a simulated user."""

from __future__ import annotations

from pathlib import Path

from coalm_lite.errors import UsageError
from coalm_lite.evals.items import Suite
from coalm_lite.evals.multiwoz.task import open_task
from coalm_lite.evals.multiwoz.tracking import open_tracking

PARTS = ("", "task")


def open_suite(folder: Path, part: str = "") -> Suite:
    """The suite of a data folder: "" for state tracking, "task" for tasks with a simulated user."""
    if part not in PARTS:
        hint = "Write multiwoz for state tracking, multiwoz:task for tasks with a simulated user."
        raise UsageError(f"multiwoz has no part {part!r}", hint)
    return open_task(folder) if part == "task" else open_tracking(folder)
