"""The command that runs a module of coalm_lite in a process of its own, in a frozen app too.

In a frozen app `sys.executable` is the app itself, and whatever it is started with, the app begins: so the command
carries a mark, and the hook in coalm_lite.freezing that runs before the app's code hands the process to the module.
multiprocessing's spawn does not do: it imports the app's main script once more in the child, which therefore must be
guarded, and a frozen app must call `freeze_support` first, or each child opens another window of the app.
"""

from __future__ import annotations

import sys

CHILD_MARK = "--coalm-lite-child"  # pyi_rth_coalm_lite.py knows it too


def child_command(module: str, *arguments: str) -> list[str]:
    """What to start so that `module` runs as `__main__` with these arguments; it finds the modules that this one finds.

    The environment is the caller's affair. Connect by standard streams, inherited file descriptors or an address.
    """
    if getattr(sys, "frozen", False):
        return [sys.executable, CHILD_MARK, module, *arguments]
    code = (
        f"import runpy, sys; sys.path[:] = {sys.path!r}; "
        f"runpy.run_module({module!r}, run_name='__main__', alter_sys=True)"
    )
    return [sys.executable, "-c", code, *arguments]
