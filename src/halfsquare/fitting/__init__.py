"""Rows in, trained model out: one trainer for each family of models."""
