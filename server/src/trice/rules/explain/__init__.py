"""Reasons for the decisions of rules, and tests of rules."""
