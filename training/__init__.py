"""Training and export of SiLK networks. The only part of the project that imports torch."""

try:
    import torch as _torch  # noqa: F401
except ImportError as error:
    raise ImportError("training needs PyTorch and more: pip install 'silk_ros[train]'") from error
