"""Sums without rounding: products of float64 columns as integers, merged and taken apart
exactly.
"""
