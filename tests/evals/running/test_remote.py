"""A suite asked of a server: order, retries, refusals and resumption, against a real HTTP server."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from coalm_lite.dialects.base import BEGIN_OF_TEXT
from coalm_lite.errors import EvalError, ServerError, UsageError
from coalm_lite.evals.items import Ask
from coalm_lite.evals.run import Run
from coalm_lite.evals.running.backend import Question
from coalm_lite.evals.running.header import Part, check_base, run_header
from coalm_lite.evals.running.local import LocalBackend
from coalm_lite.evals.running.opening import BackendOptions, open_backend
from coalm_lite.evals.running.remote import RemoteBackend, chat_header
from coalm_lite.evals.running.run_file import RunAppender, check_same, read_header, read_run
from coalm_lite.evals.running.runner import Runner, base_steps
from coalm_lite.hub.backoff import Waits
from coalm_lite.runtime.llamacpp import LlamaEngine
from coalm_lite.runtime.remote import RemoteServer
from coalm_lite.types import Message, Segment
from tests.evals.running.asking import TOOLS, Asking
from tests.evals.running.conftest import STORY
from tests.runtime.model_server import ModelServer, cut, model_server, refuse

QUICK = Waits(tries=3, first_s=0.01, longest_s=0.02)
SUITE = Asking(12)
PART = Part(SUITE, "hammer", SUITE.items)


@pytest.fixture(autouse=True)
def _no_keys_and_no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("COALM_LITE_API_KEY", "OPENAI_API_KEY", "http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)


def answer(prompt: str) -> str:
    """A call for some towns, none for the others; short enough for any limit."""
    return "[]" if "Ely" in prompt else '[{"name":"find_train"}]'[:20]


@pytest.fixture
def served() -> Iterator[ModelServer]:
    with model_server(answer) as server:
        yield server


def run_of(server: ModelServer, path: Path, parallel: int = 4, **wishes: Any) -> Run:
    with (
        RemoteServer(server.address, parallel=parallel, waits=QUICK, **wishes) as remote,
        RemoteBackend(remote, parallel=parallel) as backend,
        RunAppender(path, run_header(backend, [PART], machine="here")) as file,
    ):
        Runner(backend, [PART], file, group_items=5).run()
    return read_run(path)


def test_a_run_is_the_same_however_many_are_asked_at_once(served: ModelServer, tmp_path: Path) -> None:
    one = run_of(served, tmp_path / "one.jsonl", parallel=1)
    assert served.most_at_once == 1
    many = run_of(served, tmp_path / "many.jsonl", parallel=4)
    assert many == one
    assert [item.id for item in many.items] == [item.id for item in SUITE.items]
    assert (tmp_path / "one.jsonl").read_bytes() == (tmp_path / "many.jsonl").read_bytes()


def test_several_questions_are_under_way_at_once(served: ModelServer) -> None:
    gate = threading.Barrier(3, timeout=20)

    def together(_: str) -> str:
        gate.wait()
        return "[]"

    served.answer = together
    with (
        RemoteServer(served.address, parallel=3, chat=True, waits=QUICK) as remote,
        RemoteBackend(remote, parallel=3) as b,
    ):
        for number in range(3):
            b.submit(Question(number, Ask("hammer", (Message("user", f"{number}"),), TOOLS)))
        numbers: list[int] = []
        while len(numbers) < 3:
            numbers += [number for number, _ in b.finished()]
    assert sorted(numbers) == [0, 1, 2], "none could be answered before all were asked"


def test_a_busy_server_changes_nothing_in_the_run(served: ModelServer, tmp_path: Path) -> None:
    calm = run_of(served, tmp_path / "calm.jsonl")
    served.faults = [refuse(429, {"Retry-After": "0"}), cut, refuse(503), refuse(502)]
    assert run_of(served, tmp_path / "busy.jsonl") == calm
    assert not served.faults


def test_a_server_that_goes_away_leaves_a_run_that_goes_on(served: ModelServer, tmp_path: Path) -> None:
    whole = run_of(served, tmp_path / "whole.jsonl", parallel=1)
    path = tmp_path / "run.jsonl"
    served.answer = lambda prompt: served.faults.extend([refuse(503)] * 3) or answer(prompt)
    with pytest.raises(ServerError, match="busy"):
        run_of(served, path, parallel=1)
    assert len(read_run(path, allow_partial=True).items) < len(whole.items)
    served.answer, served.faults[:] = answer, []
    assert run_of(served, path, parallel=1) == whole
    assert path.read_bytes() == (tmp_path / "whole.jsonl").read_bytes()


def test_what_one_prompt_is_refused_for_is_that_items_error(served: ModelServer, tmp_path: Path) -> None:
    served.context_tokens = 700
    long = Message("user", "x" * 600)
    with RemoteServer(served.address, waits=QUICK) as remote, RemoteBackend(remote) as backend:
        served.faults = [refuse(422, body=b'{"detail": "no such thing"}')]
        for number, message in enumerate((Message("user", "a"), long, Message("user", "<|eot_id|>"))):
            backend.submit(Question(number, Ask("hammer", (message,), ())))
            ((_, step),) = backend.finished()
            assert (step.end, step.text) == ("error", "")
            assert ("no such thing", "exceeds the context size", "read as a marker")[number] in step.error
        served.faults = [refuse(403)]
        backend.submit(Question(9, Ask("hammer", (Message("user", "a"),), ())))
        with pytest.raises(ServerError, match="403"):
            backend.finished()


def test_the_header_tells_what_a_server_is_and_what_it_lacks(served: ModelServer, tmp_path: Path) -> None:
    header = run_of(served, tmp_path / "a.jsonl", logprobs=3).header
    assert (header.model.kind, header.model.name, header.model.source) == ("remote", "bf16", served.address)
    assert (header.grammar, header.top_logprobs, header.versions["server llamacpp"]) == (False, 3, "b1")
    served.shape = "openai"
    assert run_of(served, tmp_path / "b.jsonl", logprobs=3).header.top_logprobs == 0
    chat = chat_header(header)
    with pytest.raises(EvalError, match=r"template_sha256"):
        check_same(tmp_path / "a.jsonl", read_header(tmp_path / "a.jsonl"), chat)
    assert chat_header(header) == chat, "the same for each run by chat"


def test_the_brief_instructions_go_by_name_or_wish(served: ModelServer) -> None:
    for served.models, wish, short in (
        (("coalm-nano.Q8_0.gguf",), None, True),
        (("CoALM-8B",), None, False),
        (("CoALM-8B",), True, True),
    ):
        with open_backend(served.address, BackendOptions(short=wish, parallel=1)) as backend:
            assert backend.short == short


def test_options_of_the_other_kind_of_model_are_refused(served: ModelServer) -> None:
    for options in (BackendOptions(server_model="x"), BackendOptions(chat=True), BackendOptions(short=True)):
        with pytest.raises(UsageError, match="for a server's model"), open_backend("nano", options):
            pass
    with pytest.raises(UsageError, match="on this machine"), open_backend(served.address, BackendOptions(threads=1)):
        pass


def test_a_servers_run_is_the_base_of_a_local_one(nano: LlamaEngine, tmp_path: Path) -> None:
    """Numbers of tokens that mean nothing here are not trusted: the text is tokenized anew."""
    part = replace(PART, items=SUITE.items[:4])
    local = local_run(nano, part, tmp_path / "local.jsonl")
    texts = {step.prompt_sha256: step.text for item in local.items for step in item.steps}
    assert len(set(texts.values())) > 1
    path = tmp_path / "remote.jsonl"
    with (
        model_server(lambda prompt: text_for(prompt, nano, texts), models=("coalm-nano",), limit_letters=99) as server,
        RemoteServer(server.address, logprobs=3) as remote,
        RemoteBackend(remote, parallel=1) as backend,  # the engine that knows the texts has one thread
        RunAppender(path, run_header(backend, [part])) as file,
    ):
        Runner(backend, [part], file).run()
    against = local_run(nano, part, tmp_path / "against.jsonl", base=path)
    pairs = [
        pair
        for item, own in zip(against.items, local.items, strict=True)
        for pair in zip(item.steps, own.steps, strict=True)
    ]
    equal = [step.agreement for step, own in pairs if (step.prompt_sha256, step.text) == (own.prompt_sha256, own.text)]
    assert len(equal) >= 4, "a draft changes an answer only where two tokens are nearly alike"
    for found in equal:
        assert found is not None and found.base_tokens and found.agreed_tokens == found.base_tokens
        assert found.kl_places == 0, "letters are no tokens of this vocabulary"


def local_run(nano: LlamaEngine, part: Part, path: Path, base: Path | None = None) -> Run:
    with LocalBackend(nano, STORY, grammar=False, top_logprobs=3) as backend:
        header = run_header(backend, [part], base=base)
        steps = base_steps(read_run(base)) if base else None
        if base:
            check_base(base, read_header(base), header)
        with RunAppender(path, header) as file:
            Runner(backend, [part], file, base=steps).run()
    return read_run(path)


def text_for(prompt: str, nano: LlamaEngine, texts: dict[str, str]) -> str:
    """What the local model wrote for a prompt, which arrives as text without its begin; its first probes have none."""
    parts = [part for part in re.split(r"(<\|[a-z_]+\|>)", BEGIN_OF_TEXT + prompt) if part]
    tokens = nano.tokenize(tuple(Segment(part, marker=part.startswith("<|")) for part in parts))
    return texts.get(sha256(" ".join(map(str, tokens)).encode()).hexdigest()[:16], "none")
