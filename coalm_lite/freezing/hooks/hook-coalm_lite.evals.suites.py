"""PyInstaller's hook for coalm_lite.evals.suites: the suites, for an app that evaluates models."""

from coalm_lite.freezing.contents import suites_by_name

hiddenimports = suites_by_name()
