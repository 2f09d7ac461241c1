"""API-Bank, levels 1 and 2, in the one-call form."""
