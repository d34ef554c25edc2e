"""The queue that outlives the terminal: store, runner, admission."""
