import numpy as np

from ophora_model.update import tensors_digest


def test_the_digest_of_an_update_is_of_names_types_shapes_and_values() -> None:
    one = np.arange(6, dtype=np.float32).reshape(2, 3)
    digests = {
        tensors_digest(tensors)
        for tensors in (
            {"a": one},
            {"b": one},
            {"a": one.reshape(3, 2)},
            {"a": one.astype(np.float64)},
            {"a": one + 1},
            {"a": one, "b": one},
        )
    }
    assert len(digests) == 6
    assert tensors_digest({"a": one.T.copy().T}) == tensors_digest({"a": one})
