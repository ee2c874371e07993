"""Worked examples: models with their inputs (a folder each) and hand-written circuits (a file each)."""
