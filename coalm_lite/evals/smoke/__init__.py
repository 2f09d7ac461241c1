"""Sixty items written for this project, inside the package: `eval` works offline out of the box."""
