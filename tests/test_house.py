"""The architecture, asserted: layers, cycles, light imports, exported names, file and function length."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import coalm_lite

ROOT = Path(__file__).parent.parent
SOURCES = sorted(
    path
    for folder in ("coalm_lite", "converters", "grammars", "nano", "benchmarks")
    for path in (ROOT / folder).rglob("*.py")
)
# A module may import from its own layer (listed together) and from the layers before it.
LAYERS = (
    ("types", "errors", "paths"),
    ("catalog", "grammar", "grammars", "demo", "models"),
    ("dialects",),
    ("hub", "store", "pull", "runtime", "decoding", "tools", "trimming"),
    ("session",),
    ("evals", "converters", "app"),
    ("report",),
    ("cli", "freezing"),
)
RANK = {part: rank for rank, layer in enumerate(LAYERS) for part in layer}
HEAVY = ("llama_cpp", "onnxruntime", "optimum", "transformers", "torch", "huggingface_hub", "numpy", "pydantic")


def imported_parts(path: Path) -> Iterator[tuple[str, str]]:
    """(module, part of coalm_lite) for every import of coalm_lite in a file."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        if isinstance(node, ast.ImportFrom) and node.module:
            names = [node.module] if node.module != "coalm_lite" else [f"coalm_lite.{a.name}" for a in node.names]
        for name in names:
            if name.startswith("coalm_lite.") and name != "coalm_lite.__version__":
                yield name, name.split(".")[1]


def part_of(path: Path) -> str:
    """The part of coalm_lite that a source file belongs to; empty for what stands outside."""
    relative = path.relative_to(ROOT)
    if relative.parts[0] in ("converters", "grammars"):
        return relative.parts[0]
    return relative.parts[1].removesuffix(".py") if relative.parts[0] == "coalm_lite" else ""


PACKAGE = [path for path in SOURCES if part_of(path) and part_of(path) != "__init__"]


@pytest.mark.parametrize("path", PACKAGE, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_module_imports_only_from_its_own_and_lower_layers(path: Path) -> None:
    own = RANK[part_of(path)]
    for module, part in imported_parts(path):
        assert RANK[part] <= own, f"{path.relative_to(ROOT)} imports {module}, which is in a higher layer"


def test_only_the_command_line_imports_converters() -> None:
    for path in PACKAGE:
        if part_of(path) not in ("cli", "converters"):
            assert "converters" not in {part for _, part in imported_parts(path)}, path


def test_what_converters_work_with_imports_no_entry_of_theirs() -> None:
    entries = {path.stem for path in (ROOT / "converters").glob("*.py")}
    for path in (ROOT / "converters").glob("*/*.py"):
        for module, part in imported_parts(path):
            within = module.split(".")[2:3]
            assert part != "converters" or (within and within[0] not in entries), f"{path} imports {module}"


def test_no_import_cycles() -> None:
    files = {module_name(path): path for path in SOURCES if part_of(path)}
    edges = {
        name: {target for module, _ in top_level_imports(path) if (target := known(module, files)) and target != name}
        for name, path in files.items()
    }
    finished: set[str] = set()

    def visit(name: str, trail: tuple[str, ...]) -> None:
        assert name not in trail, " -> ".join((*trail, name))
        if name not in finished:
            for target in sorted(edges[name]):
                visit(target, (*trail, name))
            finished.add(name)

    for name in files:
        visit(name, ())


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    parts = parts if parts[0] == "coalm_lite" else ("coalm_lite", *parts)
    return ".".join(parts).removesuffix(".__init__")


def known(module: str, files: dict[str, Path]) -> str:
    return module if module in files else module.rpartition(".")[0] if module.rpartition(".")[0] in files else ""


def top_level_imports(path: Path) -> Iterator[tuple[str, str]]:
    """As `imported_parts`, with `from package import module` resolved, without what functions import."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in tree.body:
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("coalm_lite"):
            for alias in node.names:
                yield f"{node.module}.{alias.name}", ""
        elif isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name, ""


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_files_and_functions_stay_short(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert text.count("\n") <= 400, f"{path} has {text.count(chr(10))} lines"
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            assert (node.end_lineno or 0) - node.lineno < 50, f"{path}:{node.lineno} {node.name}"


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_file_says_what_it_is(path: Path) -> None:
    assert ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))


def importers(package: str) -> set[str]:
    """The files of coalm_lite and its converters that import a package or a part of it, anywhere in them."""
    return {
        path.relative_to(ROOT).as_posix()
        for path in PACKAGE
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if (isinstance(node, ast.Import) and any(alias.name.split(".")[0] == package for alias in node.names))
        or (isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == package)
    }


def test_llama_cpp_is_imported_in_one_file() -> None:
    assert importers("llama_cpp") == {"coalm_lite/runtime/llamacpp/library.py"}


def test_what_makes_and_runs_onnx_is_imported_in_one_file_each() -> None:
    assert importers("onnxruntime") == {"coalm_lite/runtime/onnx.py", "converters/onnx_export/child.py"}
    for package in ("onnx", "optimum", "torch", "transformers"):
        assert importers(package) == {"converters/onnx_export/child.py"}


def loaded_by(*arguments: str) -> set[str]:
    """The top-level modules in a fresh interpreter after it ran these arguments."""
    report = (
        "import sys, atexit; atexit.register(lambda: print('\\n' + ' '.join({m.split('.')[0] for m in sys.modules})))"
    )
    environment = os.environ | {"PYTHONSTARTUP": ""}
    code = f"{report}\n{arguments[0]}"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)
    return set(done.stdout.splitlines()[-1].split())


def test_importing_the_package_loads_nothing_heavy() -> None:
    loaded = loaded_by("import coalm_lite")
    assert "coalm_lite" in loaded
    assert not loaded & set(HEAVY)


def test_help_loads_nothing_heavy() -> None:
    loaded = loaded_by("import sys; sys.argv = ['coalm-lite', '--help']; from coalm_lite.cli import main; main()")
    assert "click" in loaded
    assert not loaded & {*HEAVY, "rich", "prompt_toolkit"}


def test_every_public_name_exists_and_the_list_is_sorted() -> None:
    assert list(coalm_lite.__all__) == sorted(coalm_lite.__all__)
    for name in coalm_lite.__all__:
        assert getattr(coalm_lite, name) is not None
    assert set(coalm_lite.__all__) <= set(dir(coalm_lite))
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        coalm_lite.nothing  # noqa: B018  # the access is the test


def test_no_data_set_is_committed() -> None:
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False).stdout.split()
    assert not [name for name in tracked if "shared/" in name or name.endswith((".jsonl.gz", ".tsv.gz", ".json.gz"))]
