"""Scores are kept with a model; nobody else's file is touched, and a copy differs from its source in nothing else."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from coalm_lite.errors import UsageError
from coalm_lite.models import shipped_model_path
from coalm_lite.runtime.base import Cancel
from coalm_lite.runtime.gguf_header import read_header
from coalm_lite.runtime.llamacpp import LlamaEngine
from coalm_lite.runtime.model_file import check_model_file
from coalm_lite.store.cache import HubCache
from coalm_lite.store.facts import check_model, model_facts
from coalm_lite.store.local import local_models
from coalm_lite.store.names import ModelReference, resolve_model
from coalm_lite.store.provenance import KEY, Provenance, Score, read_provenance, reserve
from coalm_lite.store.scores import write_scores
from tests.runtime.gguf_bytes import model_file
from tests.store.pulled import cache, files_below, put

__all__ = ["cache"]

JGA = Score(name="multiwoz.jga", value=30.1, items=200, base=30.4, base_name="F16", low=-1.2, high=0.6, verdict="holds")
CALLS = Score(name="apibank.call", value=66.0, items=526)


def scores_in(path: Path) -> tuple[Score, ...]:
    record = read_provenance(read_header(path))
    return record.scores if record else ()


def model_at(path: Path, text: str | None) -> ModelReference:
    path.write_bytes(model_file({KEY: text}))
    return ModelReference(path.name, path)


def test_a_file_of_ours_is_patched_and_keeps_its_length_and_story(tmp_path: Path) -> None:
    model = model_at(tmp_path / "m.gguf", reserve(Provenance(source="owner/repo")))
    size = model.path.stat().st_size
    assert write_scores(model, [JGA]) == model.path
    assert scores_in(model.path) == (JGA,)
    assert model.path.stat().st_size == size
    record = read_provenance(read_header(model.path))
    assert record is not None
    assert record.source == "owner/repo"


def test_new_scores_take_the_place_of_those_of_their_name(tmp_path: Path) -> None:
    model = model_at(tmp_path / "m.gguf", reserve(Provenance(scores=(JGA, CALLS))))
    newer = Score(name=JGA.name, value=1.0, items=2)
    write_scores(model, [newer])
    assert scores_in(model.path) == (CALLS, newer)


def test_a_pulled_models_scores_stand_in_its_record_and_show_finds_them(cache: HubCache) -> None:
    pulled = put(cache, model_file())
    reference = ModelReference(pulled.manifest.name, pulled.path, None, pulled)
    before = pulled.path.read_bytes()
    path = write_scores(reference, [JGA])
    again = local_models(cache)[0]
    write_scores(ModelReference(again.manifest.name, again.path, None, again), [CALLS])
    found = local_models(cache)[0]
    facts = model_facts(ModelReference("m", found.path, None, found), check_model(found.path))
    assert path.parent == cache.own(pulled.manifest.repository)
    assert facts.measured == (JGA, CALLS)
    assert pulled.path.read_bytes() == before


@pytest.mark.parametrize("text", [None, reserve(Provenance(scores=(CALLS,)))], ids=["foreign", "ours"])
def test_a_copy_has_the_scores_and_the_source_stays(text: str | None, tmp_path: Path) -> None:
    model = model_at(tmp_path / "m.gguf", text)
    before, copy = model.path.read_bytes(), tmp_path / "out" / "copy.gguf"
    assert write_scores(model, [JGA], copy) == copy
    old, new = check_model_file(model.path), check_model_file(copy)
    assert model.path.read_bytes() == before
    assert scores_in(copy) == ((CALLS, JGA) if text else (JGA,))
    assert new.tensors == old.tensors
    assert {key: value for key, value in new.values.items() if key != KEY} == {
        key: value for key, value in old.values.items() if key != KEY
    }
    assert copy.read_bytes()[new.data_offset :] == before[old.data_offset :]
    assert files_below(tmp_path) == {"m.gguf", "out/copy.gguf"}


def test_a_copy_of_the_embedded_model_answers_as_it_does(tmp_path: Path) -> None:
    copy = write_scores(resolve_model("nano"), [JGA], tmp_path / "copy.gguf")
    logits = []
    for path in (shipped_model_path("coalm-nano.Q8_0.gguf"), copy):
        with LlamaEngine.load(path, threads=1) as engine:
            engine.prefill([1, 50, 90], Cancel())
            logits.append(engine.logits())
    assert (logits[0] == logits[1]).all()


def test_the_embedded_model_and_others_files_are_left_alone(tmp_path: Path) -> None:
    before = shipped_model_path("coalm-nano.Q8_0.gguf").read_bytes()
    with pytest.raises(UsageError, match="not ours to write into") as caught:
        write_scores(resolve_model("nano"), [JGA])
    assert "-o FILE" in caught.value.hint
    assert shipped_model_path("coalm-nano.Q8_0.gguf").read_bytes() == before
    with pytest.raises(UsageError, match="has no room"):
        write_scores(model_at(tmp_path / "m.gguf", None), [JGA])


def test_a_file_with_a_second_name_is_left_alone(tmp_path: Path) -> None:
    model = model_at(tmp_path / "m.gguf", reserve(Provenance()))
    (tmp_path / "second.gguf").hardlink_to(model.path)
    with pytest.raises(UsageError, match="not ours to write into"):
        write_scores(model, [JGA])
    assert scores_in(model.path) == ()


def test_nothing_is_written_over_and_nothing_half_written_stays(tmp_path: Path) -> None:
    model = model_at(tmp_path / "m.gguf", reserve(Provenance()))
    there = tmp_path / "there.gguf"
    shutil.copyfile(model.path, there)
    with pytest.raises(UsageError, match="is there already"):
        write_scores(model, [JGA], there)
    with pytest.raises(Exception, match="provenance takes"):
        write_scores(model, [Score(name=f"n{number}" * 99, value=1.0, items=1) for number in range(99)], tmp_path / "c")
    assert files_below(tmp_path) == {"m.gguf", "there.gguf"}


def test_a_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is a folder"):
        write_scores(ModelReference("onnx", tmp_path), [JGA])
