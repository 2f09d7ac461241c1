"""Importance matrices: the texts that they are measured on, and their file.

`texts` gives a user's file or the conversations made here by `talk`, about the functions in `errands` and `leisure`, in
the form of `tools`; `imatrix_file` reads and writes llama.cpp's matrices.
"""
