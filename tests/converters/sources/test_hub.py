"""A checkpoint read from the Hub by range gives the bytes that its folder gives, or an error and no file."""

from __future__ import annotations

import random
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import pytest

from coalm_lite.converters.gguf import Quant, convert
from coalm_lite.converters.sources.opening import open_source
from coalm_lite.converters.sources.weights import read_header
from coalm_lite.converters.writing.partial import Target
from coalm_lite.errors import CoalmError, HubError, ModelError, UsageError
from coalm_lite.hub.backoff import Waits
from coalm_lite.hub.client import HubClient
from coalm_lite.hub.places import HubPlace
from tests.converters.tiny_checkpoint import Recipe, make_tensor, write_checkpoint, write_safetensors
from tests.hub.hub_server import OTHER_TOKEN, TOKEN, Hub, Refusal, hub_server

REPOSITORY = "someone/CoALM-tiny"
NAME = f"hf:{REPOSITORY}"
SHARD = "model-00002-of-00003.safetensors"
QUICK = Waits(tries=3, first_s=0.01, longest_s=0.02)
CARD = "---\nlicense: cc-by-nc-4.0\nbase_model: meta-llama/Llama-3.1-8B-Instruct\n---\nA card.\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The checkpoint as somebody would have it on a disk, in a folder of the repository's name."""
    made = write_checkpoint(tmp_path / "CoALM-tiny", Recipe(shards=3))
    (made / "README.md").write_text(CARD)
    (made / "unwanted.bin").write_bytes(b"pickle")
    (made / "consolidated.safetensors").write_bytes(b"the same weights, in another form")
    return made


