"""Decoding: choosing tokens by their logits and a grammar, independent of the engine."""
