"""What a frozen app runs before its own code."""
