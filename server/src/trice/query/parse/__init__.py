"""InstaQL in JSON to a checked Query, every error with its path."""
