"""The same grammars in llama.cpp's own engine: they compile, and token by token it agrees with the interpreter here.

Runs on each vocabulary that is at hand: the embedded model's and, beside a checkout, Llama 3's; without one it skips.
"""

from __future__ import annotations

import codecs
import ctypes
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coalm_lite.grammar import fill_frame
from coalm_lite.types import JsonObject, ToolSpec
from tests.grammar.gbnf_interpreter import Grammar
from tests.grammar.strategies import Parameters, Texts, beside, instances, tool, unhurried
from tests.grammar.test_frames import DIALECTS, NEVER, NO_ARGUMENTS, NO_CALL, ONE_CALL, TOOLS
from tests.grammar.test_schema import WRITERS

llama_cpp = pytest.importorskip("llama_cpp")

ROOT = Path(__file__).parents[2]
VOCABULARIES = [
    path
    for path in (
        ROOT.parent / "shared" / "data" / "llama3" / "ggml-vocab-llama-bpe.gguf",
        *sorted((ROOT / "coalm_lite" / "models").glob("*.gguf")),
    )
    if path.exists()
]
fewer = settings(unhurried, max_examples=60)


@llama_cpp.llama_log_callback  # type: ignore[untyped-decorator]  # ctypes gives callbacks no type
def _no_log(_level: int, _text: bytes, _data: object) -> None:
    """llama.cpp reports refused grammars here; the tests look at its answer."""


class Vocabulary:
    """A GGUF's tokens, and grammars over them."""

    def __init__(self, path: Path) -> None:
        llama_cpp.llama_log_set(_no_log, ctypes.c_void_p(0))
        parameters = llama_cpp.llama_model_default_params()
        parameters.vocab_only = True
        self._model = llama_cpp.llama_model_load_from_file(str(path).encode(), parameters)
        assert self._model
        self.tokens = llama_cpp.llama_model_get_vocab(self._model)
        count = llama_cpp.llama_vocab_n_tokens(self.tokens)
        self.pieces = [self._piece(token) for token in range(count)]
        self.end = next(token for token in range(count) if llama_cpp.llama_vocab_is_eog(self.tokens, token))
        self.of_byte = {piece[0]: token for token, piece in enumerate(self.pieces) if len(piece) == 1}

    def close(self) -> None:
        llama_cpp.llama_model_free(self._model)

    def _piece(self, token: int) -> bytes:
        buffer = ctypes.create_string_buffer(512)
        length = llama_cpp.llama_token_to_piece(self.tokens, token, buffer, len(buffer), 0, True)
        return bytes(buffer.raw[: max(length, 0)])

    def encode(self, text: str) -> list[int]:
        """The canonical tokens of `text`."""
        data = text.encode()
        found = (llama_cpp.llama_token * (len(data) + 8))()
        count = llama_cpp.llama_tokenize(self.tokens, data, len(data), found, len(found), False, False)
        assert count >= 0 and b"".join(self.pieces[token] for token in found[:count]) == data
        return list(found[:count])

    def encode_bytes(self, text: str) -> list[int]:
        """One token a byte, so that tokens end inside characters."""
        return [self.of_byte[byte] for byte in text.encode()]


class Constraint:
    """llama.cpp's sampler for one grammar."""

    def __init__(self, vocabulary: Vocabulary, gbnf: str) -> None:
        self._sampler = llama_cpp.llama_sampler_init_grammar(vocabulary.tokens, gbnf.encode(), b"root")
        assert self._sampler, gbnf

    def __enter__(self) -> Constraint:
        return self

    def __exit__(self, *_: object) -> None:
        llama_cpp.llama_sampler_free(self._sampler)

    def allows(self, token: int) -> bool:
        """Asks about one candidate."""
        data = (llama_cpp.llama_token_data * 1)(llama_cpp.llama_token_data(token, 0.0, 0.0))
        candidates = llama_cpp.llama_token_data_array(data, 1, -1, False)
        llama_cpp.llama_sampler_apply(self._sampler, ctypes.byref(candidates))
        return float(data[0].logit) == 0.0

    def accept(self, token: int) -> None:
        """Only for an allowed token: llama.cpp ends the process for another."""
        llama_cpp.llama_sampler_accept(self._sampler, token)


