from __future__ import annotations

from pathlib import Path

import pytest

from coalm_lite import models, paths
from coalm_lite.errors import CoalmError, ModelError, UsageError
from coalm_lite.store.cache import HubCache
from coalm_lite.store.default import default_file, set_default
from coalm_lite.store.names import default_model, named_models, pulled_models, resolve_model
from tests.store.pulled import REPOSITORY, commit, put

PUBLISHED = {"repository": "mradermacher/CoALM-8B-GGUF", "path": "CoALM-8B.Q4_K_M.gguf"}


@pytest.fixture
def users() -> HubCache:
    """The cache that names are looked up in when none is given: the test's own home has it."""
    return HubCache.of_user()


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
    assert reference.local is None


def test_a_folder_is_named_by_a_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("m").mkdir()
    assert resolve_model("m/").path == Path("m")
    assert (resolve_model("./m").name, resolve_model(".").name) == ("m", ".")
    with pytest.raises(UsageError, match="no model called 'm'") as raised:
        resolve_model("m")
    assert "write ./m" in raised.value.hint
    set_default(str(tmp_path / "m"))
    assert default_model().name == str(tmp_path / "m")
    Path("m").rmdir()
    assert default_model().name == "nano"


def test_a_path_may_begin_at_the_home_folder(_own_home: Path) -> None:
    assert resolve_model("~/m.gguf").path == _own_home / "m.gguf"


@pytest.mark.parametrize("text", ["~no-such-user-here/m.gguf", "./" + "n" * 300, "a\0.gguf"])
def test_a_path_that_cannot_be_is_still_a_path(text: str) -> None:
    assert resolve_model(text).path == Path(text)
    set_default(text.replace("\0", ""))
    assert default_model().name == "nano"


def test_a_path_is_found_even_when_the_cache_cannot_be_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_CACHE", "/proc/self/mem/no")
    assert resolve_model("./m.gguf").path == Path("m.gguf")
    assert resolve_model("nano").is_shipped


def test_a_known_model_that_is_not_here_says_what_it_is_and_how_to_get_it() -> None:
    with pytest.raises(ModelError) as raised:
        resolve_model("8b-q4")
    assert "CoALM-8B.Q4_K_M.gguf of mradermacher/CoALM-8B-GGUF, about 4.92 GB" in raised.value.message
    assert "`coalm-lite pull 8b-q4`" in raised.value.hint


