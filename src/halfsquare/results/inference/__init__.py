"""What a linear fit says beyond its coefficients: their covariance, tests, tables and effects."""
