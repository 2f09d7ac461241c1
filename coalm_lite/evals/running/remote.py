"""A model behind an OpenAI-compatible server as a `Backend`: many requests under way at once, each a thread's.

A prompt's tokens are the server's own business, so a step's `prompt_sha256` is of the prompt's text; tokens and their
log-probabilities are recorded where the server names tokens by number. No grammar holds its answers (`runtime.remote`
says why), so a run compares with those made without one. What the server kept of earlier prompts is not dropped between
groups: how its batches fall together can change an answer where two tokens are nearly alike, on any server.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256

from coalm_lite import dialects
from coalm_lite.errors import CoalmError, ServerError
from coalm_lite.evals.items import Ask
from coalm_lite.evals.run import Choice, ModelStory, RunHeader, Step
from coalm_lite.evals.running.backend import Costs, Question, asked_words
from coalm_lite.evals.running.remote_base import text_sha256
from coalm_lite.evals.running.run_file import LOGPROB_DIGITS
from coalm_lite.runtime.one_thread import ClosedAtExit
from coalm_lite.runtime.remote import RemoteServer
from coalm_lite.runtime.remote_answers import Completion
from coalm_lite.runtime.remote_http import RefusedError
from coalm_lite.types import Prompt

DEFAULT_PARALLEL = 8
_OF_ONE_PROMPT = (400, 413, 422)  # refusals of what was asked, not of who asks
_SHORT_NAMES = ("coalm-nano",)


@dataclass(frozen=True, slots=True)
class _Request:
    """A question as it is sent."""

    number: int
    ask: Ask
    prompt: Prompt
    sha256: str


class RemoteBackend(ClosedAtExit):
    """A `Backend` on a server, which it does not close."""

    def __init__(self, server: RemoteServer, *, short: bool | None = None, parallel: int = DEFAULT_PARALLEL) -> None:
        """`short`: whether the model was trained on the brief instructions; None goes by its name."""
        model = server.model
        self.story = ModelStory(
            name=model.name, kind="remote", quant=model.quant, size_bytes=model.size_bytes, source=server.address
        )
        self.short = model.name.startswith(_SHORT_NAMES) if short is None else short
        self.grammar = False
        self.top_logprobs = server.top_logprobs
        self.parallel = parallel
        self.versions: Mapping[str, str] = {f"server {model.owner}".strip(): model.version} if model.owner else {}
        self.costs = Costs()
        self._server = server
        self._requests: queue.SimpleQueue[_Request | None] = queue.SimpleQueue()
        self._answers: queue.SimpleQueue[tuple[int, Step, Completion | None] | BaseException] = queue.SimpleQueue()
        self._threads: list[threading.Thread] = []
        self._open = 0

    def forget(self) -> None:
        """Nothing here: the server keeps what it likes."""

    def submit(self, question: Question) -> None:
        """Write the prompt, and ask as soon as one of `parallel` threads is free."""
        self._open += 1
        began = time.perf_counter()
        try:
            self._requests.put(self._request(question))
        except CoalmError as error:
            self._answers.put((question.number, _refused("", question.ask, error), None))
            return
        finally:
            self.costs.prompting_s += time.perf_counter() - began
        if len(self._threads) < min(self._open, self.parallel):
            thread = threading.Thread(target=self._work, daemon=True)  # one that waits must not hold up the end
            self._threads.append(thread)
            thread.start()

    def _request(self, question: Question) -> _Request:
        ask = question.ask
        prompt = dialects.get(ask.dialect).render(ask.messages, ask.tools, self.short)
        return _Request(question.number, ask, prompt, text_sha256(prompt))

    def finished(self) -> Sequence[tuple[int, Step]]:
        """Wait for an answer; those that came meanwhile come with it. Raises ServerError when the server gives up."""
        if not self._open:
            return []
        taken = [self._answers.get()]
        while not self._answers.empty():
            taken.append(self._answers.get())
        self._open -= len(taken)
        return [self._counted(each) for each in taken]

    def _counted(self, answer: tuple[int, Step, Completion | None] | BaseException) -> tuple[int, Step]:
        if isinstance(answer, BaseException):
            raise answer
        number, step, completion = answer
        if completion is not None:
            usage = completion.usage
            self.costs.prompt_tokens += usage.prompt_tokens
            self.costs.computed_tokens += usage.prompt_tokens - usage.cached_tokens
            self.costs.answer_tokens += usage.answer_tokens or len(completion.tokens)
        return number, step

    def _work(self) -> None:
        while (request := self._requests.get()) is not None:
            try:
                self._answers.put((request.number, *self._answered(request)))
            except BaseException as error:  # it is raised where the answer is waited for
                self._answers.put(error)

    def _answered(self, request: _Request) -> tuple[Step, Completion | None]:
        """The step, and what the server said; an error of this one question is a step too."""
        try:
            completion = self._server.complete(request.prompt, request.ask.max_tokens)
        except CoalmError as error:
            if isinstance(error, ServerError) and not _of_one_prompt(error):
                raise
            return _refused(request.sha256, request.ask, error), None
        return _step(request, completion), completion

    def close(self) -> None:
        """Let the threads end when they are done; a second call does nothing."""
        for _ in self._threads:
            self._requests.put(None)
        self._threads.clear()


def chat_header(header: RunHeader) -> RunHeader:
    """The header of a run by chat completions: its templates are others, since the server's wraps ours."""
    return replace(
        header,
        suites=tuple(
            replace(suite, template_sha256=sha256(f"chat {suite.template_sha256}".encode()).hexdigest())
            for suite in header.suites
        ),
    )


def _of_one_prompt(error: ServerError) -> bool:
    return isinstance(error, RefusedError) and error.status in _OF_ONE_PROMPT


def _refused(sha: str, ask: Ask, error: CoalmError) -> Step:
    return Step(sha, 0, "", "error", error=error.message, asked=asked_words(ask))


def _step(request: _Request, completion: Completion) -> Step:
    return Step(
        prompt_sha256=request.sha256,
        prompt_tokens=completion.usage.prompt_tokens,
        text=completion.text,
        end=completion.end,
        tokens=completion.tokens,
        ends=completion.ends,
        choices=tuple(
            Choice(at, choice.ids, tuple(round(value, LOGPROB_DIGITS) + 0.0 for value in choice.logprobs))
            for at, choice in enumerate(completion.choices)
        ),
        asked=asked_words(request.ask),
    )
