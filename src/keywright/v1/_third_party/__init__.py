"""Generated code that ours needs, kept off everybody's top level."""
