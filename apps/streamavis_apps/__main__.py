"""`python -m streamavis_apps`: the `streamavis` command without its entry point."""

from streamavis_apps.cli import main

if __name__ == "__main__":
    main()
