"""Running a suite on a model: which items, in what order, in which batches, and the file that records it."""
