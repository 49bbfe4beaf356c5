"""What several test files build or ask."""
