"""The shell of the recipes under examples/ and docs/recipes, run against the stand-ins."""
