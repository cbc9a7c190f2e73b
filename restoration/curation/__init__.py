"""Data sets put in order: packed into shards, checked, identified."""
