"""Freezes a small app that uses coalm_lite by a plain `pyinstaller app.py`, and runs it outside any Python environment.

usage: python benchmarks/freeze.py --scratch DIR      (needs PyInstaller and an installed, not editable, coalm-lite)

As a folder and as one file. The app has a conversation with a tool, in an engine of its own process that is then killed
and goes on, and in its own process; it checks a chat template, which takes another child; and it tells what it loaded.
Beside it lie packages called torch, pytest and so on, which must not come along. The last line is one JSON object.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from rows import provenance

UNWANTED = ("torch", "pytest", "hypothesis", "mypy")
APP = """
import json, sys
from coalm_lite import Assistant, EngineCrashed, demo
from coalm_lite.runtime.chat_template import check_template
from pathlib import Path
import psutil

tools, said = demo.tools(Path(sys.argv[1])), "a cheap hotel in the north with parking"
with Assistant("nano", tools=tools, isolate=False) as own:
    here = own.ask(said).text
with Assistant("nano", tools=tools) as apart:
    there = apart.ask(said).text
    crashed = 0
    while not crashed:  # when its end is seen before the turn, the turn has a fresh engine and works
        for child in psutil.Process().children():
            child.kill()
        try:
            apart.ask("thanks")
        except EngineCrashed:
            crashed += 1
    again = apart.ask("thanks").text
template = check_template("{{ messages[0].content }}").kind
loaded = sorted({name.split(".")[0] for name in sys.modules})
print(json.dumps({"here": here, "there": there, "crashed": crashed, "again": again, "template": template,
                  "frozen": getattr(sys, "frozen", False), "loaded": loaded}))
"""


@dataclass(frozen=True, slots=True)
class Frozen:
    """A frozen app: its program, the bytes of all that must be shipped, and how long freezing took."""

    program: Path
    size_bytes: int
    files: int
    freeze_s: float


def freeze(script: Path, scratch: Path, name: str, *options: str) -> Frozen:
    """The script frozen below `scratch`."""
    scratch.mkdir(parents=True, exist_ok=True)
    started = time.perf_counter()
    places = ("--distpath", str(scratch / "dist"), "--workpath", str(scratch / "work"), "--specpath", str(scratch))
    program = str(Path(sys.executable).with_name("pyinstaller"))
    command = [program, "--noconfirm", "--log-level", "WARN", "--name", name]
    subprocess.run([*command, *places, *options, str(script)], check=True, cwd=scratch, timeout=1800)
    made = scratch / "dist" / name
    files = [path for path in made.rglob("*") if path.is_file() and not path.is_symlink()] if made.is_dir() else [made]
    return Frozen(
        made / name if made.is_dir() else made,
        sum(path.stat().st_size for path in files),
        len(files),
        time.perf_counter() - started,
    )


def bare_environment(home: Path) -> dict[str, str]:
    """What a program sees that was started where there is no Python."""
    home.mkdir(parents=True, exist_ok=True)
    return {"HOME": str(home), "PATH": "/nowhere", "LANG": "C.UTF-8", "COALM_LITE_HOME": str(home / "coalm-lite")}


def packages_in(program: Path) -> set[str]:
    """The names of the frozen program's Python packages."""
    viewer = Path(sys.executable).with_name("pyi-archive_viewer")
    done = subprocess.run([viewer, "-l", "-r", "-b", program], capture_output=True, text=True, check=True, timeout=300)
    return {line.strip().split(".")[0] for line in done.stdout.splitlines()}


def tried(app: Path, scratch: Path, one_file: bool) -> dict[str, object]:
    """What came of one way to freeze the app."""
    name = "one_file" if one_file else "one_dir"
    frozen = freeze(app, scratch, name, *(["--onefile"] if one_file else []))
    command = [str(frozen.program), str(scratch / f"{name}.sqlite3")]
    environment = bare_environment(scratch / "home")
    started = time.perf_counter()
    done = subprocess.run(command, env=environment, cwd="/", capture_output=True, text=True, check=False, timeout=120)
    if done.returncode:
        raise SystemExit(f"{name} ended with {done.returncode}:\n{done.stderr}")
    told = json.loads(done.stdout.splitlines()[-1])
    unwanted = sorted(packages_in(frozen.program) & set(UNWANTED))
    right = told["frozen"] and told["here"] == told["there"] and told["crashed"] and told["template"] == "different"
    if not right or unwanted or not told["again"]:
        raise SystemExit(f"{name}: {told}, with {unwanted}")
    return {
        "size_bytes": frozen.size_bytes,
        "files": frozen.files,
        "freeze_s": round(frozen.freeze_s, 1),
        "run_s": round(time.perf_counter() - started, 2),
        "answer": told["there"],
    }


def main() -> None:
    """Freeze, run, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scratch", type=Path, required=True)
    scratch = parser.parse_args().scratch.absolute()
    for name in UNWANTED:
        (scratch / "beside" / name).mkdir(parents=True, exist_ok=True)
        (scratch / "beside" / name / "__init__.py").write_text("def freeze_includes(): return []\n", encoding="utf-8")
    app = scratch / "app.py"
    app.write_text(APP, encoding="utf-8")
    os.environ["PYTHONPATH"] = str(scratch / "beside")
    ways = {name: tried(app, scratch, name == "one_file") for name in ("one_dir", "one_file")}
    print(json.dumps({"benchmark": "freeze", "n": 1, **ways} | provenance()))


if __name__ == "__main__":
    main()
