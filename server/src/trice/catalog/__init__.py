"""What an app's data looks like: attrs, value types, system namespaces, schema documents."""
