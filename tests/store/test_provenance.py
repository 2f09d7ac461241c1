from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coalm_lite.errors import StoreError
from coalm_lite.runtime.gguf_header import GgufHeader, read_header
from coalm_lite.store.cache import HubCache
from coalm_lite.store.provenance import (
    KEY,
    RESERVED_BYTES,
    Agreement,
    ImportanceMatrix,
    Provenance,
    Score,
    SourceFile,
    TensorErrors,
    Verification,
    is_shared,
    parse_provenance,
    patch_provenance,
    read_provenance,
    reserve,
)
from tests.runtime.gguf_bytes import model_file
from tests.store.pulled import put

HASH = "0123456789abcdef" * 4
EARLY = Provenance(
    source="owner/repo",
    revision="0" * 40,
    files=(SourceFile(name="model.safetensors", size_bytes=7),),
    converter="coalm-lite",
    converter_version="0.1.0",
    quant="q4_k_m",
    imatrix=ImportanceMatrix(sha256=HASH, datasets=("calls.txt",), chunks=12),
    license="mit",
    attribution=("Built with Llama",),
)
LATE = replace(
    EARLY,
    files=(SourceFile(name="model.safetensors", size_bytes=7, sha256=HASH),),
    errors=TensorErrors(tensors=2, worst=0.07, worst_tensor="output.weight", by_type={"Q4_K": 0.06, "F32": 0.0}),
    verification=Verification(
        dialect="cra",
        call="Action: f(a=1)",
        agreement=Agreement(
            base="owner/repo", positions=512, top1=0.98, kl_mean=0.01, kl_standard_error=1e-3, kl_p99=0.2
        ),
    ),
    scores=(Score(name="multiwoz.jga", value=30.1, items=7372, standard_error=0.5, base=30.4),),
)


def file_with(path: Path, text: str | None) -> Path:
    path.write_bytes(model_file({"before": "x", KEY: text, "coalm.after": "y"}))
    return path


