"""Everything that can be wrong with what is converted, each driven for real: `coalm-lite convert` as a process.

`FAULTS` says what is done and what must come of it; tests/cli/test_convert_faults.py holds it to that. As a program,
`python -m tests.cli.convert_faults` runs all of it and prints what was measured as a Markdown table.
"""

from __future__ import annotations

import json
import random
import signal
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from coalm_lite.converters.gguf import Quant, convert
from tests.cli.convert_scene import KILLS, REPOSITORY, SHARD, Edit, Scene, finish, on_hub, scene, wait
from tests.cli.fault_table import can_mount
from tests.cli.outcome import Outcome
from tests.converters.tiny_checkpoint import make_tensor, read_raw_safetensors, write_safetensors
from tests.gguf_models import write_tiny_model
from tests.hub.hub_server import Hub

INDEX = "model.safetensors.index.json"
NORM = "model.norm.weight"


@dataclass(frozen=True)
class Fault:
    """A fault by name, how to bring it about, and what must come of it: exit code, and all of the words in the message.

    `left`: what lies beside the target at the end.
    """

    name: str
    drive: Callable[[Scene], Outcome]
    words: tuple[str, ...]
    code: int = 1
    left: tuple[str, ...] = ()


def damaged(damage: Callable[[Scene], object], *options: str) -> Callable[[Scene], Outcome]:
    def drive(place: Scene) -> Outcome:
        damage(place)
        return place.convert("", *options)

    return drive


def header(change: Edit) -> Callable[[Scene], Outcome]:
    """A shard whose header was changed."""

    def edit(entries: dict[str, Any], _: bytes) -> None:
        change(entries)

    return damaged(lambda place: place.edit_shard(edit))


def of_first(change: Edit) -> Callable[[Scene], Outcome]:
    """A shard in whose header the first matrix's entry was changed."""
    return header(lambda entries: change(next(e for e in entries.values() if len(e.get("shape", ())) == 2)))


def of_json(name: str, change: Edit) -> Callable[[Scene], Outcome]:
    return damaged(lambda place: place.edit_json(name, change))


def of_index(change: Callable[[dict[str, str]], object]) -> Callable[[Scene], Outcome]:
    def edit(index: dict[str, Any]) -> None:
        change(index["weight_map"])

    return of_json(INDEX, edit)


def truncated(place: Scene) -> None:
    path = place.source / SHARD
    path.write_bytes(path.read_bytes()[:-100])


def long_header(place: Scene) -> None:
    path = place.source / SHARD
    path.write_bytes((1 << 40).to_bytes(8, "little") + path.read_bytes()[8:])


def no_json(place: Scene) -> None:
    path = place.source / SHARD
    data = bytearray(path.read_bytes())
    data[8:10] = b"??"
    path.write_bytes(data)


def set_to(key: str, value: object) -> Edit:
    return lambda entry: entry.update({key: value})


def shorter(entry: dict[str, Any]) -> None:
    entry["data_offsets"][1] -= 2


def emptied(entry: dict[str, Any]) -> None:
    entry["shape"][0], entry["data_offsets"][1] = 0, entry["data_offsets"][0]


def overlapping(entries: dict[str, Any]) -> None:
    matrices = [entry for entry in entries.values() if len(entry.get("shape", ())) == 2]
    one, two = next((a, b) for a in matrices for b in matrices if a is not b and a["shape"] == b["shape"])
    two["data_offsets"] = [count + 2 for count in one["data_offsets"]]


def weight(value: float) -> Callable[[Scene], None]:
    """The weight in row 0, column 3 of a shard's first matrix gets this value."""

    def change(place: Scene) -> None:
        def edit(entries: dict[str, Any], data: bytes) -> bytes:
            begin = entries[place.first()]["data_offsets"][0]
            bits = np.array([value], np.float32).view(np.uint32) >> 16
            changed = bytearray(data)
            changed[begin + 6 : begin + 8] = int(bits[0]).to_bytes(2, "little")
            return bytes(changed)

        place.edit_shard(edit)

    return change


def repeated_key(place: Scene) -> None:
    entries, data = read_raw_safetensors(place.source / SHARD)
    name = place.first()
    text = json.dumps(entries).replace("{", f'{{"{name}": {json.dumps(entries[name])}, ', 1).encode()
    (place.source / SHARD).write_bytes(len(text).to_bytes(8, "little") + text + data)


