"""Training, fine-tuning and export of SiLK networks. The only part of the project that imports torch."""
