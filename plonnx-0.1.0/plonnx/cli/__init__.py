"""The command line: `commands` (all of them; one file a family), `console` (what they print), `main` (how they end)."""
