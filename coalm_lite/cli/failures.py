"""The one place where an error becomes a message and an exit code.

Data that was printed before the error stays printed. A traceback is shown only with -vv or COALM_LITE_DEBUG set.
"""

from __future__ import annotations

import io
import os
import sys
import traceback
from collections.abc import Callable

import click

from coalm_lite.cli.invocation import Invocation
from coalm_lite.errors import CoalmError

INTERRUPTED = 130
DEBUG_VARIABLE = "COALM_LITE_DEBUG"
_TRACEBACK_VERBOSITY = 2


def exit_code_of(work: Callable[[], object], invocation: Invocation) -> int:
    """The exit code of `work`, whose errors are told on standard error; an int that it returns is its code."""
    _accept_any_text()
    try:
        result = work()
        sys.stdout.flush()
    except BrokenPipeError:
        return _close_quietly()
    except (KeyboardInterrupt, click.Abort):
        return INTERRUPTED
    except SystemExit as error:  # click's answer to a closed pipe
        return error.code if isinstance(error.code, int) else 1
    except Exception as error:
        return _told(error, invocation)
    return result if isinstance(result, int) else 0


def _accept_any_text() -> None:
    """Let a character that a stream cannot encode come out as an escape, and a byte that is no text come in as one."""
    for stream, errors in ((sys.stdin, "surrogateescape"), (sys.stdout, "backslashreplace")):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors=errors)


def _close_quietly() -> int:
    """1, after the closed pipe was replaced, so that Python's last flush does not complain."""
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, sys.stdout.fileno())
    return 1


def _told(error: Exception, invocation: Invocation) -> int:
    """The exit code of `error`, after its message is printed."""
    debug = invocation.verbosity >= _TRACEBACK_VERBOSITY or bool(os.environ.get(DEBUG_VARIABLE))
    if debug:
        traceback.print_exception(error)
    match error:
        case click.ClickException():
            error.show()
            return error.exit_code
        case CoalmError():
            tell(error.message, error.hint)
            return error.exit_code
        case OSError():  # of the terminal or a full disk; those of named files are CoalmErrors
            tell(str(error))
        case _:
            hint = "" if debug else f"Run it again with {DEBUG_VARIABLE}=1 and send the traceback in a report."
            tell(f"unexpected {type(error).__name__}: {error}; this is a fault of coalm-lite", hint)
    return 1


def tell(message: str, hint: str = "") -> None:
    """Print an error and its hint on standard error."""
    print(f"error: {message}", file=sys.stderr)
    if hint:
        print(f"hint: {hint}", file=sys.stderr)
    sys.stderr.flush()
