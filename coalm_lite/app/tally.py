"""What a desk did since it was opened, counted as its answers end."""

from __future__ import annotations

from coalm_lite.app.desks import DeskState
from coalm_lite.decoding.requests import AnswerEvent, Failed, Generated


class Tally:
    """Counts ends of answers; its user sees to it that one thread at a time is inside."""

    def __init__(self) -> None:
        self._answered = self._cancelled = self._failed = 0
        self._prompt_tokens = self._reused_tokens = self._answer_tokens = 0

    def count(self, event: AnswerEvent) -> None:
        """Take an answer's end; a piece is none."""
        if isinstance(event, Failed):
            self._failed += 1
        elif isinstance(event, Generated):
            self._cancelled += event.reason == "cancelled"
            self._answered += event.reason != "cancelled"
            self._prompt_tokens += event.timings.prompt_tokens
            self._reused_tokens += event.timings.reused_tokens
            self._answer_tokens += event.timings.generated_tokens

    def state(self, loaded: bool, sequences: int, waiting: int, answering: int, restarts: int = 0) -> DeskState:
        """The desk's state with what was counted."""
        return DeskState(
            loaded=loaded,
            sequences=sequences,
            waiting=waiting,
            answering=answering,
            answered=self._answered,
            cancelled=self._cancelled,
            failed=self._failed,
            prompt_tokens=self._prompt_tokens,
            reused_tokens=self._reused_tokens,
            answer_tokens=self._answer_tokens,
            restarts=restarts,
        )
