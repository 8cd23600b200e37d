"""`python -m hume_runner` is the command `hume-runner`."""

from hume_runner.cli.entry import entry_point

if __name__ == "__main__":
    entry_point()
