"""Why rules decided as they did, and tests of rules."""
