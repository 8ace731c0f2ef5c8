"""The command line of each subcommand: names, help texts and defaults; typer only."""
