"""The models that `local` runs, a file each. Others are found by the entry point group `hume_runner.measurers`."""
