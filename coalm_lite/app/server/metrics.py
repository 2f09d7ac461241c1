"""Figures for Prometheus, in its text format 0.0.4: what the server did and how busy it is."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterable, Mapping

from coalm_lite.app.server.served import Served

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_BUCKETS_S = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
_PREFIX = "coalm_lite_"


class Counters:
    """What is counted of requests and answers; any thread may count."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._requests: Counter[tuple[str, int]] = Counter()
        self._answers: Counter[str] = Counter()
        self._first_token_s: Counter[float] = Counter()
        self._first_token_sum_s = 0.0
        self._first_tokens = 0

    def requested(self, path: str, status: int) -> None:
        """Count a request by its path and its status."""
        with self._lock:
            self._requests[path, status] += 1

    def answered(self, reason: str, ttft_s: float) -> None:
        """Count a finished answer by its end, with the time to its first token; 0 for none."""
        with self._lock:
            self._answers[reason] += 1
            if ttft_s > 0:
                self._first_tokens += 1
                self._first_token_sum_s += ttft_s
                for bound in _BUCKETS_S:
                    self._first_token_s[bound] += ttft_s <= bound

    def text(self, served: Served) -> str:
        """All figures."""
        state = served.desk.state
        with self._lock:
            requests = {_labels(path=path, code=str(code)): n for (path, code), n in sorted(self._requests.items())}
            answers = {_labels(finish_reason=reason): n for reason, n in sorted(self._answers.items())}
            histogram = list(self._histogram())
        parts = [
            _metric("info", "gauge", "The model that is served.", {_labels(model=served.name): 1}),
            _metric("requests_total", "counter", "HTTP requests by path and status.", requests),
            _metric("answers_total", "counter", "Finished answers by the way they ended.", answers),
            *histogram,
            _plain("prompt_tokens_total", "counter", "Tokens of prompts.", state.prompt_tokens),
            _plain("cached_prompt_tokens_total", "counter", "Those that were computed before.", state.reused_tokens),
            _plain("answer_tokens_total", "counter", "Tokens that were written.", state.answer_tokens),
            _plain("cancelled_total", "counter", "Answers that were cancelled.", state.cancelled),
            _plain("failed_total", "counter", "Answers that met an error.", state.failed),
            _plain("refused_total", "counter", "Requests that found the queue full.", served.line.refused),
            _plain("engine_restarts_total", "counter", "Crashed engines that were replaced.", state.restarts),
            _plain("engine_loaded", "gauge", "Whether an engine is there.", int(state.loaded)),
            _plain("answering", "gauge", "Answers in work.", state.answering),
            _plain("waiting", "gauge", "Requests that wait for a slot.", max(0, served.line.length - state.answering)),
            _plain("slots", "gauge", "How many answers may be in work at once.", state.sequences),
        ]
        return "".join(parts)

    def _histogram(self) -> Iterable[str]:
        name = "first_token_seconds"
        values = {_labels(le=f"{bound:g}"): self._first_token_s[bound] for bound in _BUCKETS_S}
        values[_labels(le="+Inf")] = self._first_tokens
        head = _head(name, "histogram", "Time from the request to its first token.")
        yield head + _lines(f"{name}_bucket", values)
        yield _lines(f"{name}_sum", {"": round(self._first_token_sum_s, 6)})
        yield _lines(f"{name}_count", {"": self._first_tokens})


def _plain(name: str, kind: str, words: str, value: float) -> str:
    return _metric(name, kind, words, {"": value})


def _metric(name: str, kind: str, words: str, values: Mapping[str, float]) -> str:
    return _head(name, kind, words) + _lines(name, values)


def _head(name: str, kind: str, words: str) -> str:
    return f"# HELP {_PREFIX}{name} {words}\n# TYPE {_PREFIX}{name} {kind}\n"


def _lines(name: str, values: Mapping[str, float]) -> str:
    return "".join(
        f"{_PREFIX}{name}{labels} {value:g}\n" if isinstance(value, float) else f"{_PREFIX}{name}{labels} {value}\n"
        for labels, value in values.items()
    )


def _labels(**labels: str) -> str:
    escaped = {
        name: value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n") for name, value in labels.items()
    }
    return "{" + ",".join(f'{name}="{value}"' for name, value in escaped.items()) + "}"
