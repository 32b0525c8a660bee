"""The decisions, pure: desired + record + what Command shows -> what to ask for, what to record."""
