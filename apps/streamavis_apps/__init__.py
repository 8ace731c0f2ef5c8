"""The `streamavis` command: the only part of StreamAVIS that reads argv and prints."""
