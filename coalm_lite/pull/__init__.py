"""Pulling a model: what it needs of this machine, the plan that a user sees first, and the fetching or building."""