def repeated_in_config(place: Scene) -> None:
    path = place.source / "config.json"
    path.write_text('{"hidden_size": 128, ' + path.read_text()[1:])


def folder_for_file(place: Scene) -> None:
    (place.source / SHARD).unlink()
    (place.source / SHARD).mkdir()


def with_bias(place: Scene) -> None:
    name = "model.layers.0.self_attn.q_proj.bias"
    write_safetensors(place.source / "model-00004-of-00004.safetensors", {name: make_tensor(name, (64,))}, "BF16")
    place.edit_json(INDEX, lambda index: index["weight_map"].update({name: "model-00004-of-00004.safetensors"}))


def unlink(name: str) -> Callable[[Scene], None]:
    return lambda place: (place.source / name).unlink()


def written(name: str, data: bytes) -> Callable[[Scene], None]:
    def write(place: Scene) -> None:
        (place.source / name).write_bytes(data)

    return write


def another_tokenizer(data: dict[str, Any]) -> None:
    data["model"] = {"type": "Unigram", "vocab": [["a", -1.0]], "unk_id": 0}


def named(source: str) -> Callable[[Scene], Outcome]:
    return lambda place: place.convert(source)


def quantized_gguf(place: Scene) -> Outcome:
    convert(place.source, place.folder / "q4.gguf", Quant.Q4_0)
    return place.convert(str(place.folder / "q4.gguf"))


def short_gguf(place: Scene) -> Outcome:
    path = write_tiny_model(place.folder / "cut.gguf")
    path.write_bytes(path.read_bytes()[:-1000])
    return place.convert(str(path))


def target_is_there(place: Scene) -> Outcome:
    place.target.write_bytes(b"mine")
    outcome = place.convert()
    assert place.target.read_bytes() == b"mine"
    return outcome


def target_is_a_folder(place: Scene) -> Outcome:
    place.target.mkdir()
    return place.convert("", "--force")


def no_folder(place: Scene) -> Outcome:
    place.target = place.folder / "none" / "OUT.gguf"
    return place.convert()


def small_disk(place: Scene) -> Outcome:
    place.mount("size=64k")
    return place.convert()


def read_only_disk(place: Scene) -> Outcome:
    place.mount("size=8m")
    place.mount("remount,ro")
    return place.convert()


def disk_that_fills(place: Scene) -> Outcome:
    """Another process takes the room while tensors are still on their way from a slow hub."""
    place.mount("size=1m")
    with on_hub(place) as hub:
        hub.faults.bytes_per_s = 100_000
        running = place.start(f"hf:{REPOSITORY}")
        wait(lambda: place.target.with_name("OUT.gguf.partial").is_file() or running.poll() is not None)
        with (place.out / "other").open("wb", buffering=0) as file:
            file.write(bytes(1 << 20))
        return finish(running)


def disk_that_filled_and_has_room_again(place: Scene) -> Outcome:
    assert disk_that_fills(place).code == 1
    (place.out / "other").unlink()
    with on_hub(place):
        return place.convert(f"hf:{REPOSITORY}")


def interrupted(place: Scene) -> Outcome:
    with on_hub(place) as hub:
        hub.faults.bytes_per_s = 50_000
        running = place.start(f"hf:{REPOSITORY}")
        wait(lambda: place.target.with_name("OUT.gguf.partial").is_file())
        running.send_signal(signal.SIGINT)
        return finish(running)


def killed(place: Scene) -> Outcome:
    """Killed at random moments of a conversion that a slow hub draws out, then left in peace."""
    chance = random.Random(0)
    with on_hub(place) as hub:
        for _ in range(place.kills):
            hub.faults.bytes_per_s = 500_000
            running = place.start(f"hf:{REPOSITORY}")
            time.sleep(chance.uniform(0.2, 2.5))
            running.kill()
            finish(running)
            assert place.is_whole() or not place.target.exists()  # it is there once it is only tried
            place.target.unlink(missing_ok=True)
        hub.faults.bytes_per_s = 0
        return place.convert(f"hf:{REPOSITORY}")


