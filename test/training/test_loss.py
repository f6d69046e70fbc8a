from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from training.loss import SiLKLoss, silk_loss


def random_pair(positions: int = 200, matched: int = 150, dim: int = 16, noise: float = 1.2) -> list[Tensor]:
    """Logits and descriptors of two maps of different size, and correspondences, of which some match."""
    random = torch.Generator().manual_seed(0)
    descriptors0 = torch.randn(positions, dim, generator=random)
    order = torch.randperm(positions, generator=random)
    descriptors1 = descriptors0[order] + noise * torch.randn(positions, dim, generator=random)
    descriptors1 = torch.cat([descriptors1, torch.randn(17, dim, generator=random)])
    logits0, logits1 = (torch.randn(n, generator=random) for n in (positions, positions + 17))
    correspondences = torch.stack([order, torch.arange(positions)], dim=1)[:matched]
    return [logits0, logits1, 3 * descriptors0, descriptors1, correspondences]


def full_matrix_loss(l0: Tensor, l1: Tensor, d0: Tensor, d1: Tensor, pairs: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    i, j = pairs.T
    similarity = F.normalize(d0, dim=1) @ F.normalize(d1, dim=1).T / 0.05
    descriptor = -(similarity.log_softmax(dim=1)[i, j] + similarity.log_softmax(dim=0)[i, j]).mean()
    success = ((similarity.argmax(dim=1)[i] == j) & (similarity.argmax(dim=0)[j] == i)).to(l0)
    keypoint = F.binary_cross_entropy(torch.cat([l0[i], l1[j]]).sigmoid(), torch.cat([success, success]))
    return descriptor, keypoint, success.mean()


@pytest.mark.parametrize("block", [1, 7, 50, 64, 150, 512])
def test_the_blockwise_loss_and_its_gradients_equal_those_of_the_full_matrix(block: int) -> None:
    *inputs, pairs = random_pair()
    tensors = [tensor.clone().requires_grad_() for tensor in inputs]
    exact = [tensor.double().requires_grad_() for tensor in inputs]

    loss = silk_loss(*tensors, pairs, block=block)
    descriptor, keypoint, match_rate = full_matrix_loss(*exact, pairs)
    loss.total.backward()
    (descriptor + keypoint).backward()

    assert 0.2 < match_rate < 0.9, "a pair in which all or none match tests little"
    assert loss.descriptor.item() == pytest.approx(descriptor.item(), rel=1e-5)
    assert loss.keypoint.item() == pytest.approx(keypoint.item(), rel=1e-5)
    assert loss.total.item() == pytest.approx((descriptor + keypoint).item(), rel=1e-5)
    assert loss.match_rate.item() == pytest.approx(match_rate.item())
    for tensor, reference in zip(tensors, exact, strict=True):
        scale = reference.grad.abs().max().item()
        torch.testing.assert_close(tensor.grad.double(), reference.grad, rtol=1e-5, atol=1e-5 * scale)


def test_bfloat16_descriptors_give_nearly_the_same_loss_and_gradients() -> None:
    logits0, logits1, descriptors0, descriptors1, pairs = random_pair()

    def computed(dtype: torch.dtype) -> tuple[SiLKLoss, list[Tensor]]:
        descriptors = [tensor.to(dtype).requires_grad_() for tensor in (descriptors0, descriptors1)]
        loss = silk_loss(logits0, logits1, *descriptors, pairs, block=64)
        return loss, [gradient.float() for gradient in torch.autograd.grad(loss.descriptor, descriptors)]

    (exact, gradients), (rounded, rounded_gradients) = computed(torch.float32), computed(torch.bfloat16)
    assert rounded.total.dtype == torch.float32
    assert rounded.descriptor.item() == pytest.approx(exact.descriptor.item(), rel=0.01)
    assert rounded.match_rate.item() == pytest.approx(exact.match_rate.item(), abs=0.03)
    for gradient, other in zip(gradients, rounded_gradients, strict=True):
        assert F.cosine_similarity(gradient.flatten(), other.flatten(), dim=0) > 0.999
        assert other.norm().item() == pytest.approx(gradient.norm().item(), rel=0.02)


# --- memory and work --------------------------------------------------------------------------------------------------


class _Recorder(TorchDispatchMode):
    """The largest tensor that any operation returns, and the number of matrix products, forward or backward."""

    largest, products = 0, 0

    def __torch_dispatch__(self, func: Callable, types: object, args: tuple = (), kwargs: dict | None = None) -> object:
        result = func(*args, **(kwargs or {}))
        sizes = [leaf.numel() for leaf in tree_leaves(result) if isinstance(leaf, Tensor)]
        self.largest = max(self.largest, *sizes, 0)
        aten = torch.ops.aten
        self.products += func in (aten.mm.default, aten.addmm.default, aten.addmm_.default)
        return result


def memory(loss: Callable[[], Tensor]) -> tuple[int, int]:
    """Elements of the largest tensor made by a loss and its gradient, and of all tensors kept for the gradient."""
    kept = []

    def keep(tensor: Tensor) -> Tensor:
        kept.append(tensor.numel())
        return tensor

    with _Recorder() as recorder:
        with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
            value = loss()
        value.backward()
    return recorder.largest, sum(kept)


def test_memory_is_bounded_by_the_block_and_not_by_the_similarity_matrix() -> None:
    block = 32
    *inputs, pairs = random_pair(positions=2000, matched=1500, dim=8)
    tensors = [tensor.requires_grad_() for tensor in inputs]
    keys, matrix = 2017, 1500 * 2000

    largest, kept = memory(lambda: silk_loss(*tensors, pairs, block=block).total)
    assert largest <= block * keys
    assert kept < matrix / 10

    full_largest, full_kept = memory(lambda: sum(full_matrix_loss(*tensors, pairs)[:2]))
    assert min(full_largest, full_kept) >= matrix, "this test must see what it forbids"


def test_gradients_are_computed_only_where_they_are_wanted() -> None:
    """One matrix product for a block's similarities, two for its gradients, which come along with the value."""
    logits0, logits1, descriptors0, descriptors1, pairs = random_pair(matched=150)
    blocks = 2 * 3  # of 64 rows, for both images

    def products() -> int:
        with _Recorder() as recorder:
            loss = silk_loss(logits0, logits1, descriptors0, descriptors1, pairs, block=64)
            if loss.total.requires_grad:
                loss.total.backward()
        return recorder.products

    assert products() == blocks
    descriptors0.requires_grad_()
    descriptors1.requires_grad_()
    assert products() == 3 * blocks
    with torch.no_grad():
        assert products() == blocks


# --- subsampled queries -----------------------------------------------------------------------------------------------


def test_the_losses_of_the_parts_of_the_correspondences_average_to_that_of_all() -> None:
    *inputs, pairs = random_pair(matched=150)
    shuffled = pairs[torch.randperm(150, generator=torch.Generator().manual_seed(1))]
    whole = silk_loss(*inputs, pairs)
    parts = [silk_loss(*inputs, subset) for subset in shuffled.split(30)]
    for name in ("descriptor", "keypoint", "match_rate"):
        values = torch.stack([getattr(part, name) for part in parts])
        assert values.mean().item() == pytest.approx(getattr(whole, name).item(), rel=1e-5)
        assert values.std() > 0


Loss = Callable[[list[Tensor], Tensor], Tensor]


def value_and_gradients(loss: Loss, inputs: list[Tensor], pairs: Tensor) -> Tensor:
    """The loss and its gradients with respect to all inputs, as one vector."""
    tensors = [tensor.clone().requires_grad_() for tensor in inputs]
    total = loss(tensors, pairs)
    return torch.cat([total.detach()[None], *(part.flatten() for part in torch.autograd.grad(total, tensors))])


def deviations(loss: Loss, draws: int = 200) -> Tensor:
    """How far the mean over random subsets of ten correspondences is from the loss of all, value and gradients,
    in standard errors of that mean: about normal for an estimate without bias."""
    *inputs, pairs = random_pair(positions=50, matched=40, dim=8)
    random = torch.Generator().manual_seed(2)
    subsets = [pairs[torch.randperm(len(pairs), generator=random)[:10]] for _ in range(draws)]
    estimates = torch.stack([value_and_gradients(loss, inputs, subset) for subset in subsets]).double()
    whole = value_and_gradients(lambda tensors, all_pairs: silk_loss(*tensors, all_pairs).total, inputs, pairs)
    error = (estimates.std(dim=0) / draws**0.5).clamp(min=1e-7)
    return (estimates.mean(dim=0) - whole) / error


def test_random_subsets_of_the_correspondences_estimate_the_loss_and_its_gradients_without_bias() -> None:
    found = deviations(lambda tensors, subset: silk_loss(*tensors, subset).total)
    assert found.square().mean().sqrt() < 1.3  # 1 is expected, not quite independently
    assert found.abs().max() < 5

    def among_the_subset(tensors: list[Tensor], subset: Tensor) -> Tensor:
        """The estimate that would be biased: the positions that were drawn scored against each other only."""
        logits0, logits1, descriptors0, descriptors1 = tensors
        i, j = subset.unbind(dim=1)
        itself = torch.arange(len(subset)).repeat(2, 1).T
        return silk_loss(logits0[i], logits1[j], descriptors0[i], descriptors1[j], itself).total

    assert deviations(among_the_subset).square().mean().sqrt() > 2, "this test must see what it forbids"


# --- what the loss means ----------------------------------------------------------------------------------------------


def hand_made_pair() -> tuple[Tensor, Tensor, Tensor]:
    """Four correspondences: a mutual match, a rival in image 1, a rival in image 0, no match at all."""
    basis = torch.eye(4)
    descriptors0 = torch.stack([basis[0], basis[1], basis[2] + 0.2 * basis[3], -basis[3], basis[2]])
    descriptors1 = torch.stack([basis[0], basis[1] + 0.2 * basis[3], basis[2], basis[0] + basis[3], basis[1]])
    return descriptors0, descriptors1, torch.tensor([[0, 0], [1, 1], [2, 2], [3, 3]])


def test_a_position_is_a_keypoint_when_it_and_its_true_match_are_mutual_nearest_neighbours() -> None:
    logits0, logits1 = torch.tensor([1.0, -2.0, 0.5, 3.0, 9.0]), torch.tensor([0.3, 0.7, -1.0, -0.2, 9.0])
    loss = silk_loss(logits0, logits1, *hand_made_pair())
    labels = torch.tensor([1.0, 0.0, 0.0, 0.0] * 2)
    expected = F.binary_cross_entropy_with_logits(torch.cat([logits0[:4], logits1[:4]]), labels)
    assert loss.keypoint.item() == pytest.approx(expected.item(), rel=1e-6)
    assert loss.match_rate.item() == pytest.approx(1 / 4)
    assert loss.precision.item() == pytest.approx(2 / 5)  # of five positive logits, two are at the match
    assert loss.recall.item() == pytest.approx(2 / 2)


def test_positions_without_a_correspondence_teach_the_detector_nothing() -> None:
    logits0, logits1 = (torch.zeros(5, requires_grad=True) for _ in range(2))
    silk_loss(logits0, logits1, *hand_made_pair()).total.backward()
    for logits in (logits0, logits1):
        assert (logits.grad[:4] != 0).all()
        assert logits.grad[4] == 0


def test_the_detector_does_not_train_the_descriptors() -> None:
    logits0, logits1, descriptors0, descriptors1, pairs = random_pair()
    descriptors0.requires_grad_()
    logits0.requires_grad_()
    loss: SiLKLoss = silk_loss(logits0, logits1, descriptors0, descriptors1, pairs)
    gradient = torch.autograd.grad(loss.keypoint, [logits0, descriptors0], allow_unused=True)
    assert gradient[0].abs().sum() > 0
    assert gradient[1] is None


def test_the_length_of_a_descriptor_does_not_matter() -> None:
    logits0, logits1, descriptors0, descriptors1, pairs = random_pair()
    loss = silk_loss(logits0, logits1, descriptors0, descriptors1, pairs)
    longer = silk_loss(logits0, logits1, 10 * descriptors0, descriptors1, pairs)
    assert longer.descriptor.item() == pytest.approx(loss.descriptor.item(), rel=1e-5)
