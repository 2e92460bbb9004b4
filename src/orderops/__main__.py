"""python -m orderops."""

from orderops.cli import main

if __name__ == "__main__":
    main()
