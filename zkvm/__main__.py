"""``python -m zkvm`` is the command line."""

from zkvm.cli.main import console

if __name__ == "__main__":
    console()
