"""The CPU's step of one token as one call into C, where this machine has a C compiler.

library.py   compiles step.c once for this processor, and loads it
products.py  a linear layer whose weights have the checkpoint's values, bit for bit
packing.py   bfloat16 in 12 bits and float32 in 28, without loss
steps.py     one token through all layers of a model that was taken apart
products.h   the arithmetic of a product
packed.h     how packed weights are laid out, made and read
step.c       the arithmetic of a step

Nothing needs it: without a compiler, FBGEMM multiplies and torch does the rest, and the host's notes say so.
"""
