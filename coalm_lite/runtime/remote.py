"""A model on an OpenAI-compatible server (llama-server, vLLM, ...): a prompt's text there, the answer's text back.

Prompts are CoALM's trained form, markers and all, so they go to the text completions (`/v1/completions`), greedily. The
server must read the markers as special tokens, and whether it puts a begin-of-text token of its own before a prompt is
found out at the start, by its own count of a few tokens: then ours is left out. Chat completions wrap a prompt in the
server's own template, so they are used only where that was asked for (`chat`), and `template` says so.

Not covered: any sampling but greedy, and grammars. llama-server would take coalm-lite's GBNF, but it knows neither
forced text nor how a call that was begun is ended at the limit: of 101 answers of coalm-nano, 62 were those of a local
run with its grammar, and 95 of one without (benchmarks/results/remote_agreement.jsonl).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from coalm_lite.dialects.base import BEGIN_OF_TEXT, END_HEADER, END_OF_TURN, START_HEADER, instruct_prompt
from coalm_lite.errors import ContextFullError, ServerError, UsageError
from coalm_lite.hub.backoff import Waits
from coalm_lite.runtime.one_thread import ClosedAtExit
from coalm_lite.runtime.remote_answers import Completion, read_completion, read_usage
from coalm_lite.runtime.remote_http import ANSWER_S, RefusedError, Transport
from coalm_lite.types import JsonObject, Prompt

CHAT_TEMPLATE = "server-chat"
_LLAMA_CPP, _VLLM = "llamacpp", "vllm"
_MARKERS = (BEGIN_OF_TEXT, START_HEADER, END_HEADER, END_OF_TURN)
_MOST_SHOWN = 12
_HELLO = instruct_prompt("Say hello.", "Hello")
_CHAT_HINT = (
    "CoALM's prompts need text completions. --chat sends the instruction by chat completions instead: in the server's"
    " template, which is not the trained form, so such a run compares with no other."
)


@dataclass(frozen=True, slots=True)
class RemoteModel:
    """What the server tells of the model; empty or 0 where it tells nothing."""

    id: str
    owner: str = ""  # what serves it: "llamacpp", "vllm"
    quant: str = ""
    size_bytes: int = 0
    context_tokens: int = 0
    version: str = ""

    @property
    def name(self) -> str:
        """The id, without the folders that llama-server puts before a file's name."""
        return PurePosixPath(self.id).name if self.id.startswith("/") else self.id


