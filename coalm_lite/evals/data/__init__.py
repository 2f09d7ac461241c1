"""The benchmarks' public data: where it lies, fetched and hashed; nothing of it is in the package."""
