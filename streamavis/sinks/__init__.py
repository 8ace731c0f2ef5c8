"""Where results go: files, the wire, a window, a function; one protocol, `streamavis.protocols`."""
