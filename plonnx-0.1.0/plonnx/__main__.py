"""The command `plonnx`, also as `python -m plonnx`."""

import sys

from plonnx.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
