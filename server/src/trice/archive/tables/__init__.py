"""Tables: JSON Lines and CSV become an app, and an app becomes them."""
