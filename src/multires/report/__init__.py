"""Tables to figures, sentences and verdicts."""
