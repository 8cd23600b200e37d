"""A state that lives in an object store, so that it outlives the machine that runs."""
