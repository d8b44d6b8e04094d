"""Rules: what each caller may see and change. The document, checked and compiled."""
