from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import pytest

from coalm_lite.converters.gguf import Quant, convert
from coalm_lite.converters.provenance import BUILT_WITH_LLAMA, attribution_of, begun_record, finished_record, license_of
from coalm_lite.converters.sources.checkpoint import checkpoint_source
from coalm_lite.runtime.gguf_header import read_header
from coalm_lite.store.provenance import (
    KEY,
    ImportanceMatrix,
    Verification,
    patch_provenance,
    read_provenance,
    reserve,
)
from tests.converters.tiny_checkpoint import TEMPLATE

CARD = """---
license: llama3.1
base_model: meta-llama/Llama-3.1-8B-Instruct
---
"""


def test_a_file_tells_its_whole_story(checkpoint: Path, tmp_path: Path) -> None:
    (checkpoint / "README.md").write_text(CARD, encoding="utf-8")
    source, target = checkpoint_source(checkpoint), tmp_path / "out.gguf"
    begun = begun_record(source, "q8_0", ImportanceMatrix(sha256="0" * 64))
    report = convert(source, target, Quant.Q8_0, metadata={KEY: reserve(begun)}, measured=True)
    assert read_provenance(read_header(target)) == begun
    patch_provenance(target, finished_record(begun, read_header(target), report, Verification(call="f()")))
    header = read_header(target)
    found = read_provenance(header)
    assert found is not None
    assert (found.source, found.quant, found.license) == ("tiny", "q8_0", "llama3.1")
    assert found.attribution == (BUILT_WITH_LLAMA,)
    assert found.template_sha256 == hashlib.sha256(TEMPLATE.encode()).hexdigest()
    assert found.data_sha256 == hashlib.sha256(target.read_bytes()[header.data_offset :]).hexdigest()
    assert {file.name: file.size_bytes for file in found.files}["model.safetensors"] > 0
    assert found.errors is not None
    assert found.errors.tensors == len(header.tensors)
    assert 0 < found.errors.by_type["Q8_0"] < 0.02
    assert found.verification == Verification(call="f()")
    assert str(tmp_path) not in json.dumps(header.texts[KEY])


def test_the_provenance_changes_no_other_byte(checkpoint: Path, tmp_path: Path) -> None:
    source = checkpoint_source(checkpoint)
    convert(source, tmp_path / "plain.gguf", Quant.Q8_0)
    convert(source, tmp_path / "told.gguf", Quant.Q8_0, metadata={KEY: reserve(begun_record(source, "q8_0"))})
    plain, told = read_header(tmp_path / "plain.gguf"), read_header(tmp_path / "told.gguf")
    assert {key: value for key, value in told.values.items() if key != KEY} == plain.values
    assert (told.tensors, told.arrays) == (plain.tensors, plain.arrays)
    data = [(tmp_path / name).read_bytes() for name in ("plain.gguf", "told.gguf")]
    assert data[0][plain.data_offset :] == data[1][told.data_offset :]


def test_what_was_not_measured_is_not_told(checkpoint: Path, tmp_path: Path) -> None:
    source, target = checkpoint_source(checkpoint), tmp_path / "out.gguf"
    begun = begun_record(source, "f16")
    report = convert(source, target, Quant.F16, metadata={KEY: reserve(begun)})
    record = finished_record(begun, read_header(target), report, None)
    assert (record.errors, record.verification, record.license, record.attribution) == (None, None, "", ())
    assert replace(record, template_sha256="", data_sha256="") == begun


@pytest.mark.parametrize(
    ("texts", "attribution"),
    [
        ({}, ()),
        ({"general.license": "llama3.3"}, (BUILT_WITH_LLAMA,)),
        ({"general.license": "llama2"}, (BUILT_WITH_LLAMA,)),
        ({"general.license": "mit", "general.base_model.0.name": "Llama 3.1 8B Instruct"}, (BUILT_WITH_LLAMA,)),
        ({"general.base_model.1.repo_url": "https://huggingface.co/meta-llama/X"}, (BUILT_WITH_LLAMA,)),
        ({"general.base_model.0.organization": "Meta Llama"}, (BUILT_WITH_LLAMA,)),
        ({"general.base_model.0.organization": "Not Meta Llama Lovers"}, ()),
        ({"general.base_model.0.name": "TinyLlama 1.1B"}, ()),
        ({"general.license": "apache-2.0", "general.author": "A", "general.organization": "B"}, ("by A", "by B")),
    ],
)
def test_attribution_is_what_the_source_says(texts: dict[str, str], attribution: tuple[str, ...]) -> None:
    assert attribution_of(texts) == attribution


def test_a_licence_has_its_name_and_link() -> None:
    texts = {"general.license": "other", "general.license.name": "own", "general.license.link": "https://x"}
    assert license_of(texts) == "other, own, https://x"
    assert license_of({"general.license": "mit"}) == "mit"


def test_a_card_of_any_length_fits_into_what_is_reserved(checkpoint: Path, tmp_path: Path) -> None:
    card = json.dumps({"license": "\U0001f999" * 9000, "author": "\n" * 9000}, ensure_ascii=False)
    (checkpoint / "README.md").write_text(f"---\n{card}\n---\n", encoding="utf-8")
    source, target = checkpoint_source(checkpoint), tmp_path / "out.gguf"
    begun = begun_record(source, "q8_0")
    report = convert(source, target, Quant.Q8_0, metadata={KEY: reserve(begun)}, measured=True)
    record = finished_record(begun, read_header(target), report, Verification(call="\U0001f999" * 400))
    patch_provenance(target, record)
    assert read_provenance(read_header(target)) == record
    assert record.license.endswith("...")
