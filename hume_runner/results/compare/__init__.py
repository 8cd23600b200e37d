"""Two results of the same sources side by side: what matched, and how far their numbers agree."""
