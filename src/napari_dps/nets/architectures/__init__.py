"""One module an architecture, under the name that its weights carry.

Each holds its class as ``NETWORK``, a `torch.nn.Module`. Torch is imported when one of
them is used.
"""
