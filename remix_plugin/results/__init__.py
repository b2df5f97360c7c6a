"""Results of runs: read from their folders, kept in one small file."""
