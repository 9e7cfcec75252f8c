"""The local cloud: the synthesised template and the real handlers on one machine, without an account."""
