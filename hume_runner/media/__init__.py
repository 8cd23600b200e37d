"""Files become what is sent: what kind a file is and how long (sniff.py, probe.py), its sound and pictures (audio.py,
pictures.py), cut into parts (cuts.py), kept for the next run (cache.py). Knows files alone, and no API."""
