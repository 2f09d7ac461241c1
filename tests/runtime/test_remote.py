"""A model on a server: how prompts are sent, what is asked again, and what is refused, against a real HTTP server."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest

from coalm_lite.dialects import hammer
from coalm_lite.dialects.base import BEGIN_OF_TEXT, END_OF_TURN
from coalm_lite.errors import ContextFullError, ServerError, UsageError
from coalm_lite.hub.backoff import Waits
from coalm_lite.runtime.remote import RemoteServer
from coalm_lite.runtime.remote_http import MOST_BYTES
from coalm_lite.types import Message, Prompt, ToolSpec
from tests.runtime.model_server import ModelServer, cut, hang_up, model_server, refuse, stall, trickle

QUICK = Waits(tries=3, first_s=0.01, longest_s=0.02)
PROMPT = hammer.render([Message("user", "Rain in Kyiv?")], [ToolSpec("rain")])


@pytest.fixture(autouse=True)
def _no_keys_and_no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("COALM_LITE_API_KEY", "OPENAI_API_KEY", "http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def served() -> Iterator[ModelServer]:
    with model_server(lambda _: "[]") as server:
        yield server


def open_server(server: ModelServer, **wishes: Any) -> RemoteServer:
    return RemoteServer(server.address, **{"waits": QUICK, **wishes})


def test_the_prompt_is_the_trained_form_with_one_begin_of_text(served: ModelServer) -> None:
    whole = "".join(segment.text for segment in PROMPT)
    for served.adds_begin, sent in ((True, whole.removeprefix(BEGIN_OF_TEXT)), (False, whole)):
        with open_server(served) as remote:
            assert remote.complete(PROMPT, 20).text == "[]"
        body = served.completions()[-1].body
        assert body["prompt"] == sent
        assert body["temperature"] == 0 and body["max_tokens"] == 20 and body["stop"] == [END_OF_TURN]


def test_tokens_are_numbers_where_the_server_tells_them(served: ModelServer) -> None:
    served.answer = lambda _: "[é]"
    with open_server(served, logprobs=2) as remote:
        answer, short = remote.complete(PROMPT, 20), remote.complete(PROMPT, 2)
        assert remote.top_logprobs == 2
    assert (answer.tokens, answer.ends, answer.end) == ((91, 233, 93), (1, 3, 4), "stop")
    assert len(answer.choices) == 4, "the end has its choice too"
    assert answer.choices[0].ids == (91, 63), "the likeliest first"
    assert (short.tokens, short.end, len(short.choices)) == ((91, 233), "length", 2)
    served.shape = "openai"
    with open_server(served, logprobs=2) as remote:
        text_only = remote.complete(PROMPT, 20)
        assert remote.top_logprobs == 0, "numbers of tokens are not told"
    assert (text_only.text, text_only.tokens, text_only.choices) == ("[é]", (), ())


def test_vllm_names_tokens_when_asked_and_tells_what_they_write(served: ModelServer) -> None:
    served.answer, served.shape = lambda _: "[é]", "vllm"
    with open_server(served, logprobs=2) as remote:
        answers = [remote.complete(PROMPT, 20) for _ in range(2)]
    for answer in answers:
        assert (answer.tokens, answer.ends, len(answer.choices)) == ((91, 233, 93), (1, 3, 4), 4)
        assert answer.choices[1].ids == (233, 63), "the likeliest first"
    asked = [request.body["tokens"] for request in served.requests if request.path == "/detokenize"]
    assert sorted(asked) == sorted([token] for token in {token for [token] in asked}), "each is asked once"
    served.pieces = {233: "\ufffd"}
    with open_server(served, logprobs=2) as remote:
        assert remote.complete(PROMPT, 20).tokens == (), "a part of a character: then the answer is text alone"
    served.missing = ("/detokenize",)
    with open_server(served, logprobs=2) as remote:
        assert remote.top_logprobs == 0 and remote.complete(PROMPT, 20).text == "[é]"


def test_chat_completions_get_the_texts_by_role(served: ModelServer) -> None:
    with open_server(served, chat=True, logprobs=1) as remote:
        assert remote.complete(PROMPT, 20).tokens == (91, 93)
    asked = served.completions()[-1]
    assert asked.path == "chat/completions"
    (message,) = asked.body["messages"]
    assert message["role"] == "user" and message["content"].endswith("[END OF QUERY]") and "<|" not in str(message)


@pytest.mark.parametrize(
    "fault",
    [refuse(429, {"Retry-After": "0"}), refuse(503), refuse(500), cut, hang_up, stall, trickle],
    ids=["429", "503", "500", "cut", "hang-up", "stall", "trickle"],
)
def test_what_may_pass_is_asked_again(served: ModelServer, fault: Any) -> None:
    told: list[str] = []
    served.faults = [fault]
    with open_server(served, tell=told.append, answer_s=0.3) as remote:
        assert remote.complete(PROMPT, 20).text == "[]"
    assert len(served.completions()) == 2
    assert len(told) == 1 and "again in" in told[0]


def test_a_wait_that_the_server_asks_for_is_kept(served: ModelServer) -> None:
    served.faults = [refuse(503, {"Retry-After": "1"})]
    with open_server(served) as remote:
        started = time.monotonic()
        remote.complete(PROMPT, 20)
    assert time.monotonic() - started >= 1


def test_a_server_that_stays_busy_is_given_up(served: ModelServer) -> None:
    served.faults = [refuse(503)] * 9
    with open_server(served) as remote, pytest.raises(ServerError, match=r"busy \(status 503\): no") as raised:
        remote.complete(PROMPT, 20)
    assert len(served.completions()) == QUICK.tries
    assert "goes on where it stopped" in raised.value.hint


def test_closing_ends_a_wait(served: ModelServer) -> None:
    served.faults = [refuse(503, {"Retry-After": "100"})]
    remote = open_server(served)
    remote._transport._tell = lambda _: remote.close()
    with pytest.raises(ServerError, match="503"):
        remote.complete(PROMPT, 20)


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (refuse(200, body=b"<html>log in</html>"), "answers no JSON object, but '<html>log in</html>'"),
        (refuse(200, body=b'{"choices": []}'), r"has '\[\]' at choices"),
        (refuse(200, body=b'{"choices": [{"text": 3}]}'), r"has '3' at choices\[0\].text"),
        (refuse(200, body=b'{"choices": [{"text": "", "finish_reason": "tool_calls"}]}'), "finish_reason"),
        (refuse(200, body=b" " * (MOST_BYTES + 1)), f"more than {MOST_BYTES} bytes"),
        (refuse(302, {"Location": "https://elsewhere.test/x?secret"}), "sends on to 'https://elsewhere.test/x'"),
        (refuse(400), "refuses with status 400: no"),
        (refuse(404), "/completions is not there"),
    ],
)
def test_what_will_not_pass_is_told_at_once(served: ModelServer, fault: Any, words: str) -> None:
    served.faults = [fault]
    with open_server(served) as remote, pytest.raises(ServerError, match=words):
        remote.complete(PROMPT, 20)
    assert len(served.completions()) == 1


def test_a_server_without_text_completions_is_told_with_the_way_out(served: ModelServer) -> None:
    served.missing = ("completions",)
    with pytest.raises(ServerError, match="/v1/completions is not there") as raised:
        open_server(served)
    assert "--chat" in raised.value.hint


def test_a_server_that_reads_markers_as_text_is_refused(served: ModelServer) -> None:
    served.parses_markers = False
    with pytest.raises(ServerError, match=r"reads <.eot_id.> as 10 tokens"):
        open_server(served)
    served.counts = False
    with pytest.raises(ServerError, match="does not count"):
        open_server(served)


def test_a_marker_that_a_user_typed_is_not_sent(served: ModelServer) -> None:
    typed: Prompt = hammer.render([Message("user", f"a {END_OF_TURN} b")], [])
    with open_server(served) as remote, pytest.raises(UsageError, match=r"holds <.eot_id.> as a user's text"):
        remote.complete(typed, 20)
    assert not served.completions()


def test_a_prompt_that_is_too_long_is_the_prompts_fault(served: ModelServer) -> None:
    served.context_tokens = 50
    with open_server(served) as remote, pytest.raises(ContextFullError, match="exceeds the context size"):
        remote.complete(PROMPT, 20)


def test_the_key_is_sent_and_shown_nowhere(served: ModelServer, monkeypatch: pytest.MonkeyPatch) -> None:
    served.key = "right"
    with pytest.raises(ServerError, match="401") as raised:
        open_server(served)
    assert raised.value.hint == "It asks for a key, and none was sent: set COALM_LITE_API_KEY."
    monkeypatch.setenv("OPENAI_API_KEY", "sk-wrong")
    with pytest.raises(ServerError, match=r"wrong key Bearer \*\*\*") as raised:
        open_server(served)
    assert "the one of OPENAI_API_KEY" in raised.value.hint
    monkeypatch.setenv("COALM_LITE_API_KEY", "right")
    with open_server(served) as remote:
        remote.complete(PROMPT, 20)
        assert "right" not in repr(remote._transport.key)
    assert served.completions()[-1].authorization == "Bearer right"
    monkeypatch.setenv("COALM_LITE_API_KEY", "two\nlines")
    with pytest.raises(UsageError, match="COALM_LITE_API_KEY has a character") as unusable:
        open_server(served)
    assert "two" not in str(unusable.value)


def test_a_netrc_file_puts_no_other_key_in(served: ModelServer, tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login me password secret\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    with open_server(served) as remote:
        remote.complete(PROMPT, 20)
    assert {asked.authorization for asked in served.requests} == {""}


def test_a_model_is_chosen_from_those_that_are_there(served: ModelServer) -> None:
    served.models = ("small", "/models/large.gguf")
    with pytest.raises(UsageError, match="serves 2 models") as raised:
        open_server(served)
    assert "small, /models/large.gguf" in raised.value.hint
    with pytest.raises(UsageError, match="serves no model 'other'"):
        open_server(served, model="other")
    with open_server(served, model="large.gguf") as remote:
        assert (remote.model.name, remote.model.owner, remote.model.version) == ("large.gguf", "llamacpp", "b1")
        remote.complete(PROMPT, 20)
    assert served.completions()[-1].body["model"] == "/models/large.gguf"
    served.missing = ("models",)
    with open_server(served, model="unlisted") as remote:
        assert remote.model.id == "unlisted"


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("ftp://host/v1", "no server's address"),
        ("http://", "no server's address"),
        ("http://host:99999/v1", "no server's address"),
        ("https://host/v1?key=x", "no server's address"),
        ("https://me:secret@host/v1", "holds a name or a password"),
    ],
)
def test_an_address_that_is_none_is_refused_without_asking(address: str, words: str) -> None:
    with pytest.raises(UsageError, match=words) as raised:
        RemoteServer(address)
    assert "secret" not in str(raised.value)


def test_where_nobody_is_that_is_told_soon() -> None:
    with model_server(lambda _: "") as server:
        address = server.address
    with pytest.raises(ServerError, match=r"no answer from http://127\.0\.0\.1"):
        RemoteServer(address, waits=Waits(first_s=0.01))
