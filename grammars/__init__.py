"""The GBNF frames of the dialects, as data files; see README.md here."""
