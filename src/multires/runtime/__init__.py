"""Execution, storage, downloads, and the digest of the package's code."""
