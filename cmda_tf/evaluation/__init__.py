"""Dice, surface distance and the report in the layout of the paper's Table 1."""
