"""Run at a frozen app's start, before its own code: a process that coalm_lite started never becomes the app.

In a frozen app `sys.executable` is the app itself, so each child begins as the app does. coalm_lite.runtime
.child_command marks its own. Children of multiprocessing are left to the app and `multiprocessing.freeze_support`,
since their functions may stand in its main script, which has not run yet.
"""


def _run_as_child() -> None:
    import sys

    if sys.argv[1:2] == ["--coalm-lite-child"] and sys.argv[2].startswith("coalm_lite."):
        import runpy

        module = sys.argv[2]
        del sys.argv[1:3]
        runpy.run_module(module, run_name="__main__", alter_sys=True)
        sys.exit()


_run_as_child()
del _run_as_child
