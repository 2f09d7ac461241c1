"""PyInstaller's hook for pydantic.mypy, which comes along with pydantic's other modules: without the tool it is for."""

from coalm_lite.freezing.contents import NEVER_NEEDED

excludedimports = list(NEVER_NEEDED)
