"""API-Bank, levels 1 and 2, in the one-call form."""

from coalm_lite.evals.apibank.suite import open_suite

__all__ = ["open_suite"]
