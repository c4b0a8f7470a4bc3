"""Terms of a linear model: the formula language of R, read by an allow-list and never evaluated."""
