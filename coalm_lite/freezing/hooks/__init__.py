"""The folder that PyInstaller reads: `hook-MODULE.py` says what a module needs, `rthooks.dat` what runs first."""
