"""A manifest for one API as a manifest for its successor."""
