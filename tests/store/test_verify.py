from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

import pytest

from coalm_lite.errors import StoreError
from coalm_lite.hub.remote import RemoteFile
from coalm_lite.hub.snapshot import link
from coalm_lite.store.cache import HubCache
from coalm_lite.store.local import LocalModel, local_models
from coalm_lite.store.manifest import write_manifest
from coalm_lite.store.verify import verify
from tests.runtime.gguf_bytes import model_file
from tests.store.pulled import REPOSITORY, commit, put

MODEL = model_file()


def test_an_unchanged_model_is_fine_and_each_byte_is_reported(cache: HubCache) -> None:
    counts: list[int] = []
    result = verify(put(cache, MODEL), counts.append)
    assert (result.state, result.detail) == ("fine", "")
    assert sum(counts) == len(MODEL)


@pytest.mark.parametrize("place", [0, len(MODEL) // 2, len(MODEL) - 1])
def test_one_changed_bit_anywhere_is_told_with_both_hashes(cache: HubCache, place: int) -> None:
    model = put(cache, MODEL)
    data = bytearray(MODEL)
    data[place] ^= 1
    model.path.resolve().write_bytes(data)
    result = verify(model)
    assert result.state == "changed bytes"
    assert hashlib.sha256(data).hexdigest() in result.detail
    assert model.manifest.sha256 in result.detail


@pytest.mark.parametrize("data", [b"", MODEL[:-1], MODEL + b"\0"])
def test_another_length_is_told_without_reading(cache: HubCache, data: bytes) -> None:
    model = put(cache, MODEL)
    model.path.resolve().write_bytes(data)
    counts: list[int] = []
    result = verify(model, counts.append)
    assert result.state == "changed bytes"
    assert f"{len(data)} bytes" in result.detail
    assert not counts


def test_a_missing_file_is_told(cache: HubCache) -> None:
    model = put(cache, MODEL)
    model.path.resolve().unlink()
    result = verify(model)
    assert (result.state, str(model.path) in result.detail) == ("missing", True)


def test_a_file_that_never_was_a_model_has_a_bad_header(cache: HubCache) -> None:
    result = verify(put(cache, b"GGUX, not a model"))
    assert result.state == "bad header"
    assert "not a GGUF file" in result.detail


def small(cache: HubCache) -> LocalModel:
    """A file that Git keeps itself, so that its ETag is Git's hash of it."""
    etag = hashlib.sha1(b"blob %d\0" % len(MODEL) + MODEL).hexdigest()
    manifest = replace(put(cache, MODEL).manifest, etag=etag, sha256="", path="small.gguf")
    cache.blob(REPOSITORY, etag).write_bytes(MODEL)
    link(RemoteFile(REPOSITORY, "small.gguf", commit("first"), etag, len(MODEL)), cache.root)
    write_manifest(cache, manifest)
    return next(model for model in local_models(cache) if model.manifest.path == "small.gguf")


def test_a_small_file_is_held_against_gits_hash(cache: HubCache) -> None:
    model = small(cache)
    assert verify(model).state == "fine"
    model.path.resolve().write_bytes(MODEL[:-1] + b"\x7f")
    assert verify(model).state == "changed bytes"


@pytest.mark.skipif(not Path("/proc/self/mem").exists(), reason="no file here that even root cannot read")
def test_a_file_that_cannot_be_read_is_an_error_with_its_path(cache: HubCache) -> None:
    model = put(cache, MODEL)
    model.path.unlink()
    model.path.symlink_to("/proc/self/mem")
    unreadable = replace(model, manifest=replace(model.manifest, size_bytes=0))  # the length that it claims
    with pytest.raises(StoreError):
        verify(unreadable)
