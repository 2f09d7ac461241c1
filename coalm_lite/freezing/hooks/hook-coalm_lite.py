"""PyInstaller's hook for coalm_lite: what it imports by name, its data files, and the versions that it asks for."""

from PyInstaller.utils.hooks import collect_data_files, copy_metadata

from coalm_lite.freezing.contents import NEVER_NEEDED, modules_by_name

hiddenimports = modules_by_name()
excludedimports = list(NEVER_NEEDED)
datas = collect_data_files("coalm_lite", excludes=["freezing/**"])
datas += collect_data_files("coalm_lite.grammars")  # which lie elsewhere in an editable installation
datas += copy_metadata("coalm-lite") + copy_metadata("llama-cpp-python")
