"""The expression language of rules: a subset of CEL. Knows no app and no database."""
