"""The generator: bases, the adapter and its algebra, cached latents, tuning, sampling.

A preset names a base; `base.load_base` loads it; `adapter.attach_adapter` adds the trainable part;
`tuning.tune` trains it on cached latents; `sampling.Generator` makes videos with it.
"""
