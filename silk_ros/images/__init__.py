"""Sources of images, and their conversion to grey arrays."""
