"""BFCL V3: its categories, its checker of calls, its executors of conversations."""
