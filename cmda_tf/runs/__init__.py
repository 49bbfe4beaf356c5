"""A run on disk: its folder, its typed record, its weights and snapshots."""
