"""The command line `apex`."""
