"""PyInstaller's hook for gguf: without the frameworks that it can work with, unless the app imports them."""

from coalm_lite.freezing.contents import NEVER_NEEDED

excludedimports = list(NEVER_NEEDED)
