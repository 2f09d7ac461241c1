from __future__ import annotations

from coalm_lite.store.cache import HubCache
from coalm_lite.store.local import local_models, read_store
from tests.store.pulled import DATA, REPOSITORY, commit, put


def test_pulled_models_are_listed_newest_first_across_repositories(cache: HubCache) -> None:
    put(cache, name="old", pulled_at="2026-01-01T00:00:00Z")
    put(cache, b"2", name="newest", repository="a/b", pulled_at="2026-03-01T00:00:00Z")
    put(cache, b"3", name="middle", path="m.gguf", pulled_at="2026-02-01T00:00:00Z")
    assert [model.manifest.name for model in local_models(cache)] == ["newest", "middle", "old"]
    assert all(model.present for model in local_models(cache))


def test_an_empty_cache_has_no_models(cache: HubCache) -> None:
    assert read_store(cache).models == read_store(cache).damaged == ()


def test_a_model_says_where_its_file_is_and_its_full_name(cache: HubCache) -> None:
    model = put(cache, path="sub/m.gguf")
    assert model.path.read_bytes() == DATA
    assert model.place == f"hf:{REPOSITORY}@{commit('first')}/sub/m.gguf"


def test_a_file_that_is_gone_or_of_another_length_is_a_problem_of_that_model_alone(cache: HubCache) -> None:
    put(cache, b"fine", path="fine.gguf")
    gone = put(cache, b"gone", path="gone.gguf")
    cut = put(cache, b"cut short", path="cut.gguf")
    gone.path.resolve().unlink()
    cut.path.resolve().write_bytes(b"cut")
    problems = {model.path.name: model.problem for model in local_models(cache)}
    assert problems == {"fine.gguf": "", "gone.gguf": "the file is gone", "cut.gguf": "the file has 3 bytes, not 9"}
    assert [model.present for model in local_models(cache)].count(True) == 1


def test_a_link_that_leads_to_itself_is_a_problem_and_no_crash(cache: HubCache) -> None:
    model = put(cache)
    model.path.unlink()
    model.path.symlink_to(model.path.name)
    assert "cannot be read" in local_models(cache)[0].problem


def test_a_folder_of_ours_that_cannot_be_read_hides_no_other(cache: HubCache) -> None:
    model = put(cache)
    put(cache, b"other", repository="owner/other", path="directory.gguf")
    (record,) = cache.own("owner/other").iterdir()
    record.unlink()
    record.mkdir()
    store = read_store(cache)
    assert store.models == (model,)
    assert str(record) in store.damaged[0].message


def test_what_was_built_here_is_listed_with_the_rest_from_whatever_cache(cache: HubCache) -> None:
    built = put(HubCache.of_built(), b"built", name="built", pulled_at="2026-09-01T00:00:00Z")
    pulled = put(cache, name="pulled")
    assert local_models(cache) == (built, pulled)
    assert (built.cache, pulled.cache) == (HubCache.of_built(), cache)
    assert built.path.is_relative_to(HubCache.of_built().root)
    assert local_models(HubCache.of_built()) == (built,), "no cache counts twice"
