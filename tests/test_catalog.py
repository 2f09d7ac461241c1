from __future__ import annotations

import pytest

from coalm_lite import dialects
from coalm_lite.catalog import QUANTS, catalog, read_catalog, shipped_catalog, user_catalog_path
from coalm_lite.errors import ModelError

SIZE = (
    'title = "T"\ncontext_tokens = 5\ndialects = ["cra"]\nlicense = "L"\nnon_commercial = true\nparameters = 9\n'
    "layers = 1\nhidden = 8\nfeed_forward = 8\nheads = 4\nkv_heads = 2\nvocabulary = 3\n"
)
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


def test_the_shapes_give_the_published_kv_cache_sizes_and_checkpoint_sizes() -> None:
    shipped = shipped_catalog().sizes
    kib_a_token = {name: 2 * 2 * size.layers * size.kv_heads * size.head_width / 1024 for name, size in shipped.items()}
    assert kib_a_token == {"nano": 3, "8b": 128, "70b": 320, "405b": 504}
    for size in shipped.values():
        feed_forward = 3 * size.hidden * size.feed_forward
        attention = 2 * size.hidden * (size.hidden + size.kv_heads * size.head_width)
        norms = 2 * size.hidden
        outside = 2 * size.vocabulary * size.hidden + size.hidden
        assert size.parameters == size.layers * (feed_forward + attention + norms) + outside, size.name


def test_only_the_embedded_model_may_be_used_commercially() -> None:
    assert {name: size.non_commercial for name, size in shipped_catalog().sizes.items()} == {
        "nano": False,
        "8b": True,
        "70b": True,
        "405b": True,
    }
    assert all(("NC" in size.license) == size.non_commercial for size in shipped_catalog().sizes.values())


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
        (GOOD.replace("= true", "= 1"), "non_commercial: must be true or false"),
        (GOOD.replace("non_commercial = true", ""), "non_commercial: is missing"),
        (GOOD.replace("heads = 4", "heads = 3"), "hidden: must be a multiple of heads"),
        (GOOD.replace("kv_heads = 2", "kv_heads = 3"), "heads: must be a multiple of kv_heads"),
        (GOOD.replace("layers = 1", "layers = 0.5"), "layers: must be a whole number above 0"),
        (GOOD + FILE.replace("[files.a-q4]", "[files.a]"), "files.a: name: is that of a size"),
        (GOOD + FILE.replace("a-q4", '"../x"'), "files.../x: name: a name has letters"),
        (GOOD + FILE.replace("a-q4", '"x.GGUF"'), "files.x.GGUF: name: a name has letters"),
        (GOOD + FILE.replace("a-q4", '"hf:a"'), "name: a name has letters"),
        (GOOD + FILE.replace("a-q4", '""'), "name: a name has letters"),
        (GOOD + FILE.replace('path = "p.gguf"', ""), "files.a-q4: path: is missing"),
        (GOOD + FILE.replace("= 7", "= 0"), "files.a-q4: approximate_bytes: must be a whole number above 0"),
    ],
)
def test_a_wrong_catalog_is_refused_with_place_and_key(text: str, message: str) -> None:
    with pytest.raises(ModelError) as raised:
        read_catalog(text, "mine.toml")
    assert message in raised.value.message
    assert raised.value.hint


def write_own(text: str | bytes) -> None:
    path = user_catalog_path()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text.encode() if isinstance(text, str) else text)


def test_without_a_file_of_the_users_the_catalog_is_the_shipped_one() -> None:
    assert catalog() is shipped_catalog()


def test_a_users_entries_stand_beside_the_shipped_ones_and_replace_those_of_their_name() -> None:
    write_own(
        '[files.mine]\nrepository = "o/r"\npath = "p.gguf"\n' + FILE.replace("a-q4", "8b-q4").replace('"a"', '"8b"')
    )
    found, shipped = catalog(), shipped_catalog()
    assert found.files["8b-q4"].repository == "o/r"
    assert shipped.files["8b-q4"].repository != "o/r"
    assert found.names == [*shipped.names, "mine"]
    mine = found.files["mine"]
    assert (mine.size, mine.quant, mine.approximate_bytes) == ("", "", 0)
    assert dict(found.sizes) == dict(shipped.sizes)


def test_a_user_may_describe_a_size_and_name_a_file_of_it() -> None:
    write_own(GOOD + FILE)
    assert catalog().sizes[catalog().files["a-q4"].size].title == "T"


def test_a_mark_that_windows_editors_write_first_is_no_fault() -> None:
    write_own(b"\xef\xbb\xbf" + FILE.replace('"a"', '"8b"').encode())
    assert "a-q4" in catalog().files


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[files", "is no TOML"),
        (b"\xff\xfe[", "cannot be read"),
        (FILE, "files.a-q4: size: is 'a'"),
        (GOOD.replace("[sizes.a]", "[sizes.nano]"), "only coalm-lite itself"),
        (GOOD.replace('checkpoint = "o/r"', 'shipped_file = "f"'), "only coalm-lite itself"),
        (FILE.replace("a-q4", "nano").replace('"a"', '"8b"'), "files.nano: name: is that of a size"),
    ],
)
def test_a_users_wrong_catalog_is_refused_with_the_name_of_its_file(text: str | bytes, message: str) -> None:
    write_own(text)
    with pytest.raises(ModelError) as raised:
        catalog()
    assert str(user_catalog_path()) in raised.value.message
    assert message in raised.value.message
    assert raised.value.hint


def test_a_folder_in_the_catalogs_place_is_told() -> None:
    user_catalog_path().mkdir(parents=True)
    with pytest.raises(ModelError, match="cannot be read"):
        catalog()
