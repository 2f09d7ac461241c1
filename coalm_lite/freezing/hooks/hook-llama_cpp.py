"""PyInstaller's hook for llama_cpp: llama.cpp's libraries, in the folder where llama_cpp looks for them."""

from pathlib import Path

from PyInstaller.utils.hooks import get_package_paths

from coalm_lite.freezing.contents import NEVER_NEEDED, libraries

excludedimports = list(NEVER_NEEDED)
_folder = Path(get_package_paths("llama_cpp")[1]) / "lib"
binaries = [(str(path), "llama_cpp/lib") for path in libraries(_folder)]