def header_with(path: Path, text: str | None) -> GgufHeader:
    return read_header(file_with(path, text))


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A file with an early record."""
    return file_with(tmp_path / "m.gguf", reserve(EARLY))


def test_what_was_reserved_reads_back_and_is_16_kib_of_ascii(model: Path) -> None:
    header = read_header(model)
    assert read_provenance(header) == EARLY
    assert len(header.texts[KEY].encode("ascii")) == header.text_spans[KEY][1] == RESERVED_BYTES


def test_a_file_without_the_key_tells_nothing(tmp_path: Path) -> None:
    assert read_provenance(header_with(tmp_path / "m.gguf", None)) is None


def test_a_patch_changes_the_record_and_no_other_byte(model: Path) -> None:
    before, header = model.read_bytes(), read_header(model)
    patch_provenance(model, LATE)
    after, (start, length) = model.read_bytes(), header.text_spans[KEY]
    assert read_provenance(read_header(model)) == LATE
    assert (after[:start], after[start + length :]) == (before[:start], before[start + length :])
    patch_provenance(model, EARLY)
    assert model.read_bytes() == before


@given(st.builds(Provenance), st.binary(max_size=20))
@settings(max_examples=50, deadline=None)
def test_whatever_can_be_written_can_be_read(record: Provenance, name: bytes) -> None:
    named = replace(record, source=os.fsdecode(name))
    text = reserve(named)
    header = type("Header", (), {"texts": {KEY: text}})
    read = read_provenance(header)  # type: ignore[arg-type]  # texts is all it takes of a header
    assert read is not None
    assert reserve(read) == text


def test_hashes_of_as_many_files_as_llama_405b_has_fit_later(tmp_path: Path) -> None:
    files = tuple(SourceFile(name=f"model-{n:05d}-of-00191.safetensors", size_bytes=1 << 32) for n in range(191))
    model = file_with(tmp_path / "m.gguf", reserve(replace(EARLY, files=files)))
    hashed = replace(LATE, files=tuple(replace(file, sha256=HASH) for file in files))
    patch_provenance(model, hashed)
    assert read_provenance(read_header(model)) == hashed


def test_what_a_later_version_adds_is_stepped_over_and_kept(tmp_path: Path) -> None:
    text = json.dumps(
        {"format": 1, "source": "s", "mood": {"new": [1]}, "files": [{"name": "a", "size_bytes": 1, "x": 2}]}
    )
    model = file_with(tmp_path / "m.gguf", text.ljust(RESERVED_BYTES))
    found = read_provenance(read_header(model))
    assert found == Provenance(source="s", files=(SourceFile(name="a", size_bytes=1),))
    patch_provenance(model, LATE)
    assert json.loads(read_header(model).texts[KEY])["mood"] == {"new": [1]}


def test_a_newer_format_is_not_written_over(tmp_path: Path) -> None:
    model = file_with(tmp_path / "m.gguf", json.dumps({"format": 2, "source": 5}).ljust(RESERVED_BYTES))
    before = model.read_bytes()
    with pytest.raises(StoreError, match=r"newer coalm-lite \(format 2\)"):
        patch_provenance(model, LATE)
    assert model.read_bytes() == before
    with pytest.raises(StoreError) as caught:
        read_provenance(read_header(model))
    assert "update" in caught.value.hint


HOSTILE = {
    "no JSON": "Llama",
    "empty": "",
    "cut": reserve(LATE)[:200],
    "a list": "[1]",
    "no format": "{}",
    "format true": '{"format": true}',
    "format of 400 digits": f'{{"format": {"9" * 400}}}',
    "source a number": '{"format": 1, "source": 3}',
    "files an object": '{"format": 1, "files": {"a": 1}}',
    "long text": json.dumps({"format": 1, "source": "x" * 5000}),
    "long in all": json.dumps({"format": 1, "x": "x" * (1 << 20)}),
    "no hash": '{"format": 1, "data_sha256": "../../etc"}',
    "deep": f'{{"format": 1, "x": {"[" * 100_000}',
    "deep and closed": f'{{"format": 1, "x": {"[" * 500}{"]" * 500}}}',
    "huge size": f'{{"format": 1, "files": [{{"name": "a", "size_bytes": {"9" * 400}}}]}}',
    "more digits than Python reads": f'{{"format": 1, "x": {"9" * 5000}}}',
    "infinite score": '{"format": 1, "scores": [{"name": "a", "value": 1e999, "items": 1}]}',
    "no number": '{"format": 1, "scores": [{"name": "a", "value": NaN, "items": 1}]}',
    "share above 1": '{"format": 1, "verification": {"agreement": {"base": "", "positions": 1, "top1": 2, "kl_mean": 0,'
    ' "kl_standard_error": 0, "kl_p99": 0}}}',
    "half a surrogate": '{"format": 1, "source": "\\ud800"}',
}


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_record_is_one_short_error(tmp_path: Path, text: str) -> None:
    header = header_with(tmp_path / "m.gguf", text)
    with pytest.raises(StoreError) as caught:
        read_provenance(header)
    assert "coalm.provenance" in caught.value.message
    assert len(caught.value.message) < 400
    assert caught.value.message.isprintable()


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=8,
)
fields = st.sampled_from([*Provenance.__dataclass_fields__, "format", "x"])


@given(st.text() | st.dictionaries(fields, json_values).map(lambda values: json.dumps({"format": 1, **values})))
@settings(deadline=None)
def test_whatever_stands_there_is_a_record_or_one_error(text: str) -> None:
    try:
        found = parse_provenance(text)
    except StoreError as error:
        assert error.message.isprintable()
        assert len(error.message) < 400
    else:
        assert parse_provenance(reserve(found)) == found


def test_a_damaged_record_can_be_written_anew(tmp_path: Path) -> None:
    model = file_with(tmp_path / "m.gguf", "{not JSON".ljust(RESERVED_BYTES))
    patch_provenance(model, LATE)
    assert read_provenance(read_header(model)) == LATE


def refused(model: Path, words: str, record: Provenance = LATE) -> None:
    """The patch is an error of these words, and the file is untouched."""
    before = model.read_bytes()
    with pytest.raises(StoreError, match=words) as caught:
        patch_provenance(model, record)
    assert str(model) in caught.value.message
    assert caught.value.hint
    assert model.read_bytes() == before


def test_a_file_with_too_little_room_or_none_is_refused(tmp_path: Path) -> None:
    refused(file_with(tmp_path / "small.gguf", reserve(EARLY)[:300]), "300 are reserved")
    refused(file_with(tmp_path / "none.gguf", None), "key coalm.provenance is missing")


def test_a_record_that_could_not_be_read_again_is_not_written(model: Path) -> None:
    before = model.read_bytes()
    for record in (replace(LATE, source="x" * 5000), replace(LATE, data_sha256="no hash")):
        with pytest.raises(StoreError, match="cannot be written"):
            patch_provenance(model, record)
    assert model.read_bytes() == before


def test_a_pulled_file_is_never_modified_by_any_of_its_names(tmp_path: Path) -> None:
    pulled = put(HubCache.of_user(), model_file({KEY: reserve(EARLY)}))
    outside = tmp_path / "link.gguf"
    outside.symlink_to(pulled.path)
    for path in (pulled.path, pulled.path.resolve(), outside):
        assert is_shared(path)
        refused(path, "never modified")


def test_a_file_in_another_cache_or_with_a_second_name_is_never_modified(tmp_path: Path, model: Path) -> None:
    pulled = put(HubCache(tmp_path / "elsewhere"), model_file({KEY: reserve(EARLY)}))
    refused(pulled.path, "never modified")
    assert not is_shared(model)
    os.link(model, tmp_path / "second.gguf")
    refused(model, "never modified")


@pytest.mark.skipif(os.name == "nt" or not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write all")
def test_a_read_only_file_is_an_error_that_names_it(model: Path) -> None:
    model.chmod(0o444)
    refused(model, "Permission denied")


def test_a_file_that_is_not_there_or_cannot_be_opened_is_an_error_that_names_it(tmp_path: Path) -> None:
    for path in (tmp_path / "no.gguf", tmp_path):
        with pytest.raises(StoreError, match=str(path)):
            patch_provenance(path, LATE)


PATCHER = """
import sys
from pathlib import Path
from tests.store.test_provenance import EARLY, LATE
from coalm_lite.store.provenance import patch_provenance
path = Path(sys.argv[1])
print("ready", flush=True)
while True:
    patch_provenance(path, LATE)
    patch_provenance(path, EARLY)
"""


@pytest.mark.skipif(os.name == "nt", reason="needs SIGKILL")
def test_a_kill_in_the_middle_leaves_a_sound_model(model: Path) -> None:
    before, (start, length) = model.read_bytes(), read_header(model).text_spans[KEY]
    for round_number in range(3):
        with subprocess.Popen([sys.executable, "-c", PATCHER, str(model)], stdout=subprocess.PIPE) as child:
            assert child.stdout is not None
            child.stdout.readline()
            time.sleep(0.003 * round_number)
            child.send_signal(signal.SIGKILL)
        after = model.read_bytes()
        assert (after[:start], after[start + length :]) == (before[:start], before[start + length :])
        patch_provenance(model, LATE)
        assert read_provenance(read_header(model)) == LATE
