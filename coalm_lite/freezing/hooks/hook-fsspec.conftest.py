"""PyInstaller's hook for fsspec.conftest, which comes along with fsspec's other modules: without pytest."""

from coalm_lite.freezing.contents import NEVER_NEEDED

excludedimports = list(NEVER_NEEDED)
