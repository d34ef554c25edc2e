"""The host: one loaded model that answers chats over HTTP.

engine.py         what the host needs of an engine
engine_choice.py  which engine loads a build, and why
torch_engine.py   our own loop over a transformers model
llama_engine.py   llama.cpp for GGUF builds
chat_template.py  templates without transformers, in a sandbox
loading.py        from a folder to weights on a device
loading_ahead.py  what is done in threads while torch loads
lean_torch.py     torch without what only its compiler needs
light_model.py    models built like Llama, loaded without transformers
light_tokenizer.py  their tokenizers and templates, likewise
rotation.py       the angles of their positions
small_files.py    a program that asks transformers what it makes of a folder's small files
kept_facts.py     its answers, kept
making_fast.py    what is done to the weights before the first chat
cpu_path.py       which way of multiplying is the fastest here, measured
linears.py        the ways of multiplying
lossy_int8.py     8-bit layers with their loss, for who asks for them
fp16_linear.py    16-bit weights inside transformers' modules, without loss
taking_apart.py   which models are built like Llama, and their parts
llama_like.py     the forward pass for them, written by hand
cuda_steps.py     its steps recorded and played back on a GPU
compiled/         the same steps in C, where this machine has a compiler
module_pass.py    the forward pass for all others, through transformers' modules
row_norms.py      its norms, sooner for a single token
prompt.py         from messages to token ids
room_cache.py     the cache of one conversation, as plain tensors
kv_cache.py       the same for transformers' modules
cache_shelf.py    the caches of several conversations, and which one a prompt goes on from
sampling.py       from logits to a token
decoding.py       the loop: prefill in chunks, decode, stop at once
pace.py           how many threads write, by what the last tokens took
text_stream.py    from tokens to text: whole characters, stop strings, thinking kept apart
desk.py           one answer at a time; the others wait and know their place
request.py        what a client may ask, and the typed refusals
replies.py        the shapes of the protocol's answers
server.py         HTTP on a Unix socket, and on a port where one is asked for
"""
