"""A table as exact sums: computed where the rows are, merged anywhere, fitted without them."""
