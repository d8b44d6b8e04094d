"""Who somebody is: accounts, tokens, and the ways to sign in."""
