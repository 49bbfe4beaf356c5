"""Predictions of whole volumes, Dice and ASD, tables."""
