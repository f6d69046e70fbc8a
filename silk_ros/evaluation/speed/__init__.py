"""Speed of extraction and matching on this machine."""
