"""The front end for people and pipelines: `keyfactor-reenrollment`. It reads and reports, and changes nothing."""