def changed_upstream(place: Scene) -> Outcome:
    with on_hub(place) as hub:
        hub.faults.bytes_per_s = 50_000
        running = place.start(f"hf:{REPOSITORY}")
        wait(lambda: place.target.with_name("OUT.gguf.partial").is_file())
        for number in (1, 2, 3):
            hub.replace(f"{REPOSITORY}/model-0000{number}-of-00003.safetensors", bytes(4000))
        hub.faults.forget_history = True  # as a mirror that gives the newest file whatever commit is asked for
        return finish(running)


def on_a_hub(misbehave: Callable[[Hub], object]) -> Callable[[Scene], Outcome]:
    def drive(place: Scene) -> Outcome:
        with on_hub(place) as hub:
            misbehave(hub)
            return place.convert(f"hf:{REPOSITORY}")

    return drive


PARTIAL = ("OUT.gguf.partial", "OUT.gguf.partial.journal")
FAULTS = (
    Fault("nothing wrong", lambda place: place.convert(), ("OUT.gguf is ready",), 0, ("OUT.gguf",)),
    Fault("truncated shard", damaged(truncated), (SHARD, "model.", "data up to byte")),
    Fault(
        "header length beyond the file", damaged(long_header), (SHARD, "a header of 1099511627776 bytes does not fit")
    ),
    Fault("header that is no JSON", damaged(no_json), (SHARD, "its header cannot be read")),
    Fault("empty shard", damaged(written(SHARD, b"")), (SHARD, "does not fit a file of 0 bytes")),
    Fault("overlapping offsets", header(overlapping), (SHARD, "model.", "overlap in the file")),
    Fault("negative offsets", of_first(set_to("data_offsets", [-8, 0])), (SHARD, "model.", "are not lists of sizes")),
    Fault("offsets of another length", of_first(shorter), (SHARD, "model.", "bytes stored, shape")),
    Fault("zero-size tensor", of_first(emptied), (SHARD, "model.", "holds no row of values")),
    Fault("unknown dtype", of_first(set_to("dtype", "F8_E4M3")), (SHARD, "model.", "dtype 'F8_E4M3' cannot")),
    Fault("a tensor twice in a header", damaged(repeated_key), (SHARD, "the key 'model.", "a second time")),
    Fault("missing shard", damaged(unlink(SHARD)), (SHARD, "file not found")),
    Fault("folder in a shard's place", damaged(folder_for_file), (SHARD, "a folder, where a file is needed")),
    Fault(
        "index naming an absent tensor",
        of_index(lambda listed: listed.update({"model.layers.7.mlp.up_proj.weight": SHARD})),
        (SHARD, "model.layers.7.mlp.up_proj.weight, listed in", "is not in the file"),
    ),
    Fault("tensor that the index does not list", of_index(lambda listed: listed.pop(NORM)), (NORM, "is not listed")),
    Fault(
        "shard named `../../x.safetensors`",
        of_index(lambda listed: listed.update({NORM: "../../x.safetensors"})),
        (INDEX, NORM, "'../../x.safetensors' is not the name of a safetensors file"),
    ),
    Fault(
        "shard named by an absolute path",
        of_index(lambda listed: listed.update({NORM: "/etc/x.safetensors"})),
        (INDEX, NORM, "'/etc/x.safetensors' is not the name"),
    ),
    Fault("wrong shape", of_json("config.json", set_to("intermediate_size", 128)), ("model.layers.", "has shape")),
    Fault("NaN weight", damaged(weight(float("nan"))), (SHARD, "model.", "row 0, column 3 is nan, not a finite")),
    Fault("infinite weight", damaged(weight(float("inf"))), (SHARD, "model.", "row 0, column 3 is inf, not a finite")),
    Fault(
        "weight too large for F16",
        damaged(weight(1e30), "--quant", "f16"),
        (SHARD, "model.", "a value is too large for F16"),
    ),
    Fault("biases", damaged(with_bias), ("model.layers.0.self_attn.q_proj.bias", "not a tensor of a Llama")),
    Fault(
        "another architecture",
        of_json("config.json", set_to("architectures", ["Qwen2ForCausalLM"])),
        ("config.json", "['Qwen2ForCausalLM']", "only LlamaForCausalLM can be converted"),
    ),
    Fault(
        "weights quantized already",
        of_json("config.json", set_to("quantization_config", {"quant_method": "awq"})),
        ("config.json", "the weights are quantized already"),
    ),
    Fault("config.json absent", damaged(unlink("config.json")), ("config.json", "file not found")),
    Fault("config.json no JSON", damaged(written("config.json", b"{oops")), ("config.json", "cannot be read as JSON")),
    Fault("a key twice in config.json", damaged(repeated_in_config), ("config.json", "'hidden_size'", "a second time")),
    Fault("tokenizer.json absent", damaged(unlink("tokenizer.json")), ("tokenizer.json", "file not found")),
    Fault("tokenizer.json not BPE", of_json("tokenizer.json", another_tokenizer), ("tokenizer.json", "'Unigram'")),
    Fault("no such source", named("nowhere"), ("there is no folder or file nowhere",), 2),
    Fault(
        "a shard as source", lambda place: place.convert(str(place.source / SHARD)), ("is one file of a checkpoint",), 2
    ),
    Fault("a file that is no GGUF", lambda place: place.convert(str(place.source / "config.json")), ("neither",), 2),
    Fault("quantized GGUF", quantized_gguf, ("q4.gguf", "output.weight", "Q8_0 is quantized already")),
    Fault("GGUF cut short", short_gguf, ("cut.gguf is cut short",)),
    Fault("OUT is there", target_is_there, ("OUT.gguf is there already",), 2, ("OUT.gguf",)),
    Fault("OUT is a folder (--force)", target_is_a_folder, ("OUT.gguf is a folder",), 2, ("OUT.gguf",)),
    Fault("OUT's folder is not there", no_folder, ("none", "No such file or directory")),
    Fault("disk too small", small_disk, ("OUT.gguf needs", "bytes of disk, and 65,536 are free")),
    Fault("disk read-only", read_only_disk, ("Read-only file system",)),
    Fault("disk full half-way", disk_that_fills, ("No space left on device",), 1, (*PARTIAL, "other")),
    Fault(
        "disk full half-way, room made, and again",
        disk_that_filled_and_has_room_again,
        ("OUT.gguf is ready",),
        0,
        ("OUT.gguf",),
    ),
    Fault("Ctrl-C", interrupted, (), 130),
    Fault(f"kill -9 at {KILLS} random moments, and again", killed, ("OUT.gguf is ready",), 0, ("OUT.gguf",)),
    Fault("shard changed on the Hub meanwhile", changed_upstream, ("the Hub", "(reading ")),
    Fault(
        "the Hub's storage gives no ranges",
        on_a_hub(lambda hub: setattr(hub.faults, "ignore_ranges", True)),
        ("the server gives whole files and no parts of them (reading ",),
    ),
    Fault(
        "gated repository, no token",
        on_a_hub(lambda hub: setattr(hub.repositories[REPOSITORY], "gated", True)),
        (f"{REPOSITORY} is gated: it needs a token",),
    ),
    Fault(
        "a repository on the Hub, --offline",
        lambda place: place.convert(f"hf:{REPOSITORY}", "--offline"),
        (f"hf:{REPOSITORY} is not on this machine, and --offline forbids to ask the Hub",),
    ),
    Fault("GGUF on the Hub", named(f"hf:{REPOSITORY}/x.gguf"), ("names a file, where a repository is needed",), 2),
)
MOUNTING = ("disk",)


def main() -> None:
    """Print the table."""
    print("| fault | exit | message | OUT whole | left besides |")
    print("|---|--:|---|---|---|")
    mounts = can_mount()
    for fault in FAULTS:
        if fault.name.startswith(MOUNTING) and not mounts:
            continue
        with tempfile.TemporaryDirectory() as folder, scene(Path(folder)) as place:
            outcome = fault.drive(place)
            shown = outcome.message.removeprefix("error: ").replace(f"{place.folder}/", "").replace("|", "\\|")
            there = "yes" if place.is_whole() else "no"
            besides = ", ".join(name for name in place.left() if name != place.target.name) or "nothing"
            print(f"| {fault.name} | {outcome.code} | {shown} | {there} | {besides} |", flush=True)


if __name__ == "__main__":
    main()