@pytest.mark.parametrize(
    ("text", "kind", "message", "hint"),
    [
        ("70b-q4", ModelError, "nobody has published .* uiuc-convai/CoALM-70B", "pull 70b-q4"),
        ("405b", ModelError, "nobody has published", "pull 405b-q4"),
        ("8b", UsageError, "8b has several files", "8b-q2, 8b-q3, 8b-q4"),
        ("8b_q4", UsageError, "no model called '8b_q4'", "Did you mean 8b-q4"),
        ("nana", UsageError, "no model called 'nana'", "Did you mean nano"),
        ("gpt", UsageError, "no model called 'gpt'", "Name one of nano, 8b-q2"),
        ("8b-q9", UsageError, "no model called '8b-q9'", "Did you mean 8b-q"),
        ("hf:owner/repo/file.gguf", ModelError, "not on this machine", "pull hf:owner/repo/file.gguf"),
        ("hf:owner", UsageError, "no place on the Hub", "hf:owner/repo"),
        ("hf:owner/repo/../../x", UsageError, "cannot be a file's name", "name"),
        ("http://localhost:8000", UsageError, "is a server", "./model.gguf"),
        ("", UsageError, "no model called ''", "Name one of"),
        ("n" * 300, UsageError, "no model called 'nnn", "Name one of"),
        ("n" * 5000, UsageError, "no model called 'nnn", "Name one of"),
        ("a\0b", UsageError, "no model called", "Name one of"),
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


def test_a_pulled_model_is_found_by_its_catalog_name_and_by_its_place(users: HubCache) -> None:
    model = put(users, name="8b-q4", **PUBLISHED)
    for text in ("8b-q4", "hf:mradermacher/CoALM-8B-GGUF:q4_k_m", f"hf:{PUBLISHED['repository']}/{PUBLISHED['path']}"):
        found = resolve_model(text)
        assert (found.path, found.name, found.local) == (model.path, text, model)
        assert not found.is_shipped


def test_a_file_that_was_pulled_by_its_place_has_its_catalog_name_too(users: HubCache) -> None:
    model = put(users, **PUBLISHED)
    assert resolve_model("8b-q4").path == model.path


def test_the_newest_usable_pull_of_a_name_is_meant_and_a_revision_means_itself(users: HubCache) -> None:
    old = put(users, b"old", name="m", pulled_at="2026-01-01T00:00:00Z")
    new = put(users, b"new", name="m", revision="second", pulled_at="2026-02-01T00:00:00Z")
    assert resolve_model("m").path == new.path
    assert resolve_model(old.place).path == old.path
    assert resolve_model(f"hf:{REPOSITORY}@{commit('first')[:8]}/model.Q4_K_M.gguf").path == old.path
    assert pulled_models("m") == (new, old)
    new.path.unlink()
    assert resolve_model("m").path == old.path


def test_a_place_that_means_several_files_lists_them(users: HubCache) -> None:
    put(users, b"1", path="a.Q4_K_M.gguf")
    put(users, b"2", path="b.Q8_0.gguf")
    with pytest.raises(UsageError, match="several files") as raised:
        resolve_model(f"hf:{REPOSITORY}")
    assert "a.Q4_K_M.gguf" in raised.value.hint
    assert "b.Q8_0.gguf" in raised.value.hint
    assert resolve_model(f"hf:{REPOSITORY}:Q8_0").path.name == "b.Q8_0.gguf"


def test_a_pulled_model_whose_file_is_gone_says_so_and_how_to_get_it(users: HubCache) -> None:
    put(users, name="8b-q4", **PUBLISHED).path.unlink()
    with pytest.raises(ModelError, match=r"8b-q4 was pulled, but the file is gone: .*CoALM-8B\.Q4_K_M\.gguf") as raised:
        resolve_model("8b-q4")
    assert "`coalm-lite pull 8b-q4`" in raised.value.hint


@pytest.mark.parametrize("text", ["nano", "./m.gguf"])
def test_what_was_not_pulled_is_no_pulled_model(text: str) -> None:
    with pytest.raises(UsageError, match="was not pulled"):
        pulled_models(text)


def test_names_are_looked_up_among_the_given_models_alone(cache: HubCache) -> None:
    model = put(cache, name="mine")
    assert named_models("mine", [model]) == (model,)
    assert named_models("mine", []) == named_models("other", [model]) == ()


def test_dialects_come_from_the_file_then_the_record_then_the_catalog(users: HubCache) -> None:
    nano = resolve_model("nano")
    assert nano.dialects({"coalm.dialects": " dst, hammer ,"}) == ("dst", "hammer")
    assert nano.size is not None
    assert nano.dialects({}) == nano.size.dialects
    assert resolve_model("./m.gguf").dialects({}) == ()


def test_the_default_is_the_embedded_model_until_one_is_chosen(users: HubCache) -> None:
    assert (default_model().name, default_model().note) == ("nano", "")
    put(users, name="mine")
    set_default("mine")
    assert (default_model().name, default_model().note) == ("mine", "")


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("8b-q4", "is not on this machine"),
        ("gone", "was pulled, but the file is gone"),
        ("/no/where.gguf", "there is no"),
        ("xyz", "no model called"),
        ("a\x07b", "holds no model's name"),
    ],
)
def test_a_default_that_cannot_be_used_is_told_and_the_embedded_model_taken(
    users: HubCache, name: str, why: str
) -> None:
    put(users, name="gone").path.unlink()
    set_default(name)
    found = default_model()
    assert found.name == "nano"
    assert why in found.note
    assert "nano answers" in found.note
    assert "coalm-lite use NAME" in found.note
    assert default_file().exists()


def test_a_wrong_catalog_of_the_users_is_an_error_that_names_its_file() -> None:
    path = paths.config_dir() / "catalog.toml"
    path.parent.mkdir(parents=True)
    path.write_text("[files.x]\nrepository = 5\n")
    with pytest.raises(CoalmError) as raised:
        resolve_model("nano")
    assert str(path) in raised.value.message
