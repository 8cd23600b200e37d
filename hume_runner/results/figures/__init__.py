"""Pictures for papers and notebooks: timelines of a source, means of all sources, groups side by side (matplotlib)."""
