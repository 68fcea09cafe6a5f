"""Tasks of translating from a few examples: invented languages, and rules of format."""
