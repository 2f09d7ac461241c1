"""What answers a suite's questions, as the runner sees it: a model on this machine, or one behind a server.

A backend takes questions, as many at once as it says, and gives each one's `Step`, in whatever order they finish. It
knows nothing of suites. What was asked is recorded by the backend, since it alone knows the prompt's tokens.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Protocol, Self

from coalm_lite.evals.items import Answer, Ask
from coalm_lite.evals.run import ModelStory, Step

DEFAULT_TOP_LOGPROBS = 10
ASKED_CHARACTERS = 2000  # of the last message, kept for readers


@dataclass(frozen=True, slots=True)
class Question:
    """An `ask` by its number; `recorded`: the base run's step for the same ask, in a differential run."""

    number: int
    ask: Ask
    recorded: Step | None = None


@dataclass(slots=True)
class Costs:
    """What a backend's answers took so far, counted up. A server's are counted as far as it tells.

    `computed_tokens` of the `prompt_tokens` were computed, the others shared; `sampling_s` is choosing tokens, grammars
    and bookkeeping; `prompting_s` is writing and tokenizing prompts.
    """

    prompt_tokens: int = 0
    computed_tokens: int = 0
    answer_tokens: int = 0
    prompting_s: float = 0.0
    prefill_s: float = 0.0
    decode_s: float = 0.0
    sampling_s: float = 0.0
    counts: Counter[str] = field(default_factory=Counter)


class Model(Protocol):
    """What a run's header tells of the model that answers, wherever it is."""

    @property
    def story(self) -> ModelStory:
        """Which model it is."""
        ...

    @property
    def short(self) -> bool:
        """Whether prompts have the brief instructions."""
        ...

    @property
    def grammar(self) -> bool:
        """Whether answers are held to their dialect's grammar."""
        ...

    @property
    def top_logprobs(self) -> int:
        """How many log-probabilities are kept a token; 0 for none."""
        ...

    @property
    def versions(self) -> Mapping[str, str]:
        """The programs that a result hangs on, beside coalm-lite, with their versions."""
        ...


class Backend(Model, Protocol):
    """A model that is ready to be asked. One thread."""

    @property
    def parallel(self) -> int:
        """How many questions it answers at once."""
        ...

    def forget(self) -> None:
        """Drop what was computed for earlier questions, so that later answers do not hang on them. None is open."""
        ...

    def submit(self, question: Question) -> None:
        """Take a question. What cannot be asked is a step that ends with "error", not an exception."""
        ...

    def finished(self) -> Sequence[tuple[int, Step]]:
        """Work until at least one question that is open is answered; the answers, by their numbers.

        Raises a CoalmError when nothing more can be asked (a server is gone, an engine failed).
        """
        ...

    @property
    def costs(self) -> Costs:
        """What all of it took so far."""
        ...

    def close(self) -> None:
        """Free it; a second call does nothing."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


def answer_of(step: Step) -> Answer:
    """What a suite is told of a step."""
    return Answer(step.text, step.end == "length", step.error)


def asked_words(ask: Ask) -> str:
    """What a reader is shown of the question: its last message, cut where it is long."""
    text = ask.messages[-1].text if ask.messages else ""
    return text if len(text) <= ASKED_CHARACTERS else text[:ASKED_CHARACTERS] + "…"
