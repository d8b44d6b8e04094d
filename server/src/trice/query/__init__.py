"""InstaQL: parse, plan, compose SQL, run, encode."""
