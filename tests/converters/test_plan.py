"""A plan tells, before any weight is read, exactly what a conversion then makes; for 70B and 405B shapes, too."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections import Counter
from math import prod
from pathlib import Path

import pytest

from coalm_lite.converters.gguf import Quant, convert
from coalm_lite.converters.plan import ConversionPlan, plan_conversion
from coalm_lite.converters.sources.opening import open_source
from coalm_lite.errors import ModelError
from coalm_lite.hub.backoff import Waits
from coalm_lite.hub.client import HubClient
from tests.converters.conftest import EditJson
from tests.converters.tiny_checkpoint import Recipe, tensor_shapes, write_checkpoint, write_json
from tests.gguf_models import write_tiny_model
from tests.hub.hub_server import hub_server

LLAMA3 = {"factor": 8.0, "high_freq_factor": 4.0, "low_freq_factor": 1.0, "original_max_position_embeddings": 8192}
# what config.json of the three CoALM checkpoints says, and in how many shards their weights lie
SHAPES = {
    "8b": ((32, 4096, 14336, 32), 4, 8_030_261_248),
    "70b": ((80, 8192, 28672, 64), 30, 70_553_706_496),
    "405b": ((126, 16384, 53248, 128), 191, 405_853_388_800),
}
# GB of mradermacher/CoALM-8B-GGUF, as its page rounds them
PUBLISHED_GB = {
    Quant.Q2_K: "3.18",
    Quant.Q3_K_S: "3.66",
    Quant.Q3_K_M: "4.02",
    Quant.Q3_K_L: "4.32",
    Quant.IQ4_XS: "4.48",
    Quant.Q4_K_S: "4.69",
    Quant.Q4_K_M: "4.92",
    Quant.Q5_K_S: "5.60",
    Quant.Q5_K_M: "5.73",
    Quant.Q6_K: "6.60",
    Quant.Q8_0: "8.54",
    Quant.F16: "16.1",
}


def write_index(folder: Path, shape: str) -> Path:
    """config.json and the index of a CoALM checkpoint; no shard is there."""
    (layers, hidden, feed_forward, heads), shards, parameters = SHAPES[shape]
    config: dict[str, object] = {
        "architectures": ["LlamaForCausalLM"],
        "hidden_size": hidden,
        "intermediate_size": feed_forward,
        "num_hidden_layers": layers,
        "num_attention_heads": heads,
        "num_key_value_heads": 8,
        "head_dim": 128,
        "max_position_embeddings": 131072,
        "rms_norm_eps": 1e-5,
        "rope_theta": 500000.0,
        "rope_scaling": {"rope_type": "llama3", **LLAMA3},
        "tie_word_embeddings": False,
        "torch_dtype": "bfloat16",
        "vocab_size": 128256,
    }
    names = list(tensor_shapes(config))
    weight_map = {
        name: f"model-{number * shards // len(names) + 1:05d}-of-{shards:05d}.safetensors"
        for number, name in enumerate(names)
    }
    folder.mkdir()
    write_json(folder / "config.json", config)
    index = {"metadata": {"total_size": 2 * parameters}, "weight_map": weight_map}
    write_json(folder / "model.safetensors.index.json", index)
    return folder


def planned(text: Path | str, quant: Quant, client: HubClient | None = None) -> ConversionPlan:
    return plan_conversion(str(text), quant, client, measured=False)


@pytest.mark.parametrize("quant", list(Quant))
def test_a_plan_tells_the_very_file(tmp_path: Path, quant: Quant) -> None:
    folder = write_checkpoint(tmp_path / "tiny", Recipe(shards=2))
    plan = planned(folder, quant)
    report = convert(folder, tmp_path / "out.gguf", quant)
    assert plan.head_is_exact
    assert plan.size_bytes == (tmp_path / "out.gguf").stat().st_size
    assert {info.name: info.kind.name for info in plan.tensors} == report.tensor_types
    assert plan.parameters == report.parameters


@pytest.mark.parametrize("quant", [Quant.Q4_K_M, Quant.F16])
def test_a_plan_of_a_gguf_tells_the_very_file(tmp_path: Path, quant: Quant) -> None:
    source = write_tiny_model(tmp_path / "tiny.gguf")
    with open_source(str(source)) as opened:
        convert(opened, tmp_path / "out.gguf", quant, metadata={"general.license": "mit"})
    plan = plan_conversion(str(source), quant, metadata={"general.license": "mit"}, measured=False)
    assert plan.size_bytes == (tmp_path / "out.gguf").stat().st_size


@pytest.mark.parametrize("quant", PUBLISHED_GB)
def test_sizes_of_the_8b_model_are_those_that_were_published(tmp_path: Path, quant: Quant) -> None:
    plan = planned(write_index(tmp_path / "CoALM-8B", "8b"), quant)
    assert not plan.head_is_exact
    decimals = len(PUBLISHED_GB[quant].partition(".")[2])
    assert f"{plan.size_bytes / 1e9:.{decimals}f}" == PUBLISHED_GB[quant]


@pytest.mark.parametrize("shape", SHAPES)
def test_the_index_alone_describes_every_tensor(tmp_path: Path, shape: str) -> None:
    plan = planned(write_index(tmp_path / "CoALM", shape), Quant.Q4_K_M)
    layers, parameters = SHAPES[shape][0][0], SHAPES[shape][2]
    rotary = 64  # rope_freqs.weight, which no checkpoint holds
    assert plan.parameters == parameters + rotary
    assert plan.read_bytes == 2 * parameters + 4 * rotary
    assert len(plan.tensors) == 9 * layers + 4
    kinds = Counter(info.kind.name for info in plan.tensors)
    more_bits = kinds["Q6_K"] - 1  # beside the output
    assert more_bits > 0
    assert kinds["F32"] == 2 * layers + 2
    assert 4.5 < 8 * plan.size_bytes / parameters < 5, "bits a weight"
    assert plan.memory_bytes < 1_000_000_000


def test_values_of_the_70b_model_get_more_bits(tmp_path: Path) -> None:
    plan = planned(write_index(tmp_path / "CoALM-70B", "70b"), Quant.Q4_K_M)
    kinds = {info.kind.name for info in plan.tensors if "attn_v" in info.name}
    assert kinds == {"Q5_K", "Q6_K"}


def test_a_plan_from_the_hub_reads_the_index_files_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = write_index(tmp_path / "CoALM-405B", "405b")
    files: dict[str, Path | bytes] = {f"uiuc-convai/CoALM-405B/{path.name}": path for path in folder.iterdir()}
    files["uiuc-convai/CoALM-405B/tokenizer.json"] = b"{}"
    with hub_server(files) as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.endpoint)
        plan = planned("hf:uiuc-convai/CoALM-405B", Quant.Q4_K_M, HubClient(waits=Waits(tries=2, first_s=0.01)))
        fetched = {request.path.rpartition("/")[2] for request in hub.requests if request.where != "api"}
    local = planned(folder, Quant.Q4_K_M)
    assert fetched == {"config.json", "model.safetensors.index.json"}
    assert plan.is_remote
    assert not local.is_remote
    assert (plan.size_bytes, plan.tensors) == (local.size_bytes, local.tensors)
    assert plan.place.startswith("hf:uiuc-convai/CoALM-405B@")


def test_a_single_file_on_the_hub_is_known_by_its_header(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = write_checkpoint(tmp_path / "tiny", Recipe(tied=True))
    with hub_server({f"someone/tiny/{path.name}": path for path in folder.iterdir()}) as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.endpoint)
        plan = planned("hf:someone/tiny", Quant.Q8_0)
    assert plan.size_bytes == planned(folder, Quant.Q8_0).size_bytes


def test_the_estimate_of_a_head_is_near_it(tmp_path: Path) -> None:
    """Only for large vocabularies does it count; here it may be off by what it grants the other keys."""
    folder = write_checkpoint(tmp_path / "tiny", Recipe(shards=2))
    exact = planned(folder, Quant.Q4_K_M).head_bytes
    (folder / "tokenizer.json").unlink()
    plan = planned(folder, Quant.Q4_K_M)
    assert not plan.head_is_exact
    assert abs(plan.head_bytes - exact) < 32 << 10


def test_time_is_measured_and_grows_with_the_model(tmp_path: Path) -> None:
    small, large = (
        plan_conversion(str(write_index(tmp_path / shape, shape)), Quant.Q8_0, threads=2).compute_s
        for shape in ("8b", "405b")
    )
    assert small and large
    assert 5 < large / small < 500, "50 times the weights"


CONVERT = """
import sys
from pathlib import Path
from coalm_lite.converters.gguf import Quant, convert
convert(Path(sys.argv[1]), Path(sys.argv[2]), Quant.Q4_K_M, threads=2)
print(Path("/proc/self/status").read_text())
"""


@pytest.mark.skipif(not Path("/proc/self/status").is_file(), reason="the system tells no peak of a process")
def test_the_memory_that_a_plan_tells_is_enough(tmp_path: Path) -> None:
    folder = write_checkpoint(tmp_path / "tiny", Recipe(ffn=4096, config={"hidden_size": 1024, "head_dim": 256}))
    bound = plan_conversion(str(folder), Quant.Q4_K_M, threads=2, measured=False).memory_bytes
    command = [sys.executable, "-c", CONVERT, str(folder), str(tmp_path / "out.gguf")]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    peak = re.search(r"VmHWM:\s+(\d+) kB", said)
    assert peak
    assert bound / 3 < int(peak[1]) * 1024 < bound


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            lambda index: index["metadata"].update(total_size=17),
            r"metadata.total_size = 17, and config.json's \d+ weights",
        ),
        (lambda index: index["weight_map"].pop("model.norm.weight"), "model.norm.weight is in no safetensors file"),
        (
            lambda index: index["weight_map"].update({"model.layers.9.mlp.up_proj.weight": "model.safetensors"}),
            "model.layers.9.mlp.up_proj.weight: not a tensor of a Llama with 2 layers",
        ),
    ],
)
def test_an_index_that_contradicts_config_json_is_refused(
    tmp_path: Path, edit_json: EditJson, change: object, said: str
) -> None:
    assert callable(change)
    folder = write_checkpoint(tmp_path / "tiny", Recipe(shards=2))
    edit_json(folder / "model.safetensors.index.json", change)
    with pytest.raises(ModelError, match=said):
        planned(folder, Quant.Q4_K_M)


def test_the_type_of_the_weights_is_the_one_that_their_size_asks_for(tmp_path: Path, edit_json: EditJson) -> None:
    folder = write_checkpoint(tmp_path / "tiny", Recipe(dtype="F32", shards=2))
    config = json.loads((folder / "config.json").read_text())
    total = 4 * sum(map(prod, tensor_shapes(config).values()))
    edit_json(folder / "model.safetensors.index.json", lambda index: index["metadata"].update(total_size=total))
    assert planned(folder, Quant.F16).read_bytes == total + 4 * 8
