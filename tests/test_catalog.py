from __future__ import annotations

from pathlib import Path

import pytest

from coalm_lite import dialects, models
from coalm_lite.catalog import QUANTS, read_catalog, resolve_model, shipped_catalog
from coalm_lite.errors import ModelError, UsageError

SIZE = 'title = "T"\ncontext_tokens = 5\ndialects = ["cra"]\nlicense = "L"\n'
GOOD = f'[sizes.a]\n{SIZE}checkpoint = "o/r"\n'
FILE = '[files.a-q4]\nsize = "a"\nquant = "Q4_K_M"\nrepository = "o/r"\npath = "p.gguf"\napproximate_bytes = 7\n'


def test_the_shipped_catalog_has_the_sizes_and_quants_of_the_design() -> None:
    shipped = shipped_catalog()
    assert list(shipped.sizes) == ["nano", "8b", "70b", "405b"]
    assert set(shipped.files) == {f"8b-{quant}" for quant in QUANTS}
    assert all(size.dialects and set(size.dialects) <= set(dialects.NAMES) for size in shipped.sizes.values())
    assert shipped.sizes["nano"].instructions == "short"
    assert shipped.names[0] == "nano"


def test_a_larger_quant_of_a_size_is_a_larger_file() -> None:
    sizes = [shipped_catalog().files[f"8b-{quant}"].approximate_bytes for quant in QUANTS]
    assert sizes == sorted(sizes)


def test_the_shipped_model_is_found_inside_the_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(models, "__file__", str(tmp_path / "__init__.py"))
    with pytest.raises(ModelError, match=r"model nano is missing .*coalm-nano\.Q8_0\.gguf") as raised:
        resolve_model("nano")
    assert "path" in raised.value.hint
    (tmp_path / "coalm-nano.Q8_0.gguf").touch()
    found = resolve_model("nano")
    assert found.is_shipped
    assert found.path == tmp_path / "coalm-nano.Q8_0.gguf"


@pytest.mark.parametrize("text", ["model.gguf", "./nano", "folder/model", "../8b-q4", "Model.GGUF", "/a/b"])
def test_a_path_is_a_path_even_when_nothing_is_there(text: str) -> None:
    reference = resolve_model(text)
    assert reference.path == Path(text)
    assert not reference.is_shipped


def test_a_path_may_begin_at_the_home_folder(_own_home: Path) -> None:
    assert resolve_model("~/m.gguf").path == _own_home / "m.gguf"


def test_a_known_model_that_is_not_here_says_what_it_is_and_how_to_give_its_path() -> None:
    with pytest.raises(ModelError) as raised:
        resolve_model("8b-q4")
    assert "CoALM-8B.Q4_K_M.gguf of mradermacher/CoALM-8B-GGUF, about 4.92 GB" in raised.value.message
    assert "./CoALM-8B.Q4_K_M.gguf" in raised.value.hint
    assert "cannot pull" in raised.value.hint


@pytest.mark.parametrize(
    ("text", "kind", "message", "hint"),
    [
        ("70b-q4", ModelError, "nobody has published .* uiuc-convai/CoALM-70B", "CoALM-70B.gguf"),
        ("405b", ModelError, "nobody has published", "CoALM-405B.gguf"),
        ("8b", UsageError, "8b has several files", "8b-q2, 8b-q3, 8b-q4"),
        ("8b_q4", UsageError, "no model called '8b_q4'", "Did you mean 8b-q4"),
        ("nana", UsageError, "no model called 'nana'", "Did you mean nano"),
        ("gpt", UsageError, "no model called 'gpt'", "Name one of nano, 8b-q2"),
        ("8b-q9", UsageError, "no model called '8b-q9'", "Did you mean 8b-q"),
        ("hf:owner/repo/file.gguf", UsageError, "not on this machine", "./file.gguf"),
        ("http://localhost:8000", UsageError, "not on this machine", "./model.gguf"),
        ("", UsageError, "no model called ''", "Name one of"),
    ],
)
def test_what_cannot_be_opened_says_why_and_what_can(text: str, kind: type[Exception], message: str, hint: str) -> None:
    with pytest.raises(kind, match=message) as raised:
        resolve_model(text)
    assert hint in getattr(raised.value, "hint", "")


def test_a_file_without_suffix_is_told_to_write_its_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("weights").touch()
    with pytest.raises(UsageError) as raised:
        resolve_model("weights")
    assert "./weights" in raised.value.hint


def test_a_good_catalog_is_read() -> None:
    found = read_catalog(GOOD + FILE, "mine.toml")
    assert found.sizes["a"].instructions == "full"
    assert found.files["a-q4"].approximate_bytes == 7


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[sizes", "mine.toml is no TOML"),
        ("sizes = 3", "mine.toml: sizes is no table"),
        ("[sizes]\na = 3", "mine.toml: sizes.a is no table"),
        ("[more]", "mine.toml: more: is an unknown key"),
        (GOOD + "extra = 1", "sizes.a: extra: is an unknown key"),
        (GOOD.replace('title = "T"', ""), "sizes.a: title: is missing"),
        (GOOD.replace('"T"', '""'), "sizes.a: title: must be a text"),
        (GOOD.replace('"T"', "3"), "sizes.a: title: must be a text"),
        (GOOD.replace("= 5", "= 0"), "sizes.a: context_tokens: must be a whole number above 0"),
        (GOOD.replace("= 5", "= true"), "context_tokens: must be a whole number"),
        (GOOD.replace('["cra"]', "[]"), "dialects: must be a list of texts"),
        (GOOD.replace('["cra"]', '["cra", 1]'), "dialects: must be a list of texts"),
        (GOOD.replace('dialects = ["cra"]', ""), "dialects: is missing"),
        (GOOD + 'instructions = "long"', "instructions: is 'long', not one of full, short"),
        (GOOD + 'shipped_file = "f"', "checkpoint: give either it or shipped_file"),
        (GOOD + FILE.replace('size = "a"', 'size = "b"'), "files.a-q4: size: is 'b', which is none of a"),
    ],
)
def test_a_wrong_catalog_is_refused_with_place_and_key(text: str, message: str) -> None:
    with pytest.raises(ModelError) as raised:
        read_catalog(text, "mine.toml")
    assert message in raised.value.message
    assert raised.value.hint
