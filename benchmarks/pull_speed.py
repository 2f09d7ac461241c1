"""A pull's download from loopback, hash included, beside `curl -o` followed by `sha256sum`.

usage: python benchmarks/pull_speed.py [--bytes 1000000000] [--n 3] [--folder DIR]

Both fetch the same file from tests/hub/hub_server.py, in turn, as whole processes: ours asks for the metadata, follows
the redirect, fetches, hashes, waits for the disk (fsync, which curl does not) and links; starting Python is included.
Dirty pages are written out before each. One JSON row a trial, and last one JSON object with medians, spread, the paired
ratios and the peak resident memory of our process.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from rows import provenance

ROOT = Path(__file__).parent.parent
REPOSITORY = "bench/large"
NAME = "large.gguf"
BLOCK_BYTES = 1 << 20
PULL = """
import sys, time
from pathlib import Path
from coalm_lite.hub.client import HubClient
from coalm_lite.hub.download import download
from coalm_lite.hub.places import parse_place
client, folder = HubClient(), Path(sys.argv[2])
remote = client.find(parse_place(sys.argv[1]))
started = time.perf_counter()
download(remote, folder / "partial", lambda progress: None)
print(time.perf_counter() - started)
blob = folder.joinpath("models--" + remote.repository.replace("/", "--"), "blobs", remote.etag)
blob.parent.mkdir(parents=True)
(folder / "partial").replace(blob)
client.link(remote, folder)
"""


@dataclass(frozen=True, slots=True)
class Trial:
    """One pair; `download_s` is the part of `pull_s` in which bytes came."""

    pull_s: float
    download_s: float
    curl_s: float
    peak_rss_bytes: int


def write_file(path: Path, size_bytes: int) -> None:
    """Write bytes that cannot be packed."""
    path.parent.mkdir(parents=True)
    with path.open("wb") as file:
        for at in range(0, size_bytes, BLOCK_BYTES):
            file.write(os.urandom(min(BLOCK_BYTES, size_bytes - at)))


@contextmanager
def server(root: Path) -> Iterator[str]:
    """The endpoint of a hub that serves the folder."""
    command = [sys.executable, "-m", "tests.hub.hub_server", "--root", str(root)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield process.stdout.readline().strip()
        finally:
            process.terminate()


def pull(endpoint: str, folder: Path) -> tuple[float, float, int]:
    """Seconds of the whole process, seconds of the download in it, and its peak resident bytes."""
    environment = os.environ | {"HF_ENDPOINT": endpoint, "HF_HOME": str(folder), "NO_PROXY": "127.0.0.1"}
    command = [sys.executable, "-c", PULL, f"hf:{REPOSITORY}/{NAME}", str(folder)]
    started = time.perf_counter()
    with subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        told = process.stdout.read()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    elapsed_s = time.perf_counter() - started
    if process.returncode:
        raise RuntimeError(f"the pull ended with {process.returncode}")
    return elapsed_s, float(told), usage.ru_maxrss * 1024


def curl(endpoint: str, target: Path) -> float:
    """Seconds of curl and sha256sum, one after the other."""
    address = f"{endpoint}/{REPOSITORY}/resolve/main/{NAME}"
    started = time.perf_counter()
    subprocess.run(["curl", "--noproxy", "*", "-sSfL", "-o", str(target), address], check=True)
    subprocess.run(["sha256sum", str(target)], check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - started


def measure(endpoint: str, folder: Path, pull_first: bool) -> Trial:
    """Both ways once, each into an empty folder with nothing left to write out."""
    pulled, curl_s = (0.0, 0.0, 0), 0.0
    for ours in (pull_first, not pull_first):
        with tempfile.TemporaryDirectory(dir=folder) as empty:
            os.sync()
            if ours:
                pulled = pull(endpoint, Path(empty))
            else:
                curl_s = curl(endpoint, Path(empty) / NAME)
    return Trial(pulled[0], pulled[1], curl_s, pulled[2])


def summary(trials: list[Trial], size_bytes: int) -> dict[str, object]:
    """Medians, spread and paired ratios, with what is needed to measure again."""
    ratios = [trial.pull_s / trial.curl_s for trial in trials]
    row: dict[str, object] = {"benchmark": "pull_speed", "unit": "s", "n": len(trials), "bytes": size_bytes}
    for name in ("pull_s", "download_s", "curl_s"):
        times = [float(asdict(trial)[name]) for trial in trials]
        row |= {f"{name}_median": statistics.median(times), f"{name}_range": [min(times), max(times)]}
    row |= {"ratio_median": statistics.median(ratios), "ratio_range": [min(ratios), max(ratios)]}
    row |= {"peak_rss_bytes": max(trial.peak_rss_bytes for trial in trials)}
    return row | provenance()


def main() -> None:
    """Measure, print the rows, and the summary last."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bytes", type=int, default=1_000_000_000)
    parser.add_argument("--n", type=int, default=3)
    parser.add_argument("--folder", type=Path, help="on the disk to measure; the system's temporary folder when unset")
    wanted = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=wanted.folder) as text:
        folder = Path(text)
        write_file(folder / "root" / REPOSITORY / NAME, wanted.bytes)
        with server(folder / "root") as endpoint:
            trials = []
            for at in range(wanted.n):
                trials.append(measure(endpoint, folder, pull_first=at % 2 == 0))
                print(json.dumps(asdict(trials[-1])))
    print(json.dumps(summary(trials, wanted.bytes)))


if __name__ == "__main__":
    main()
