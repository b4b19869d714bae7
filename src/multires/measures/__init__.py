"""Vectors to numbers."""
