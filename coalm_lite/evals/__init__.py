"""Measurement: how well a model does what CoALM is published for."""
