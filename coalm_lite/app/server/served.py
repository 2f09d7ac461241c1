"""The one model that is served."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from coalm_lite.app.desks import AppDesk
from coalm_lite.app.server.line import Line
from coalm_lite.app.server.refusal import Refusal
from coalm_lite.dialects import Dialect


@dataclass(frozen=True, slots=True)
class Served:
    """A model under its name, its usual dialect, and the line of requests to it."""

    name: str
    desk: AppDesk
    dialect: Dialect
    line: Line
    created: int = field(default_factory=lambda: int(time.time()))

    def check_name(self, name: str) -> None:
        """Refusal 404 for another model's name."""
        if name != self.name:
            problem = f"there is no model {name[:80]!r} here; the one that is served is {self.name!r}"
            raise Refusal(404, problem, "model", "model_not_found")
