"""The checks of `coalm-lite doctor`, each on its own, so that one that fails does not hide the others.

Nothing is written and nothing is fetched; only the check of the Hub uses the network. A token is told to be there, and
never shown.
"""

from __future__ import annotations

import os
import platform
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import coalm_lite
from coalm_lite import paths
from coalm_lite.catalog import catalog
from coalm_lite.cli.output import size_words
from coalm_lite.errors import CoalmError
from coalm_lite.hub.client import HubClient
from coalm_lite.hub.places import HubPlace
from coalm_lite.hub.refusals import endpoint, offline_reason
from coalm_lite.models import shipped_model_path
from coalm_lite.pull.machine import free_disk_bytes, this_machine
from coalm_lite.pull.memory import usual_memory_need
from coalm_lite.runtime.model_file import check_model_file
from coalm_lite.store.cache import HubCache
from coalm_lite.store.local import read_store
from coalm_lite.store.names import EMBEDDED, default_model

_PACKAGES = ("llama-cpp-python", "huggingface-hub", "numpy", "gguf")
_PROBE = "8b-q4"  # the model whose page tells whether the Hub answers
_TIGHT_DISK_BYTES = 5_000_000_000  # about the smallest useful model of 8 billion parameters
_X86 = ("x86_64", "amd64")


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check found. `problem` is "" when all is well; with `is_wrong` something does not work."""

    subject: str
    found: str
    problem: str = ""
    hint: str = ""
    is_wrong: bool = False


def findings(offline: bool) -> Iterator[Finding]:
    """The findings of all checks, in the order in which to read them."""
    hub = partial(_hub, offline)
    checks: dict[str, Callable[[], Finding]] = {
        "versions": _versions,
        "llama.cpp": _llama,
        "memory": _memory,
        "disk": _disk,
        "cache": _cache,
        "folders": _folders,
        "catalog": _catalog,
        "hub": hub,
        "token": _token,
        EMBEDDED: _embedded,
        "models": _models,
        "default": _default,
    }
    for subject, check in checks.items():
        try:
            yield check()
        except CoalmError as error:
            yield Finding(subject, "", error.message, error.hint, is_wrong=True)


def _versions() -> Finding:
    found = [
        f"coalm-lite {coalm_lite.__version__}",
        f"Python {platform.python_version()}",
        platform.platform(terse=True),
    ]
    missing = []
    for package in _PACKAGES:
        try:
            found.append(f"{package} {version(package)}")
        except PackageNotFoundError:
            missing.append(package)
    problem = f"not installed: {', '.join(missing)}" if missing else ""
    hint = "Install coalm-lite again: `pip install --force-reinstall coalm-lite`." if missing else ""
    return Finding("versions", ", ".join(found), problem, hint, is_wrong=bool(missing))


def _llama() -> Finding:
    """The build's features; one without AVX2 on a processor that has it is several times slower."""
    hint = "Build it for this machine: `CMAKE_ARGS=-DGGML_NATIVE=on pip install --force-reinstall llama-cpp-python`."
    try:
        from coalm_lite.runtime.llamacpp import llama_build

        told, gpu = llama_build()
    except (ImportError, OSError, RuntimeError) as error:  # its library is missing, or of another machine
        return Finding("llama.cpp", "", f"it cannot be loaded: {error}", hint, is_wrong=True)
    features = [feature.split(" = ")[0].rpartition(" : ")[2] for feature in told.split(" | ") if " = 1" in feature]
    found = f"{' '.join(features)}; {'can use a GPU' if gpu else 'CPU only'}"
    slow = platform.machine().lower() in _X86 and not gpu and "AVX2" not in features
    problem = "it was built without AVX2, which makes it slow" if slow else ""
    return Finding("llama.cpp", found, problem, hint if slow else "")


def _memory() -> Finding:
    machine = this_machine()
    known, fitting = catalog(), []
    for file in known.files.values():
        size = known.sizes.get(file.size)
        if size is not None and file.approximate_bytes:
            need = usual_memory_need(size, file.approximate_bytes)
            if need.total_bytes <= machine.available_bytes:
                fitting.append((need.total_bytes, file.name))
    found = f"{size_words(machine.available_bytes)} free of {size_words(machine.total_bytes)}"
    if fitting:
        return Finding("memory", f"{found}: room for {max(fitting)[1]}")
    return Finding(
        "memory",
        found,
        f"no room for any model of the catalog but {EMBEDDED} now",
        "Close other programs, or raise the container's limit.",
    )


def _disk() -> Finding:
    root = HubCache.of_user().root
    free = free_disk_bytes(root)
    found = f"{size_words(free) or 'nothing'} free for {root}"
    if free >= _TIGHT_DISK_BYTES:
        return Finding("disk", found)
    hint = "`coalm-lite prune` and `coalm-lite rm` make room; HF_HOME puts the cache elsewhere."
    return Finding("disk", found, "too little for a model of 8 billion parameters", hint)


def _cache() -> Finding:
    return _writable("cache", (HubCache.of_user().root,), "HF_HOME or HF_HUB_CACHE puts it elsewhere.")


def _folders() -> Finding:
    own = (paths.config_dir(), paths.data_dir(), paths.cache_dir(), paths.state_dir())
    return _writable("folders", own, "COALM_LITE_HOME puts them elsewhere.")


def _writable(subject: str, folders: tuple[Path, ...], hint: str) -> Finding:
    """Whether each folder, or the nearest one above that is there, may be written into."""
    bad = []
    for folder in folders:
        nearest = next(place for place in (folder, *folder.parents) if place.exists())
        if not nearest.is_dir() or not os.access(nearest, os.W_OK | os.X_OK):
            bad.append(str(nearest))
    found = ", ".join(map(str, folders))
    if not bad:
        return Finding(subject, found)
    problem = f"cannot be written: {', '.join(dict.fromkeys(bad))}"
    return Finding(subject, found, problem, f"Check who owns it and whether its disk is read-only. {hint}", True)


def _catalog() -> Finding:
    return Finding("catalog", f"{len(catalog().files)} files can be pulled by name")


def _hub(offline: bool) -> Finding:
    """Whether a pull would get through to the Hub; asked about one model's page."""
    address = endpoint()
    reason = "--offline" if offline else offline_reason()
    if reason:
        return Finding("hub", f"{address}, not asked because of {reason}")
    file = catalog().files[_PROBE]
    remote = HubClient().find(HubPlace(file.repository, file.path))
    return Finding("hub", f"{address} answers: {_PROBE} is {size_words(remote.size_bytes)}")


def _token() -> Finding:
    from coalm_lite.hub.library import token_header

    if not token_header():
        return Finding("token", "none, which only gated and private models need")
    return Finding("token", "set by HF_TOKEN" if os.environ.get("HF_TOKEN") else "of a saved login or another variable")


def _embedded() -> Finding:
    path = shipped_model_path(catalog().sizes[EMBEDDED].shipped_file)
    check_model_file(path)
    return Finding(EMBEDDED, f"{size_words(path.stat().st_size)}, in the package")


def _models() -> Finding:
    store = read_store(HubCache.of_user())
    bad = [f"{model.manifest.name}: {model.problem}" for model in store.models if not model.present]
    bad += [error.message for error in store.damaged]
    found = f"{len(store.models)} pulled"
    if not bad:
        return Finding("models", found)
    hint = "`coalm-lite pull NAME` fetches what is missing, `coalm-lite prune` forgets what is gone."
    return Finding("models", found, "; ".join(bad), hint, is_wrong=True)


def _default() -> Finding:
    chosen = default_model()
    return Finding("default", chosen.name, chosen.note, is_wrong=bool(chosen.note))
