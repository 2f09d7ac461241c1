"""Paired statistics of two runs: intervals, tests, the verdict, and how many items a question needs."""
