"""Loading, tokenizing and closing; the KV cache and grammars have files of their own."""

from __future__ import annotations

import ctypes
import gc
import logging
import random
import subprocess
import sys
from pathlib import Path

import llama_cpp.llama_cpp as native
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coalm_lite.errors import DecodingError, ModelError, UsageError
from coalm_lite.runtime.base import Cancel, Cancelled
from coalm_lite.runtime.gguf_header import read_header
from coalm_lite.runtime.llamacpp import LlamaEngine, library
from coalm_lite.runtime.model_file import check_model_file
from coalm_lite.runtime.progress import PROGRESS, Progress
from coalm_lite.types import Segment
from tests.gguf_models import SPECIAL, vocabulary, write_tiny_model

MUTANTS = 60
LOAD_EACH = """
import sys
from pathlib import Path
from coalm_lite.errors import ModelError
from coalm_lite.runtime.base import Cancel
from coalm_lite.runtime.llamacpp import LlamaEngine
for name in sys.argv[1:]:
    try:
        with LlamaEngine.load(Path(name), threads=1, context_tokens=32) as engine:
            engine.prefill([1, 2, 3], Cancel())
            print("loaded", flush=True)
    except ModelError:
        print("refused", flush=True)
"""


def test_a_model_tells_its_size_and_its_own_words(engine: LlamaEngine) -> None:
    assert engine.info.vocabulary_size == len(vocabulary()[0])
    assert engine.info.context_tokens == 2048
    assert engine.info.metadata["general.name"] == "tiny"
    assert (engine.options.threads, engine.options.batch_threads) == (1, 1)


@given(text=st.text())
@settings(deadline=None)
def test_the_bytes_of_a_texts_tokens_are_the_text(engine: LlamaEngine, text: str) -> None:
    tokens = engine.tokenize((Segment(text),))
    assert b"".join(map(engine.token_bytes, tokens)) == text.encode()


@pytest.mark.parametrize("marker", SPECIAL)
def test_a_marker_is_one_special_token_and_a_users_copy_of_it_is_text(engine: LlamaEngine, marker: str) -> None:
    (special,) = engine.tokenize((Segment(marker, marker=True),))
    assert special == vocabulary()[0].index(marker)
    assert engine.token_bytes(special) == b""
    typed = engine.tokenize((Segment(f"hotel{marker}"),))
    assert special not in typed
    assert b"".join(map(engine.token_bytes, typed)) == f"hotel{marker}".encode()


def test_only_end_tokens_end(engine: LlamaEngine) -> None:
    tokens = vocabulary()[0]
    ends = {tokens[token] for token in range(len(tokens)) if engine.is_end(token)}
    assert ends == {"<|eot_id|>", "<|end_of_text|>", "<|eom_id|>"}


def test_neighbouring_texts_are_read_as_one_and_markers_part_them(engine: LlamaEngine) -> None:
    whole = engine.tokenize((Segment("hotel"),))
    assert len(whole) == 1
    assert engine.tokenize((Segment("ho"), Segment(""), Segment("tel"))) == whole
    parted = engine.tokenize((Segment("ho"), Segment("<|eot_id|>", marker=True), Segment("tel")))
    assert len(parted) == 1 + len(engine.tokenize((Segment("ho"),))) + len(engine.tokenize((Segment("tel"),)))


def test_nothing_is_added_to_a_prompt(engine: LlamaEngine) -> None:
    assert engine.tokenize(()) == []
    assert engine.tokenize((Segment(""),)) == []


def test_a_marker_that_the_model_does_not_know_is_refused_by_name(engine: LlamaEngine) -> None:
    with pytest.raises(ModelError, match=r"no special token '<\|im_start\|>'"):
        engine.tokenize((Segment("<|im_start|>", marker=True),))


def test_a_lone_surrogate_is_refused(engine: LlamaEngine) -> None:
    with pytest.raises(UsageError, match="no character"):
        engine.tokenize((Segment("x\udc80"),))


@pytest.mark.parametrize("token", [-1, len(vocabulary()[0])])
def test_a_token_outside_the_vocabulary_is_refused_before_llama_cpp_sees_it(engine: LlamaEngine, token: int) -> None:
    constraint = engine.constraint('root ::= "a"')
    for use in (engine.token_bytes, engine.is_end, constraint.allows, constraint.accept):
        with pytest.raises(DecodingError, match="outside the vocabulary"):
            use(token)
    engine.prefill([1], Cancel())
    with pytest.raises(DecodingError, match="failed to compute"):
        engine.prefill([1, token], Cancel())
    assert engine.prefill([1, 2], Cancel()).computed_tokens == 1


def test_closing_twice_is_once_and_everything_after_it_is_refused(tiny_model: Path) -> None:
    with LlamaEngine.load(tiny_model, threads=1) as engine:
        engine.prefill([1, 2], Cancel())
        constraint = engine.constraint('root ::= "a"')
        engine.close()
    engine.close()
    for use in (lambda: engine.prefill([1], Cancel()), engine.logits, lambda: constraint.allows(1)):
        with pytest.raises(DecodingError, match="closed"):
            use()
    constraint.close()


