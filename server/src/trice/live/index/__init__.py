"""From what a commit changed to the live queries it may touch."""
