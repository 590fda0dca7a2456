"""Super-resolution by the image-formation model."""
