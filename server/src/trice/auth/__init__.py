"""From credentials to identities: accounts, tokens, and the ways to sign in."""
