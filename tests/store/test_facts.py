from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from coalm_lite.runtime.model_file import check_model_file
from coalm_lite.store.cache import HubCache
from coalm_lite.store.facts import ModelFacts, check_model, model_facts, quant_of
from coalm_lite.store.names import resolve_model
from coalm_lite.store.provenance import KEY, Provenance, reserve
from tests.onnx_models import FP32
from tests.runtime.gguf_bytes import Value, model_file
from tests.store.pulled import put

TEMPLATE = "{% for message in messages %}{{ message['content'] }}{% endfor %}"


def facts_of(name: str) -> ModelFacts:
    reference = resolve_model(name)
    return model_facts(reference, check_model(reference.path))


def written(path: Path, changes: Mapping[str, Value | None]) -> str:
    path.write_bytes(model_file(changes))
    return str(path)


def test_the_embedded_model_is_described_by_its_file_and_the_catalog() -> None:
    facts = facts_of("nano")
    size = resolve_model("nano").size
    assert size is not None
    assert facts.parameters == size.parameters
    assert (facts.architecture, facts.quant, facts.trained_context_tokens) == ("llama", "Q8_0", size.context_tokens)
    assert facts.dialects == size.dialects
    assert facts.license == size.license
    assert facts.template.kind == "same"
    assert (facts.sha256, facts.pulled_at, dict(facts.scores)) == ("", "", {})


def test_a_pulled_model_adds_its_source_revision_hash_and_licence() -> None:
    model = put(HubCache.of_user(), model_file({"general.license": "other"}), name="mine")
    facts = facts_of("mine")
    assert (facts.name, facts.path) == ("mine", model.path)
    assert facts.source == model.place
    assert facts.sha256 == model.manifest.sha256
    assert facts.size_bytes == model.manifest.size_bytes
    assert (facts.license, facts.pulled_at) == ("mit", model.manifest.pulled_at)


def test_a_file_tells_its_own_licence_source_dialects_and_scores(tmp_path: Path) -> None:
    name = written(
        tmp_path / "m.gguf",
        {
            "general.license": "apache-2.0",
            "coalm.source": "here",
            "coalm.dialects": "dst,hammer",
            "coalm.score.multiwoz.jga": 30.5,
            "coalm.score.note": "greedy",
        },
    )
    facts = facts_of(name)
    assert (facts.license, facts.source, facts.dialects) == ("apache-2.0", "here", ("dst", "hammer"))
    assert facts.scores == {"multiwoz.jga": 30.5, "note": "greedy"}


@pytest.mark.parametrize(
    ("template", "kind"), [(None, "missing"), (TEMPLATE, "different"), ("{{ 1/0 }}", "fails"), ("{% x", "fails")]
)
def test_the_chat_template_is_checked(tmp_path: Path, template: str | None, kind: str) -> None:
    assert facts_of(written(tmp_path / "m.gguf", {"tokenizer.chat_template": template})).template.kind == kind


@pytest.mark.parametrize(
    ("file_type", "quant"), [(15, "Q4_K_M"), (0, "F32"), (1, "F16"), (9999, "F32"), ("x", "F32"), (None, "F32")]
)
def test_the_quant_is_the_files_word_or_else_its_most_common_type(
    tmp_path: Path, file_type: Value | None, quant: str
) -> None:
    name = written(tmp_path / "m.gguf", {"general.file_type": file_type})
    assert quant_of(check_model_file(Path(name))) == quant


def test_provenance_is_told_and_names_the_source(tmp_path: Path) -> None:
    record = Provenance(source="owner/repo", revision="abc", quant="q8_0")
    facts = facts_of(written(tmp_path / "m.gguf", {KEY: reserve(record)}))
    assert (facts.provenance, facts.provenance_problem) == (record, "")
    assert facts.source == "owner/repo@abc"
    assert facts_of(written(tmp_path / "own.gguf", {KEY: reserve(record), "coalm.source": "here"})).source == "here"


def test_damaged_provenance_is_told_and_hides_nothing_else(tmp_path: Path) -> None:
    facts = facts_of(written(tmp_path / "m.gguf", {KEY: "{", "coalm.source": "here"}))
    assert facts.provenance is None
    assert "cannot be read" in facts.provenance_problem
    assert facts.source == "here"


def test_an_onnx_folder_is_described_by_its_record_and_its_vocabulary() -> None:
    facts = facts_of(str(FP32))
    assert (facts.architecture, facts.template.kind) == ("llama", "different")
    assert (facts.parameters, facts.dialects) == (101312, ("hammer", "cra"))
    assert facts.size_bytes == sum(path.stat().st_size for path in FP32.iterdir() if path.name != "coalm.json")
    assert facts.provenance is not None
    assert facts.source == facts.provenance.source == "tiny"
