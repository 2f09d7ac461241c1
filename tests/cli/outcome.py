"""What a run of the command line came to, in this process or in one of its own."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Outcome:
    """Exit code and what was printed."""

    code: int
    out: str
    err: str

    @property
    def events(self) -> list[dict[str, Any]]:
        """The JSON lines of standard output."""
        return [json.loads(line) for line in self.out.splitlines()]

    @property
    def message(self) -> str:
        """The line that matters: the error, or else the last one."""
        errors = [line for line in self.err.splitlines() if line.startswith("error: ")]
        return (errors or (self.out or self.err).splitlines() or [""])[-1]
