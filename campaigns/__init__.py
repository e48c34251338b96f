"""Long runs against refcoreml: many hostile models, inputs and interruptions. Not part of the package."""
