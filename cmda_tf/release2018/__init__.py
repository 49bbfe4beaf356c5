"""The authors' preprocessed release: its records, test volumes and folders, and conversion."""