@pytest.fixture(scope="module", params=VOCABULARIES, ids=lambda path: path.stem)
def vocabulary(request: pytest.FixtureRequest) -> Iterator[Vocabulary]:
    loaded = Vocabulary(request.param)
    yield loaded
    loaded.close()


def _agree(vocabulary: Vocabulary, gbnf: str, tokens: list[int]) -> int:
    """How many tokens llama.cpp let pass; it must answer as the interpreter does wherever a character ends."""
    grammar, decoder = Grammar(gbnf), codecs.getincrementaldecoder("utf-8")()
    stacks = grammar.start
    with Constraint(vocabulary, gbnf) as constraint:
        for at, token in enumerate(tokens):
            allowed = constraint.allows(token)
            for character in decoder.decode(vocabulary.pieces[token]):
                stacks = grammar.advance(stacks, character)
            unfinished = decoder.getstate()[0]
            assert allowed == bool(stacks) or (unfinished and not allowed)
            if not allowed:
                return at
            constraint.accept(token)
            assert constraint.allows(vocabulary.end) == (not unfinished and None in stacks)
    return len(tokens)


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("tools", [[], TOOLS], ids=["none", "two"])
def test_each_frame_reads_its_form_as_tokens_and_as_bytes(
    vocabulary: Vocabulary, dialect: str, tools: list[ToolSpec]
) -> None:
    gbnf = fill_frame(dialect, tools)
    with_calls = [ONE_CALL[dialect], NO_ARGUMENTS[dialect]] if tools else []
    for text in [*NO_CALL[dialect], *with_calls]:
        for tokens in (vocabulary.encode(text), vocabulary.encode_bytes(text)):
            assert _agree(vocabulary, gbnf, tokens) == len(tokens)
    for text in filter(None, NEVER[dialect]):
        _agree(vocabulary, gbnf, vocabulary.encode(text))


@fewer
@given(data=st.data(), schema=Parameters, dialect=st.sampled_from(sorted(WRITERS)))
def test_canonical_calls_pass_token_by_token_and_end_only_at_their_end(
    vocabulary: Vocabulary, data: st.DataObject, schema: JsonObject, dialect: str
) -> None:
    gbnf, text = fill_frame(dialect, [tool(schema)]), WRITERS[dialect](data.draw(instances(schema)))
    for tokens in (vocabulary.encode(text), vocabulary.encode_bytes(text)):
        assert _agree(vocabulary, gbnf, tokens) == len(tokens)


@fewer
@given(data=st.data(), schema=Parameters, dialect=st.sampled_from(sorted(WRITERS)))
def test_llama_cpp_and_the_interpreter_agree_on_changed_calls(
    vocabulary: Vocabulary, data: st.DataObject, schema: JsonObject, dialect: str
) -> None:
    gbnf, text = fill_frame(dialect, [tool(schema)]), WRITERS[dialect](data.draw(beside(schema)))
    at = data.draw(st.integers(0, len(text)))
    changed = text[:at] + data.draw(Texts) + text[at + data.draw(st.integers(0, 2)) :]
    for edited in (text, changed):
        _agree(vocabulary, gbnf, vocabulary.encode(edited))
        _agree(vocabulary, gbnf, vocabulary.encode_bytes(edited))


def test_fifty_tools_of_twenty_parameters_compile(vocabulary: Vocabulary) -> None:
    properties: JsonObject = {f"p{at}": {"type": ["string", "null"]} for at in range(20)}
    tools = [ToolSpec(f"tool_{at}", "", {"type": "object", "properties": properties}) for at in range(50)]
    text = '[{"name": "tool_49", "arguments": {"p0": "a", "p19": null}}]'
    tokens = vocabulary.encode(text)
    assert _agree(vocabulary, fill_frame("hammer", tools), tokens) == len(tokens)
