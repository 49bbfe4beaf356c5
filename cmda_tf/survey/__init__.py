"""A folder of unknown volumes: what is in it, and a first description of it."""
