"""Recipes, targets, and masked unit prediction."""
