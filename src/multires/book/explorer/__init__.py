"""The data of the book's model explorer: every model of the registry, and every curve of the models that were analyzed."""
