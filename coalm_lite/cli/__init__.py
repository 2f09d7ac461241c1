"""Placeholder replaced by this part of the package."""
