"""The commands. Each module holds one and is imported only when it is asked for, so that none waits for another."""