class RemoteServer(ClosedAtExit):
    """One model of a server, which many threads may ask at once. Raises ServerError for what the server does."""

    def __init__(
        self,
        address: str,
        model: str = "",
        *,
        chat: bool = False,
        logprobs: int = 0,
        parallel: int = 8,
        answer_s: float = ANSWER_S,
        waits: Waits | None = None,
        tell: Callable[[str], object] = lambda _: None,
    ) -> None:
        """Asks the server what it serves, and how it reads a prompt. UsageError when `model` is none of its models.

        `logprobs`: how many log-probabilities are wanted a token; none are asked for when the server does not tell
        the tokens' numbers with them.
        """
        self.chat = chat
        self._transport = Transport(address, connections=parallel, answer_s=answer_s, waits=waits, tell=tell)
        self.model = RemoteModel(model)
        self._adds_begin = False
        self._logprobs = logprobs
        self._pieces: dict[int, bytes | None] = {}
        try:
            self.model = self._described(model)
            if not chat:
                self._adds_begin = self._probe()
            if logprobs:
                self._logprobs = logprobs if self.complete(_HELLO, 1).choices else 0
        except BaseException:
            self.close()
            raise

    @property
    def address(self) -> str:
        """Where it is, as https://host/v1."""
        return self._transport.address

    @property
    def top_logprobs(self) -> int:
        """How many log-probabilities come with each token of an answer."""
        return self._logprobs

    def complete(self, prompt: Prompt, max_tokens: int) -> Completion:
        """The greedy answer to a prompt.

        Raises ContextFullError when the prompt does not fit, UsageError when plain text in it would be read as a
        marker.
        """
        body: dict[str, object] = {"model": self.model.id, "max_tokens": max_tokens, "temperature": 0}
        if self.chat:
            wanted: dict[str, object] = {"logprobs": True, "top_logprobs": self._logprobs} if self._logprobs else {}
            answer = self._post("chat/completions", {**body, **wanted, "messages": chat_messages(prompt)})
        else:
            wanted = {"logprobs": self._logprobs} if self._logprobs else {}
            if wanted and self.model.owner == _VLLM:
                wanted["return_tokens_as_token_ids"] = True
            text = self._text(prompt)
            answer = self._post("completions", {**body, **wanted, "prompt": text, "stop": [END_OF_TURN]})
        return read_completion(answer, chat=self.chat, piece=self._piece)

    def close(self) -> None:
        """Let go of the connections, and end the waits of other threads; a second call does nothing."""
        self._transport.close()

    def _text(self, prompt: Prompt) -> str:
        typed = next((m for s in prompt if not s.marker for m in _MARKERS if m in s.text), "")
        if typed:
            raise UsageError(
                f"the prompt holds {typed} as a user's text, which a server would read as a marker",
                "Only a local model can be asked this.",
            )
        text = "".join(segment.text for segment in prompt)
        return text.removeprefix(BEGIN_OF_TEXT) if self._adds_begin else text

    def _post(self, path: str, body: dict[str, object]) -> JsonObject:
        try:
            return self._transport.post(path, body)
        except RefusedError as error:
            if _is_full(error):
                raise ContextFullError(f"the server has no room for the prompt: {error.words}") from error
            if error.status in (404, 405, 501) and path == "completions":
                raise ServerError(f"{self.address}/completions is not there ({error.message})", _CHAT_HINT) from error
            raise

    def _piece(self, token: int) -> bytes | None:
        """What a token of vLLM's writes, asked once; None for a part of a character, or where it does not tell."""
        if token not in self._pieces:
            try:
                text = self._transport.post("../detokenize", {"model": self.model.id, "tokens": [token]}).get("prompt")
            except RefusedError:
                text = None
            whole = isinstance(text, str) and "\ufffd" not in text
            self._pieces[token] = str(text).encode() if whole else None
        return self._pieces[token]

    def _described(self, wanted: str) -> RemoteModel:
        """The model as /models lists it; as it was named where a server has no such list."""
        try:
            listed = self._transport.get("models").get("data")
        except RefusedError as error:
            if error.status in (404, 405, 501) and wanted:
                return RemoteModel(wanted)
            raise
        models = [entry for entry in listed if isinstance(entry, dict)] if isinstance(listed, list) else []
        return self._with_version(_described(_chosen(models, wanted, self.address)))

    def _with_version(self, model: RemoteModel) -> RemoteModel:
        """The model with what serves it named by version, where that is told."""
        path, field = {_LLAMA_CPP: ("../props", "build_info"), _VLLM: ("../version", "version")}.get(
            model.owner, ("", "")
        )
        if not path:
            return model
        try:
            version = self._transport.get(path).get(field)
        except RefusedError:  # the list alone is enough to work with
            return model
        return RemoteModel(
            model.id, model.owner, model.quant, model.size_bytes, model.context_tokens, str(version or "")[:80]
        )

    def _probe(self) -> bool:
        """Whether the server puts a begin-of-text token before each prompt; ServerError when it reads no markers.

        A letter alone is one token, or two with the server's own; with our marker before it, it must be one more
        token (a server that leaves out a second begin-of-text counts none more), and so with any other marker.
        """
        alone, ended = (self._counted(text) for text in ("a", f"a{END_OF_TURN}"))
        if not alone:
            raise ServerError(f"{self.address} does not count a prompt's tokens (usage.prompt_tokens)", _CHAT_HINT)
        if ended != alone + 1:
            raise ServerError(
                f"{self.address} reads {END_OF_TURN} as {ended - alone} tokens, not as one special token",
                "Serve a model of the Llama 3 family, and let the server parse special tokens in prompts.",
            )
        return alone > 1

    def _counted(self, text: str) -> int:
        body = {"model": self.model.id, "prompt": text, "max_tokens": 1, "temperature": 0}
        return read_usage(self._post("completions", body)).prompt_tokens


def chat_messages(prompt: Prompt) -> list[dict[str, str]]:
    """A prompt as chat completions take it: the texts by role, without the wrapper's markers and its open end."""
    messages: list[dict[str, str]] = []
    parts = iter(prompt)
    for segment in parts:
        if segment.marker and segment.text == START_HEADER:
            role = next(parts).text
            next(parts), next(parts)  # the header's end and its blank line
            messages.append({"role": role, "content": ""})
        elif not segment.marker and messages:
            messages[-1]["content"] += segment.text
    return messages[:-1]


def _chosen(models: Sequence[JsonObject], wanted: str, address: str) -> JsonObject:
    names = [str(model.get("id", "")) for model in models]
    if wanted:
        found = next((model for model in models if wanted in _names(model)), None)
        problem = f"{address} serves no model {wanted!r}"
    else:
        found = models[0] if len(models) == 1 else None
        problem = f"{address} serves {len(models)} models"
    if found is None:
        shown = ", ".join(name[:120] for name in names[:_MOST_SHOWN])
        raise UsageError(problem, f"Name one with --model: {shown or 'it lists none'}.")
    return found


def _names(model: JsonObject) -> list[str]:
    aliases = model.get("aliases")
    others = [str(alias) for alias in aliases] if isinstance(aliases, list) else []
    name = str(model.get("id", ""))
    return [name, PurePosixPath(name).name, *others]


def _described(listed: JsonObject) -> RemoteModel:
    meta = listed.get("meta")
    told: JsonObject = meta if isinstance(meta, dict) else {}
    return RemoteModel(
        id=str(listed.get("id", "")),
        owner=str(listed.get("owned_by", ""))[:80],
        quant=str(told.get("ftype") or "")[:40],
        size_bytes=_count(told.get("size")),
        context_tokens=_count(told.get("n_ctx")) or _count(listed.get("max_model_len")),
    )


def _count(value: object) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else 0


def _is_full(error: RefusedError) -> bool:
    """Whether a refusal says that the prompt is too long: llama-server's kind, or the words of vLLM and OpenAI."""
    return error.status in (400, 413, 422) and (
        error.kind == "exceed_context_size_error" or "context length" in error.words.lower()
    )
