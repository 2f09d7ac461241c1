"""One answer from an engine: the scheduler's steps for a single request. Text comes out in whole characters."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import closing

from coalm_lite.decoding.guide import TextGrammar
from coalm_lite.decoding.pace import Pace
from coalm_lite.decoding.requests import Failed, Generated, Piece, Request
from coalm_lite.decoding.scheduler import Scheduler
from coalm_lite.runtime.base import Cancel, Engine
from coalm_lite.types import Sampling

__all__ = ["Generated", "Piece", "answer", "generate"]


def generate(
    engine: Engine,
    prompt_tokens: Sequence[int],
    sampling: Sampling,
    grammar: str | TextGrammar | None,
    cancel: Cancel,
) -> Generator[Piece | Generated, None, None]:
    """Yields the answer's pieces as they come, and one `Generated` last.

    `reason` is "stop" at an end token or where the grammar leaves nothing else, "length" at `max_tokens`, "cancelled".
    Raises ContextFullError when the prompt does not fit, or when the answer meets the context's end: what was yielded
    until then stands. Bytes that are no UTF-8 come out as U+FFFD.
    """
    return answer(engine, Request(prompt_tokens, sampling, grammar, cancel))


def answer(engine: Engine, request: Request, pace: Pace | None = None) -> Generator[Piece | Generated, None, None]:
    """As `generate`, for a request with all its choices; `pace` as the scheduler takes it."""
    scheduler = Scheduler(engine, pace)
    scheduler.submit(request)
    with closing(scheduler):
        while scheduler.busy:
            for _, event in scheduler.step():
                if isinstance(event, Failed):
                    raise event.error
                yield event
