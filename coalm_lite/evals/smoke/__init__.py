"""Sixty items written for this project, inside the package: `eval` works offline out of the box."""

from coalm_lite.evals.smoke.suite import open_suite

__all__ = ["open_suite"]
