"""From a scanned table to a fitted model: one recipe for each family."""
