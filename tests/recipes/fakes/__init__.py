"""What stands in for the commands that a recipe calls and that would leave this machine."""
