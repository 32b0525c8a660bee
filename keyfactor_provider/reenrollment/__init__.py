"""The decisions, pure: wish + record + what Command shows -> what to ask for, what to record."""
