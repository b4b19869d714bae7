"""Executable companion to a paper on multi-resolution speech models."""
