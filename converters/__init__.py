"""Converters of checkpoints: installed as coalm_lite.converters."""
