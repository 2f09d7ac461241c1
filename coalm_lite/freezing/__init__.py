"""Freezing apps that use coalm-lite: hooks that PyInstaller finds by itself, by the entry point `pyinstaller40`.

With them a plain `pyinstaller app.py` collects what coalm_lite imports by name, its data and llama.cpp's libraries, and
leaves out what only its converters and evaluations load. The app need not call `multiprocessing.freeze_support`.
Covered: one folder and one file, on Linux, tried for real (benchmarks/freeze.py); macOS and Windows by the same rules,
not tried. Not covered: converting to ONNX and BFCL's multi-turn items, which start Python itself.
"""

from __future__ import annotations

from pathlib import Path


def hook_dirs() -> list[str]:
    """The folder of the hooks, as PyInstaller's entry point `hook-dirs` asks for it."""
    return [str(Path(__file__).parent / "hooks")]
