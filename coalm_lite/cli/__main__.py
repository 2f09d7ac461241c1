"""`python -m coalm_lite.cli`: the command line without an installed script."""

from __future__ import annotations

from coalm_lite.cli import main

main()
