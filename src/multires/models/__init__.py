"""Speech to layers."""
