"""Which snapshot of an adaptation to keep, decided without target labels."""
