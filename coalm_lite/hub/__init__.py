"""The Hugging Face Hub: what there is, and its bytes, checked, on a network that fails.

`places` says what a user names, `client` what the Hub has of it, `download` brings it. The only part of coalm-lite that
imports huggingface_hub and requests; both are imported where they are used.
"""
