"""The scene of a conversion that goes wrong: a tiny checkpoint, a place for the result, and the real command.

What goes wrong is listed in tests/cli/convert_faults.py.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from coalm_lite.converters.gguf import Quant, convert
from coalm_lite.runtime.gguf_header import read_header
from tests.cli.fault_table import ROOT
from tests.cli.outcome import Outcome
from tests.converters.tiny_checkpoint import (
    Recipe,
    read_raw_safetensors,
    write_checkpoint,
    write_json,
    write_raw_safetensors,
)
from tests.hub.hub_server import Hub, hub_server

NAME = "CoALM-tiny"
SHARD = "model-00002-of-00003.safetensors"
REPOSITORY = f"someone/{NAME}"
FINISH_S = 120
KILLS = 20
FORGOTTEN = ("HF_TOKEN", "HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE", "COALM_LITE_DEBUG")
Edit = Callable[[dict[str, Any]], None]


class Scene:
    """A checkpoint in a folder of its own, and conversions of it to OUT.gguf in another."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.source = write_checkpoint(folder / NAME, Recipe(shards=3))
        self.kills = KILLS
        self.out = folder / "out"
        self.out.mkdir()
        self.target = self.out / "OUT.gguf"
        self.environment = {
            name: value
            for name, value in os.environ.items()
            if name not in FORGOTTEN and not name.lower().endswith("_proxy")
        } | {"COALM_LITE_HOME": str(folder / "home"), "PYTHONPATH": str(ROOT), "HF_HOME": str(folder / "hf")}

    def start(self, source: str = "", *options: str) -> subprocess.Popen[str]:
        """A conversion that runs."""
        command = [sys.executable, "-m", "coalm_lite.cli", "convert", source or str(self.source)]
        return subprocess.Popen(
            [*command, "-o", str(self.target), "--quant", "q8", "--no-verify", *options],
            env=self.environment,
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def convert(self, source: str = "", *options: str) -> Outcome:
        """A conversion that ran."""
        return finish(self.start(source, *options))

    def edit_json(self, name: str, change: Edit) -> None:
        """Change a JSON file of the checkpoint."""
        data = json.loads((self.source / name).read_text(encoding="utf-8"))
        change(data)
        write_json(self.source / name, data)

    def edit_shard(self, change: Callable[[dict[str, Any], bytes], bytes | None]) -> None:
        """Change a shard's header, in place, and its data, if `change` returns others."""
        header, data = read_raw_safetensors(self.source / SHARD)
        write_raw_safetensors(self.source / SHARD, header, change(header, data) or data)

    def first(self) -> str:
        """The shard's first matrix."""
        header, _ = read_raw_safetensors(self.source / SHARD)
        return next(name for name, entry in header.items() if len(entry.get("shape", ())) == 2)

    def is_whole(self) -> bool:
        """Whether the file is what the sound checkpoint gives."""
        sound = self.folder / "sound" / NAME
        if not sound.exists():
            sound.parent.mkdir()
            convert(write_checkpoint(sound, Recipe(shards=3)), sound.parent / "OUT.gguf", Quant.Q8_0)
        whole = tensors_of(sound.parent / "OUT.gguf")
        return self.target.is_file() and self.target.read_bytes().endswith(whole)

    def left(self) -> list[str]:
        """What lies beside the target."""
        return sorted(path.name for path in self.out.iterdir())

    def mount(self, options: str) -> None:
        """Give the results a disk of their own, or change the one that they have."""
        subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", self.out], check=True)


def tensors_of(path: Path) -> bytes:
    """All that stands behind the head."""
    return path.read_bytes()[read_header(path).data_offset :]


def finish(running: subprocess.Popen[str]) -> Outcome:
    """The outcome of a conversion, awaited."""
    out, err = running.communicate(timeout=FINISH_S)
    return Outcome(running.returncode, out, err)


@contextmanager
def scene(folder: Path) -> Iterator[Scene]:
    """A scene of its own in `folder`; its disk is taken away at the end."""
    place = Scene(folder)
    try:
        yield place
    finally:
        if place.out.is_mount():
            subprocess.run(["umount", place.out], check=True)


@contextmanager
def on_hub(place: Scene) -> Iterator[Hub]:
    """A hub that has the checkpoint."""
    with hub_server({f"{REPOSITORY}/{path.name}": path for path in place.source.iterdir()}) as hub:
        place.environment["HF_ENDPOINT"] = hub.endpoint
        yield hub


def wait(ready: Callable[[], bool]) -> None:
    end_s = time.monotonic() + FINISH_S
    while not ready():
        assert time.monotonic() < end_s, "nothing happened"
        time.sleep(0.02)
