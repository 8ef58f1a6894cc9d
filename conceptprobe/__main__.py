"""`python -m conceptprobe` is `conceptprobe`."""

from conceptprobe.cli.app import main

if __name__ == "__main__":
    main()
