"""All commands, in the order in which `plonnx --help` lists them: models, proofs, contracts, setups."""

from plonnx.cli import models, proofs, contracts, setups  # noqa: F401, I001
from plonnx.cli.app import app, run

__all__ = ["app", "run"]
