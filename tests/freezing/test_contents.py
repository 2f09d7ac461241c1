"""What a frozen app is given: every module that is imported by name, llama.cpp's libraries, and nothing twice."""

from __future__ import annotations

import ast
import subprocess
import sys
import tomllib
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import pytest

from coalm_lite.freezing import contents, hook_dirs
from coalm_lite.runtime.child_command import CHILD_MARK

ROOT = Path(__file__).parents[2]
HOOKS = Path(hook_dirs()[0])
RUN_FIRST = HOOKS / "rthooks" / "pyi_rth_coalm_lite.py"
# Where modules are imported by a name that is worked out: each is in one of the lists of `contents`, or is no module of
# ours (re._parser, ray) that static analysis finds or that is left out on purpose.
BY_NAME = {
    "coalm_lite/__init__.py",
    "coalm_lite/cli/__init__.py",
    "coalm_lite/dialects/__init__.py",
    "coalm_lite/evals/suites.py",
}


def imports_by_worked_out_name(path: Path) -> bool:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call) and getattr(node.func, "id", getattr(node.func, "attr", "")) == "import_module":
            return not isinstance(node.args[0], ast.Constant)
    return False


def test_no_other_file_imports_by_a_worked_out_name() -> None:
    sources = [path for folder in ("coalm_lite", "converters") for path in (ROOT / folder).rglob("*.py")]
    found = {path.relative_to(ROOT).as_posix() for path in sources if imports_by_worked_out_name(path)}
    assert found == BY_NAME


@pytest.mark.parametrize("listed", [contents.modules_by_name, contents.commands_by_name, contents.suites_by_name])
def test_the_listed_modules_are_there(listed: object) -> None:
    names = listed()  # type: ignore[operator]
    assert names == sorted(set(names))
    assert all(find_spec(name) for name in names)


def test_every_module_that_runs_as_a_child_is_listed() -> None:
    sources = [*(ROOT / "coalm_lite" / "app").glob("*.py"), *(ROOT / "coalm_lite" / "runtime").glob("*.py")]
    mains = {path.stem: path for path in sources if '__name__ == "__main__"' in path.read_text(encoding="utf-8")}
    assert {name.rpartition(".")[2] for name in contents.CHILDREN} == set(mains)


def test_of_each_library_the_names_that_are_asked_for_are_taken(tmp_path: Path) -> None:
    asked = ("libllama.so", "libggml.so.0", "libodd.so.1.2", "ggml-metal.metal", "llama.dll", "libllama.dylib")
    for name in (*asked, "libggml.so.0.25.3", "README.md", "libllama.a"):
        (tmp_path / name).write_bytes(b"")
    (tmp_path / "cmake").mkdir()
    assert {path.name for path in contents.libraries(tmp_path)} == set(asked)
    assert contents.libraries(tmp_path / "nothing") == []


def test_the_real_library_is_among_them() -> None:
    spec = find_spec("llama_cpp")
    assert spec is not None
    assert spec.origin is not None
    names = {path.name for path in contents.libraries(Path(spec.origin).parent / "lib")}
    assert any("llama." in name for name in names)
    assert any("ggml-base" in name for name in names)


def run_first(tmp_path: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """What an app does that has the hook run before its own code, started with these arguments."""
    app = tmp_path / "app.py"
    app.write_text(f"import runpy\nrunpy.run_path({str(RUN_FIRST)!r})\nprint('the app')\n", encoding="utf-8")
    command = [sys.executable, str(app), *arguments]
    request = '{"template": "hi", "conversations": [[]], "bos_token": "", "eos_token": ""}'
    return subprocess.run(command, input=request, capture_output=True, text=True, check=False, timeout=60)


def test_a_marked_process_is_the_child_and_never_the_app(tmp_path: Path) -> None:
    done = run_first(tmp_path, CHILD_MARK, "coalm_lite.runtime.template_child")
    assert (done.returncode, done.stdout) == (0, '{"kind": "rendered", "problem": "", "texts": ["hi"]}')


@pytest.mark.parametrize("arguments", [[], ["--multiprocessing-fork", "a=1"], [CHILD_MARK, "os"], ["x", CHILD_MARK]])
def test_any_other_process_is_the_app(tmp_path: Path, arguments: list[str]) -> None:
    assert run_first(tmp_path, *arguments).stdout == "the app\n"


def test_pyinstaller_is_told_of_the_hooks() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    module, _, function = project["project"]["entry-points"]["pyinstaller40"]["hook-dirs"].partition(":")
    assert getattr(import_module(module), function)() == [str(HOOKS)]
    assert {path.name for path in HOOKS.glob("hook-*.py")} >= {"hook-coalm_lite.py", "hook-llama_cpp.py"}
    named = ast.literal_eval((HOOKS / "rthooks.dat").read_text(encoding="utf-8"))
    assert named == {"coalm_lite": [RUN_FIRST.name]}
