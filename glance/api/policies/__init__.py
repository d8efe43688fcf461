"""The default policy rules, one module per noun. Operators change them in policy.yaml."""
