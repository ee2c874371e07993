"""The command `plonnx`, also as `python -m plonnx`."""

import atexit
import os
import sys
from contextlib import suppress
from typing import NoReturn

from plonnx.cli import main as command


def main() -> NoReturn:
    """Run the command and end the process at once: to take apart all modules and arrays is a sixth of a small proof."""
    code = command.main()
    atexit._run_exitfuncs()  # a node is stopped
    with suppress(OSError):  # its reader may have gone; what stdout had to say was written by the command
        sys.stderr.flush()
    os._exit(code)


if __name__ == "__main__":
    main()
