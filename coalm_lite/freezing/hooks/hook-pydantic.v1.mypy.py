"""PyInstaller's hook for pydantic.v1.mypy, which comes along with pydantic: without the tool that it is for."""

from coalm_lite.freezing.contents import NEVER_NEEDED

excludedimports = list(NEVER_NEEDED)
