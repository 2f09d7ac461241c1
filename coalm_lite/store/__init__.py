"""Models on this machine: files in the Hugging Face cache, our records beside them, the default model, what names mean.

`cache` knows the layout, `manifest` the records, `local` reads them; `remove` and `verify` work on what is there.
Fetching is done by coalm_lite.pull.
"""
