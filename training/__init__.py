"""Training and export of SiLK networks."""

try:
    import torch as _torch  # noqa: F401
except ImportError as error:
    raise ImportError("training needs PyTorch and other packages: pip install 'silk_ros[train]'") from error
