"""What a frozen app needs and static analysis does not see: modules imported by name, and llama.cpp's libraries.

Nothing here needs PyInstaller: the hooks hand it these lists.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

import coalm_lite
from coalm_lite import dialects

# Packages of converters, evaluations and tests: where they are installed, an app that does not import them itself must
# not grow by gigabytes because a function of a library could.
NEVER_NEEDED = (
    "IPython",
    "hypothesis",
    "keras",
    "matplotlib",
    "mypy",
    "onnx",
    "optimum",
    "pandas",
    "pytest",
    "ray",
    "sentencepiece",
    "tensorflow",
    "torch",
    "transformers",
)
# What runs in a process of its own (coalm_lite.runtime.child_command).
CHILDREN = ("coalm_lite.app.worker", "coalm_lite.runtime.template_child")
# The libraries' own files; `llama_cpp` also has a server, which an app has only if it imports it.
_LIBRARY = re.compile(r".+\.(so|dylib|dll|metal)(\.\d+)*")
_FULL_VERSION = re.compile(r".+\.so\.\d+\.\d+.*")


def modules_by_name() -> list[str]:
    """The modules that coalm_lite names in texts: its public names' homes, dialects, children, and the grammars."""
    homes = {f"coalm_lite.{home}" for home in coalm_lite._HOMES.values()}
    return sorted(
        {*homes, *(f"coalm_lite.dialects.{name}" for name in dialects.NAMES), *CHILDREN, "coalm_lite.grammars"}
    )


def commands_by_name() -> list[str]:
    """The modules of the command line, each of which is imported when its command is given."""
    from coalm_lite import cli

    return sorted(f"coalm_lite.cli.{cli._HOMES.get(name, (name, name))[0]}" for name in cli.COMMANDS)


def suites_by_name() -> list[str]:
    """The modules of the evaluation's suites."""
    from coalm_lite.evals import suites

    return sorted(f"coalm_lite.evals.{name}.suite" for name in suites.SUITES)


def libraries(folder: Path) -> list[Path]:
    """llama.cpp's libraries in llama_cpp's folder `lib`, each under the names by which it is loaded.

    llama_cpp opens `libllama.so`, which asks for `libggml.so.0`; a wheel cannot hold links, so there is a third copy of
    each, named by the full version, that nobody asks for.
    """
    return [path for path in _files(folder) if _LIBRARY.fullmatch(path.name) and not _is_spare(path)]


def _files(folder: Path) -> Iterable[Path]:
    return sorted(path for path in folder.iterdir() if path.is_file()) if folder.is_dir() else ()


def _is_spare(path: Path) -> bool:
    """Whether it is named by its full version and stands beside the name that is asked for."""
    asked_for = re.sub(r"(\.so\.\d+)\..*", r"\1", path.name)
    return _FULL_VERSION.fullmatch(path.name) is not None and path.with_name(asked_for).is_file()
