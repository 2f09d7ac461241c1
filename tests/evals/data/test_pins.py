"""The pins: complete, at fixed commits, and those of the files that lie beside a checkout are theirs."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path, PurePosixPath

import pytest

from coalm_lite.errors import UsageError
from coalm_lite.evals.data.download import Origin
from coalm_lite.evals.data.fetch import fetch
from coalm_lite.evals.data.files import FOLDERS
from coalm_lite.evals.data.pins import Pin, pinned, pinned_suites

SHARED = Path(__file__).parents[4] / "shared" / "data"


def test_every_suite_with_data_has_pins_at_fixed_places() -> None:
    assert set(pinned_suites()) == set(FOLDERS)
    for suite in pinned_suites().values():
        assert suite.title and suite.licence and suite.source
        for pin in suite.pins:
            assert re.fullmatch("[0-9a-f]{64}|[0-9a-f]{40}", pin.etag)
            assert re.match(r"https://(raw\.githubusercontent\.com/[^/]+/[^/]+/[0-9a-f]{40}/|files\.python)", pin.url)
            assert not PurePosixPath(pin.path).is_absolute() and ".." not in pin.path
        assert len({pin.path for pin in suite.pins}) == len(suite.pins)
        assert all(pin.size_bytes for pin in suite.pins) or suite.unpack == "multiwoz"


def test_a_git_blob_hash_is_gits_own(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"some bytes\n")
    said = subprocess.run(["git", "hash-object", str(path)], capture_output=True, text=True, check=True)
    pin = Pin("file", "https://example.org/file", "0" * 40)
    assert (pin.kind, pin.hash_of(path)) == ("git blob", said.stdout.strip())


def test_an_unknown_suite_is_told_which_there_are() -> None:
    with pytest.raises(UsageError, match="'smoke'") as unknown:
        pinned("smoke")
    assert "bfcl-executors" in unknown.value.hint


@pytest.mark.skipif(not SHARED.is_dir(), reason="the public data is not here")
@pytest.mark.parametrize(("name", "files"), [("bfcl", 39), ("apibank", 2)])
def test_the_published_files_have_the_pinned_hashes(tmp_path: Path, name: str, files: int) -> None:
    assert fetch(pinned(name), tmp_path, Origin(str(SHARED))).files == files
