"""The command line: `commands` (one function for each command), `console` (what they print), `main` (how they end)."""