@pytest.fixture
def hub(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    for name in ("HF_TOKEN", "HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE", "http_proxy", "HTTP_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    with hub_server({f"{REPOSITORY}/{path.name}": path for path in folder.iterdir()}) as running:
        monkeypatch.setenv("HF_ENDPOINT", running.endpoint)
        yield running


@pytest.fixture
def client() -> HubClient:
    return HubClient(waits=QUICK)


def converted(client: HubClient, target: Path, quant: Quant = Quant.Q4_K_M, name: str = NAME) -> bytes:
    with open_source(name, client) as source:
        convert(source, target, quant)
    return target.read_bytes()


def refusal(client: HubClient, target: Path, name: str = NAME) -> CoalmError:
    """The error of a conversion, which leaves nothing."""
    with pytest.raises(CoalmError) as caught:
        converted(client, target, name=name)
    assert list(target.parent.glob(f"{target.name}*")) == []
    return caught.value


@pytest.mark.parametrize("quant", [Quant.F16, Quant.Q4_K_M, Quant.Q8_0])
def test_the_file_is_the_one_that_the_folder_gives(
    hub: Hub, client: HubClient, folder: Path, tmp_path: Path, quant: Quant
) -> None:
    convert(folder, tmp_path / "local.gguf", quant)
    assert converted(client, tmp_path / "out.gguf", quant) == (tmp_path / "local.gguf").read_bytes()


def test_one_file_without_an_index_is_a_checkpoint_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = write_checkpoint(tmp_path / "single", Recipe(dtype="F16", tied=True))
    convert(folder, tmp_path / "local.gguf", Quant.Q8_0)
    with hub_server({f"someone/single/{path.name}": path for path in folder.iterdir()}) as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.endpoint)
        out = converted(HubClient(waits=QUICK), tmp_path / "out.gguf", Quant.Q8_0, "hf:someone/single")
    assert out == (tmp_path / "local.gguf").read_bytes()


def test_every_byte_of_the_weights_comes_once_and_no_other_file(hub: Hub, client: HubClient, tmp_path: Path) -> None:
    hub.requests.clear()
    converted(client, tmp_path / "out.gguf")
    read = [request for request in hub.requests if request.where == "cdn"]
    weights = {path: stored.size for path, stored in hub.repositories[REPOSITORY].commits[commit(hub)].items()}
    headers = 3 * (1 << 16)  # the start of each shard is looked at for its header
    assert sum(request.bytes_sent for request in read) <= headers + sum(
        size for path, size in weights.items() if path.endswith(".safetensors")
    )
    assert not any("unwanted" in request.path for request in hub.requests)


def commit(hub: Hub) -> str:
    return hub.commit_of(REPOSITORY)


def test_the_source_says_where_it_comes_from(hub: Hub, client: HubClient) -> None:
    with open_source(NAME, client) as source:
        facts = source.facts
    assert (facts.id, facts.revision) == (REPOSITORY, commit(hub))
    hashes = {file.name: file.sha256 for file in facts.files}
    assert hashes[SHARD] == hub.hash_of(f"{REPOSITORY}/{SHARD}")
    assert not {"unwanted.bin", "consolidated.safetensors"} & set(hashes)
    hub.replace(f"{REPOSITORY}/README.md", b"changed")
    with open_source(NAME, client) as source:
        assert source.facts.identity != facts.identity, "a stopped conversion must not go on with it"


@pytest.mark.parametrize("seed", range(5))
def test_connections_cut_anywhere_change_nothing(
    hub: Hub, client: HubClient, folder: Path, tmp_path: Path, seed: int
) -> None:
    convert(folder, tmp_path / "local.gguf", Quant.Q4_K_M)
    chance = random.Random(seed)
    hub.faults.cut_after += [chance.randrange(20_000) for _ in range(20)]
    assert converted(client, tmp_path / "out.gguf") == (tmp_path / "local.gguf").read_bytes()
    assert not hub.faults.cut_after, "each cut happened"


def test_a_busy_hub_and_addresses_that_run_out_are_waited_for(
    hub: Hub, client: HubClient, folder: Path, tmp_path: Path
) -> None:
    convert(folder, tmp_path / "local.gguf", Quant.Q8_0)
    busy = [Refusal(429, headers={"Retry-After": "0"}), Refusal(503), Refusal(503, "cdn"), Refusal(403, "cdn")]
    hub.faults.refusals += [*busy, Refusal(503, "api"), Refusal(429, "api")]
    assert converted(client, tmp_path / "out.gguf", Quant.Q8_0) == (tmp_path / "local.gguf").read_bytes()
    assert not hub.faults.refusals


def test_a_shard_that_changes_upstream_is_never_spliced(
    hub: Hub, client: HubClient, folder: Path, tmp_path: Path
) -> None:
    with open_source(NAME, client) as source:
        write_safetensors(tmp_path / "newer", {"a": make_tensor("a", (300, 300))}, "F32")
        hub.replace(f"{REPOSITORY}/{SHARD}", (tmp_path / "newer").read_bytes())
        hub.faults.forget_history = True  # as a mirror that gives the newest file whatever commit is asked for
        with pytest.raises(HubError, match=rf"{SHARD} changed on the Hub while it was fetched \(reading model\."):
            convert(source, tmp_path / "out.gguf", Quant.Q8_0)
    assert not (tmp_path / "out.gguf").exists()


def test_a_new_commit_meanwhile_does_not_disturb(hub: Hub, client: HubClient, folder: Path, tmp_path: Path) -> None:
    convert(folder, tmp_path / "local.gguf", Quant.Q8_0)
    with open_source(NAME, client) as source:
        hub.replace(f"{REPOSITORY}/{SHARD}", b"something else")
        convert(source, tmp_path / "out.gguf", Quant.Q8_0)
    assert (tmp_path / "out.gguf").read_bytes() == (tmp_path / "local.gguf").read_bytes()


def test_a_revision_can_be_named(hub: Hub, client: HubClient, folder: Path, tmp_path: Path) -> None:
    convert(folder, tmp_path / "local.gguf", Quant.Q8_0)
    old = commit(hub)
    hub.replace(f"{REPOSITORY}/{SHARD}", b"something else")
    out = converted(client, tmp_path / "out.gguf", Quant.Q8_0, f"{NAME}@{old}")
    assert out == (tmp_path / "local.gguf").read_bytes()


def test_a_server_that_ignores_ranges_is_told_of(hub: Hub, client: HubClient, tmp_path: Path) -> None:
    hub.faults.ignore_ranges = True
    error = refusal(client, tmp_path / "out.gguf")
    assert "the server gives whole files and no parts of them (reading " in error.message
    assert f"hf download {REPOSITORY}" in error.hint


@pytest.mark.parametrize(
    ("token", "said"), [("", "is gated: it needs a token"), (OTHER_TOKEN, "the account of this token has no access")]
)
def test_a_gated_repository_says_what_is_missing(
    hub: Hub, client: HubClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, token: str, said: str
) -> None:
    hub.repositories[REPOSITORY].gated = True
    monkeypatch.setenv("HF_TOKEN", token)
    assert said in refusal(client, tmp_path / "out.gguf").message


def test_a_token_opens_a_gated_repository_and_never_goes_to_its_storage(
    hub: Hub, client: HubClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.repositories[REPOSITORY].gated = True
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    converted(client, tmp_path / "out.gguf")
    assert not any(request.had_token for request in hub.requests if request.where == "cdn")


def test_offline_asks_nobody(hub: Hub, tmp_path: Path) -> None:
    error = refusal(HubClient(offline=True), tmp_path / "out.gguf")
    assert "--offline forbids to ask the Hub" in error.message
    assert hub.requests == []


def test_what_is_no_checkpoint_is_named(
    hub: Hub, client: HubClient, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "names a file, where a repository is needed" in refusal(client, tmp_path / "x", f"{NAME}/a.gguf").message
    index = f"{REPOSITORY}/model.safetensors.index.json"
    hub.replace(index, (folder / "model.safetensors.index.json").read_bytes().replace(b"-00003.s", b"-00004.s"))
    missing = refusal(client, tmp_path / "out.gguf")
    assert f"{REPOSITORY}/model-00001-of-00004.safetensors: no such file on the Hub" in missing.message
    with hub_server({"someone/quants/model.gguf": b"GGUF"}) as other:
        monkeypatch.setenv("HF_ENDPOINT", other.endpoint)
        assert "config.json: file not found" in refusal(client, tmp_path / "out.gguf", "hf:someone/quants").message
    with hub_server({"someone/old/config.json": folder / "config.json", "someone/old/w.bin": b"pickle"}) as other:
        monkeypatch.setenv("HF_ENDPOINT", other.endpoint)
        error = refusal(client, tmp_path / "out.gguf", "hf:someone/old")
    assert "someone/old/model.safetensors: no such file on the Hub; there is 'w.bin'" in error.message


def test_a_small_file_that_is_large_is_not_fetched(
    hub: Hub, client: HubClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("coalm_lite.converters.sources.hub._LARGEST_SMALL_BYTES", 1000)
    hub.replace(f"{REPOSITORY}/config.json", bytes(1001))
    sent = hub.body_bytes_sent()
    with pytest.raises(ModelError, match=r"config\.json: 1001 bytes, more than the 1000"):
        converted(client, tmp_path / "out.gguf")
    assert hub.body_bytes_sent() == sent


def test_at_most_one_block_and_one_network_block_are_held(hub: Hub, client: HubClient, tmp_path: Path) -> None:
    rows, columns = 12_000, 1024  # 24 MB as BF16
    write_safetensors(tmp_path / "x", {"a": make_tensor("a", (rows // 100, columns)).repeat(100, axis=0)}, "BF16")
    hub.replace(f"{REPOSITORY}/model.safetensors", tmp_path / "x")
    with client.reading() as read:
        tensor = read_header(read(client.folder(HubPlace(REPOSITORY)).file("model.safetensors")))["a"]
        tracemalloc.start()
        for block in tensor.raw_blocks(256):
            assert block.nbytes <= 256 * columns * 2
            del block
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert peak < 2 * (256 * columns * 2) + (4 << 20), peak


def test_a_text_without_scheme_is_a_path(client: HubClient, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="there is no folder or file someone/CoALM-tiny") as caught:
        converted(client, tmp_path / "out.gguf", name=REPOSITORY)
    assert f"write {NAME}." in caught.value.hint


def test_a_conversion_that_the_network_ended_goes_on_where_that_is_wanted(
    hub: Hub, client: HubClient, folder: Path, tmp_path: Path
) -> None:
    convert(folder, tmp_path / "local.gguf", Quant.Q8_0)
    target = Target(tmp_path / "out.gguf", kept_after=(HubError,))
    with open_source(NAME, client) as source:
        hub.faults.cut_after += [1 << 30] * 6 + [0] * 99  # some tensors come, then nothing any more
        with pytest.raises(HubError):
            convert(source, target, Quant.Q8_0)
    assert not target.path.exists()
    hub.faults.cut_after.clear()
    with open_source(NAME, client) as source:
        assert convert(source, target, Quant.Q8_0).resumed > 0
    assert target.path.read_bytes() == (tmp_path / "local.gguf").read_bytes()
    assert not list(tmp_path.glob("out.gguf.*"))
