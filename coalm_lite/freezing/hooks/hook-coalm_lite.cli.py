"""PyInstaller's hook for coalm_lite.cli: the commands, for an app that is the command line or calls it."""

from coalm_lite.freezing.contents import commands_by_name

hiddenimports = commands_by_name()
