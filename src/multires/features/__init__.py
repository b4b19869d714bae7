"""Layers to vectors: extraction, the store, and sampling."""
