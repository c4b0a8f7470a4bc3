"""halfsquare: regression by descending the squared error."""
