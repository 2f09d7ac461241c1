"""PyInstaller's hook for pydantic.v1._hypothesis_plugin, which comes along with pydantic: without hypothesis."""

from coalm_lite.freezing.contents import NEVER_NEEDED

excludedimports = list(NEVER_NEEDED)