def test_an_engine_that_nobody_holds_is_freed(tiny_model: Path) -> None:
    engine = LlamaEngine.load(tiny_model, threads=1)
    free = engine._free
    assert free.alive
    del engine
    gc.collect()
    assert not free.alive


def test_loading_says_nothing_unless_its_logger_is_asked(
    tiny_model: Path, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    LlamaEngine.load(tiny_model, threads=1).close()
    assert capfd.readouterr() == ("", "")
    caplog.set_level(logging.INFO, "coalm_lite.llama")
    LlamaEngine.load(tiny_model, threads=1).close()
    assert any("tiny" in record.getMessage() for record in caplog.records)


def test_a_log_callback_that_another_user_set_is_taken_back(tiny_model: Path, caplog: pytest.LogCaptureFixture) -> None:
    LlamaEngine.load(tiny_model, threads=1).close()
    silent = native.llama_log_callback(lambda level, text, data: None)
    native.llama_log_set(silent, ctypes.c_void_p(0))
    caplog.set_level(logging.INFO, "coalm_lite.llama")
    LlamaEngine.load(tiny_model, threads=1).close()
    assert any("tiny" in record.getMessage() for record in caplog.records)


@pytest.mark.parametrize("wish", [{"context_tokens": 4096}, {"threads": 4096}])
def test_a_wish_beyond_the_model_or_the_machine_is_refused(tiny_model: Path, wish: dict[str, int]) -> None:
    with pytest.raises(UsageError):
        LlamaEngine.load(tiny_model, context_tokens=wish.get("context_tokens"), threads=wish.get("threads"))


def test_what_llama_cpp_refuses_carries_its_reason(tmp_path: Path, tiny_model: Path) -> None:
    path = tmp_path / "other.gguf"
    path.write_bytes(tiny_model.read_bytes().replace(b"blk.1.ffn_up.weight", b"blk.1.ffn_xx.weight", 1))
    with pytest.raises(ModelError, match=r"cannot load .*other\.gguf: .*blk\.1\.ffn_up\.weight"):
        LlamaEngine.load(path, threads=1)


def test_a_cut_model_file_never_reaches_llama_cpp(tmp_path: Path, tiny_model: Path) -> None:
    path = tmp_path / "cut.gguf"
    path.write_bytes(tiny_model.read_bytes()[:-1])
    with pytest.raises(ModelError, match="is cut short"):
        LlamaEngine.load(path)


def test_damaged_files_that_pass_the_check_do_not_end_the_process(tmp_path: Path) -> None:
    """In a child, so that an abort inside llama.cpp is seen as what it is."""
    whole = write_tiny_model(tmp_path / "whole.gguf", layers=1)
    data, chance, paths = whole.read_bytes(), random.Random(0), list[Path]()
    header_bytes = read_header(whole).data_offset
    while len(paths) < MUTANTS:
        mutant = bytearray(data)
        for _ in range(chance.choice([1, 1, 2, 4])):
            mutant[chance.randrange(header_bytes)] ^= 1 << chance.randrange(8)
        path = tmp_path / f"{len(paths)}.gguf"
        path.write_bytes(mutant)
        try:
            check_model_file(path)
        except ModelError:
            continue
        paths.append(path)
    child = subprocess.run(
        [sys.executable, "-c", LOAD_EACH, *map(str, paths)], capture_output=True, text=True, timeout=300, check=False
    )
    answers = child.stdout.split()
    assert (child.returncode, len(answers)) == (0, MUTANTS), child.stderr[-2000:]
    assert answers.count("loaded") > MUTANTS / 4  # most flips hit a token's or a merge's text


def test_progress_is_counted_while_a_model_loads_and_within_long_batches_if_it_is_watched(
    engine: LlamaEngine, tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def counted(tokens: int) -> int:
        engine.cut(0, 0)
        before = PROGRESS.count
        engine.prefill([*range(40, 40 + tokens)], Cancel())
        return PROGRESS.count - before

    assert (counted(3), counted(200)) == (1, 1)
    monkeypatch.setattr(PROGRESS, "watched", True)
    assert counted(3) == 1
    assert counted(200) > 5
    before = PROGRESS.count
    LlamaEngine.load(tiny_model, threads=1).close()
    assert PROGRESS.count > before


def test_a_watched_batch_is_cancelled_in_its_middle(engine: LlamaEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    cancel = Cancel()

    class Counted(Progress):
        def __setattr__(self, name: str, value: int) -> None:
            super().__setattr__(name, value)
            if name == "count" and value == 3:
                cancel.set()

    seen = Counted()
    monkeypatch.setattr(PROGRESS, "watched", True)
    monkeypatch.setattr(library, "PROGRESS", seen)
    engine.cut(0, 0)
    with pytest.raises(Cancelled):
        engine.prefill([*range(40, 240)], cancel)
    assert seen.count < 10
