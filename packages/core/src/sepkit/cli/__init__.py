"""The `sepkit` command; nothing here imports torch before a command needs it."""
