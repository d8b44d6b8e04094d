"""Who may see and change what: the rules document, checked and compiled."""
