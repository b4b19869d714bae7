"""One run: profile, corpus and models to tables."""
