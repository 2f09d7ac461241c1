"""MultiWOZ 2.4: states scored turn by turn, and tasks carried out with a simulated user."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from coalm_lite.errors import UsageError

if TYPE_CHECKING:
    from coalm_lite.evals.items import Suite

PARTS = ("", "task")


def open_suite(folder: Path, part: str = "") -> Suite:
    """The suite of a data folder: "" for state tracking, "task" for tasks with a simulated user."""
    if part not in PARTS:
        hint = "Write multiwoz for state tracking, multiwoz:task for tasks with a simulated user."
        raise UsageError(f"multiwoz has no part {part!r}", hint)
    if part == "task":
        from coalm_lite.evals.multiwoz.task import open_task

        return open_task(folder)
    from coalm_lite.evals.multiwoz.tracking import open_tracking

    return open_tracking(folder)
