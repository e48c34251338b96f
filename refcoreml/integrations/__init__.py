"""refcoreml inside other programs; each module is imported on its own, and needs that program."""
