"""What the outputs are, for people who publish them: data package, codebook, research object, Psych-DS."""
