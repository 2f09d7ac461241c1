"""Everything that can go wrong with a pull, each driven for real: `coalm-lite pull` as a process against a real server.

`FAULTS` says what is done and what must come of it; tests/cli/test_pull_faults.py holds it to that. As a program,
`python -m tests.cli.fault_table` runs all of it and prints what was measured as a Markdown table.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from tests.cli.outcome import Outcome
from tests.gguf_models import write_tiny_model
from tests.hub.hub_server import OTHER_TOKEN, Hub, Refusal, hub_server

ROOT = Path(__file__).parents[2]
NAME = "8b-q4"  # the hub has a tiny model under the names of the real one
REPOSITORY = "mradermacher/CoALM-8B-GGUF"
FILE = "CoALM-8B.Q4_K_M.gguf"
KEY = f"{REPOSITORY}/{FILE}"
FOLDER = f"hf/hub/models--{REPOSITORY.replace('/', '--')}/"
SLOW_BYTES_PER_S = 100_000
FINISH_S = 300
FORGOTTEN = ("HF_TOKEN", "HF_HUB_OFFLINE", "HF_HUB_CACHE", "TRANSFORMERS_OFFLINE", "COALM_LITE_DEBUG")


class Scene:
    """A hub with one model, an empty cache, and pulls from the one into the other."""

    def __init__(self, folder: Path, model: Path, hub: Hub) -> None:
        self.folder = folder
        self.model = model
        self.hub = hub
        self.cache = folder / "hf"
        self.environment = {
            name: value
            for name, value in os.environ.items()
            if name not in FORGOTTEN and not name.lower().endswith("_proxy")
        } | {
            "HF_HOME": str(self.cache),
            "COALM_LITE_HOME": str(folder / "home"),
            "HF_ENDPOINT": hub.endpoint,
            "PYTHONPATH": str(ROOT),
        }

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """A pull that runs."""
        command = [sys.executable, "-m", "coalm_lite.cli", "pull", "--accept-license", *(arguments or (NAME,))]
        pipe = subprocess.PIPE
        return subprocess.Popen(
            command,
            env=self.environment,
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            stdout=pipe,
            stderr=pipe,
            text=True,
        )

    def pull(self, *arguments: str) -> Outcome:
        """A pull that ran."""
        return finish(self.start(*arguments))

    def pull_until(self, kept_bytes: int, end: signal.Signals) -> Outcome:
        """A pull that gets a signal when so much has come; the hub is slow until then."""
        self.hub.faults.bytes_per_s = SLOW_BYTES_PER_S
        running = self.start()
        self.wait(lambda: self.partial_bytes() >= kept_bytes or running.poll() is not None)
        running.send_signal(end)
        self.hub.faults.bytes_per_s = 0
        return finish(running)

    def mount(self, options: str) -> None:
        """Give the cache a disk of its own, or change the one that it has."""
        self.cache.mkdir(exist_ok=True)
        subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", self.cache], check=True)

    def wait(self, ready: Callable[[], bool]) -> None:
        """Wait until it is ready."""
        end_s = time.monotonic() + FINISH_S
        while not ready():
            assert time.monotonic() < end_s, "nothing happened"
            time.sleep(0.02)

    def partial_bytes(self) -> int:
        """What lies in unfinished files."""
        return sum(path.stat().st_size for path in self.cache.rglob("*.partial"))

    def kept_bytes(self) -> int:
        """What lies in the cache, finished or not."""
        return self.partial_bytes() + sum(path.stat().st_size for path in self.cache.rglob("blobs/*"))

    def fetched_again_bytes(self) -> int:
        """What the hub sent beyond what is kept: what was on its way when a process or a disk ended, too."""
        return self.hub.body_bytes_sent() - self.kept_bytes()

    def is_complete(self) -> bool:
        """Whether the file lies under its name, as the hub has it now."""
        wanted = self.hub.hash_of(KEY)
        found = [path for path in self.cache.rglob(FILE) if path.is_file()]
        return any(sha256(path.read_bytes()).hexdigest() == wanted for path in found)

    def wrong_files(self) -> list[str]:
        """Files under a final name that are not what it says, and files where none should be."""
        wrong = []
        for path in self.folder.rglob("*"):
            place = path.relative_to(self.folder).as_posix()
            if not path.is_file() or place.startswith("home/") or "/coalm-lite/" in place or "/refs/" in place:
                continue
            hash_named = path.resolve().name
            if not place.startswith(FOLDER) or sha256(path.read_bytes()).hexdigest() != hash_named:
                wrong.append(place)
        return wrong


def finish(running: subprocess.Popen[str]) -> Outcome:
    """The outcome of a pull, awaited."""
    out, err = running.communicate(timeout=FINISH_S)
    return Outcome(running.returncode, out, err)


@contextmanager
def scene(folder: Path) -> Iterator[Scene]:
    """A scene of its own in `folder`; its server and its disk are taken away at the end."""
    model = write_tiny_model(folder / "tiny.gguf")
    (folder / "scene").mkdir()
    with hub_server({KEY: model}) as hub:
        place = Scene(folder / "scene", model, hub)
        try:
            yield place
        finally:
            if place.cache.is_mount():
                subprocess.run(["umount", place.cache], check=True)


@dataclass(frozen=True)
class Fault:
    """A fault by name, how to bring it about, and what must come of it: the last pull's exit code and words.

    `again_share` is the most that may be fetched a second time, as a share of the file. `complete`: whether the file
    is there at the end.
    """

    name: str
    drive: Callable[[Scene], Outcome]
    code: int = 0
    words: str = "is ready"
    again_share: float = 0.0
    complete: bool = True


def cut(share: float) -> Callable[[Scene], Outcome]:
    def drive(place: Scene) -> Outcome:
        place.hub.faults.cut_after.append(int(place.model.stat().st_size * share))
        return place.pull()

    return drive


def killed(place: Scene) -> Outcome:
    first = place.pull_until(600_000, signal.SIGKILL)
    assert first.code == -signal.SIGKILL
    return place.pull()


def interrupted(place: Scene) -> Outcome:
    first = place.pull_until(600_000, signal.SIGINT)
    assert first.code == 130, first
    assert "kept; run it again to go on" in first.err
    return place.pull()


def ignores_ranges(place: Scene) -> Outcome:
    place.hub.faults.ignore_ranges = True
    place.hub.faults.cut_after.append(place.model.stat().st_size // 2)
    return place.pull()


def wrong_bytes(times: int) -> Callable[[Scene], Outcome]:
    def drive(place: Scene) -> Outcome:
        place.hub.faults.flip += [4_000_000] * times
        return place.pull()

    return drive


def size_lie(place: Scene) -> Outcome:
    place.hub.faults.told_extra_bytes = 1000
    return place.pull()


def changed_upstream(place: Scene) -> Outcome:
    place.pull_until(600_000, signal.SIGKILL)
    place.hub.replace(KEY, write_tiny_model(place.folder.parent / "newer.gguf", seed=1))
    return place.pull()


def refused(*refusals: Refusal) -> Callable[[Scene], Outcome]:
    def drive(place: Scene) -> Outcome:
        place.hub.faults.refusals += refusals
        return place.pull()

    return drive


def gated(token: str) -> Callable[[Scene], Outcome]:
    def drive(place: Scene) -> Outcome:
        place.hub.repositories[REPOSITORY].gated = True
        if token:
            place.environment["HF_TOKEN"] = token
        return place.pull()

    return drive


def private(place: Scene) -> Outcome:
    place.hub.repositories[REPOSITORY].private = True
    return place.pull()


def no_network(place: Scene) -> Outcome:
    place.environment["HF_ENDPOINT"] = "http://127.0.0.1:9"
    return place.pull("8b-q4")


def named(argument: str) -> Callable[[Scene], Outcome]:
    return lambda place: place.pull(argument)


def listed(name: str) -> Callable[[Scene], Outcome]:
    def drive(place: Scene) -> Outcome:
        place.hub.faults.listed_names.append(f"{name}.Q9_0.gguf")
        return place.pull(f"hf:{REPOSITORY}:Q9_0")

    return drive


def hostile_header(name: str, value: str) -> Callable[[Scene], Outcome]:
    def drive(place: Scene) -> Outcome:
        setattr(place.hub.faults, name, value)
        return place.pull()

    return drive


def full_disk(place: Scene) -> Outcome:
    place.mount("size=3m")
    return place.pull()


def really_full_disk(place: Scene) -> Outcome:
    place.mount("size=3m")
    return place.pull("8b-q4", "--force")


def disk_made_larger(place: Scene) -> Outcome:
    really_full_disk(place)
    place.mount("remount,size=20m")
    return place.pull()


def read_only(place: Scene) -> Outcome:
    place.mount("size=20m")
    place.mount("remount,ro")
    return place.pull()


def two_at_once(place: Scene) -> Outcome:
    place.hub.faults.bytes_per_s = SLOW_BYTES_PER_S
    first = place.start()
    place.wait(lambda: place.partial_bytes() > 0 or first.poll() is not None)
    second = place.start()
    assert second.stderr is not None
    said = ""
    while "waiting for it" not in said:
        line = second.stderr.readline()
        assert line, said
        said += line
    place.hub.faults.bytes_per_s = 0
    outcome = finish(first)
    assert outcome.code == 0, outcome
    return finish(second)


NO_REVISION = "there is no such revision"
FAULTS = (
    Fault("connection cut at 1 %", cut(0.01)),
    Fault("connection cut at 50 %", cut(0.5)),
    Fault("connection cut at 99 %", cut(0.99)),
    Fault("kill -9, and again", killed, again_share=0.05),
    Fault("Ctrl-C, and again", interrupted, again_share=0.05),
    Fault("cut at 50 %, and the server ignores ranges", ignores_ranges, again_share=0.5),
    Fault("wrong bytes once", wrong_bytes(1), again_share=1.0),
    Fault("wrong bytes always", wrong_bytes(9), 1, "do not have the hash", again_share=2.0, complete=False),
    Fault("the Hub names 1000 bytes too many", size_lie, 1, "the Hub named", complete=False),
    Fault("file changed upstream between two tries", changed_upstream, again_share=0.05),
    Fault("429 three times, with Retry-After", refused(*[Refusal(429, headers={"Retry-After": "1"})] * 3)),
    Fault("503 three times from the Hub, three from its storage", refused(*[Refusal(503), Refusal(503, "cdn")] * 3)),
    Fault("503 without end", refused(*[Refusal(503)] * 99), 1, "the Hub is in trouble (status 503)", complete=False),
    Fault("401, gated and no token", gated(""), 1, "is gated: it needs a token", complete=False),
    Fault("403, gated and a token without access", gated(OTHER_TOKEN), 1, "has no access to it", complete=False),
    Fault("401, private or misspelled repository", private, 1, "it is private or misspelled", complete=False),
    Fault("404, no such file", named(f"hf:{REPOSITORY}/no.gguf"), 1, "there is no such file", complete=False),
    Fault("no network", no_network, 1, "no answer from http://127.0.0.1:9", complete=False),
    Fault("disk too small", full_disk, 1, "does not fit: the disk has", complete=False),
    Fault("disk full half-way (--force)", really_full_disk, 1, "no room left in", 0.5, complete=False),
    Fault("disk full half-way, made larger, and again", disk_made_larger, again_share=0.5),
    Fault("read-only cache", read_only, 1, "Read-only file system", complete=False),
    Fault("two pulls at once (the second one)", two_at_once),
    *(
        Fault(f"named {shown}", named(argument), 2, words, complete=False)
        for shown, argument, words in (
            ("`..`", f"hf:{REPOSITORY}/../../evil.gguf", "leads elsewhere"),
            ("an absolute path", f"hf:{REPOSITORY}//etc/evil.gguf", "starts or ends with a slash"),
            ("300 characters", f"hf:{REPOSITORY}/{'e' * 300}.gguf", "longer than 255 bytes"),
            ("CON.gguf", f"hf:{REPOSITORY}/CON.gguf", "is a device on Windows"),
        )
    ),
    *(
        Fault(f"the Hub lists {shown}", listed(name), 2, words, complete=False)
        for shown, name, words in (
            ("`..`", "../../../../evil", "leads elsewhere"),
            ("an absolute path", "/etc/evil", "starts or ends with a slash"),
            ("a NUL", "e\0vil", "control characters"),
            ("300 characters", "e" * 300, "longer than 255 bytes"),
            ("NUL.gguf", "sub/NUL", "is a device on Windows"),
        )
    ),
    Fault("the Hub's ETag is `../../evil`", hostile_header("etag", "../../evil"), 1, "no hash", complete=False),
    Fault("the Hub's commit is `../../evil`", hostile_header("commit", "../../evil"), 1, NO_REVISION, complete=False),
)


def can_mount() -> bool:
    """Whether this process may mount disks, as three of the faults do."""
    with tempfile.TemporaryDirectory() as folder:
        if subprocess.run(["mount", "-t", "tmpfs", "tmpfs", folder], capture_output=True, check=False).returncode:
            return False
        subprocess.run(["umount", folder], check=True)
        return True


def main() -> None:
    """Print the table."""
    print(
        "| fault | exit code | message | bytes fetched again | file there, hash right | wrong file under a final name |"
    )
    print("|---|--:|---|--:|---|---|")
    for fault in FAULTS:
        with tempfile.TemporaryDirectory() as folder, scene(Path(folder)) as place:
            outcome = fault.drive(place)
            shown = outcome.message.replace(str(place.folder), "").replace(place.hub.endpoint, "HUB")
            there = "yes" if place.is_complete() else "no"
            wrong = ", ".join(place.wrong_files()) or "none"
            again = max(place.fetched_again_bytes(), 0)
            print(f"| {fault.name} | {outcome.code} | {shown} | {again} | {there} | {wrong} |", flush=True)


if __name__ == "__main__":
    main()
