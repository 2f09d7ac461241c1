"""`coalm-lite` as a program whose model never stops talking: run with the arguments of the command line."""

from __future__ import annotations

import sys

from coalm_lite.cli import main
from tests.cli.conftest import scripted

ANSWER = "System: " + "a word and another one\n\n" * 4000

if __name__ == "__main__":
    main(sys.argv[1:], scripted(ANSWER, ANSWER, context_tokens=1 << 20))
