"""What a run needs on disk to go on exactly where it was cut off."""
