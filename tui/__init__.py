"""Heft: a full-screen terminal workbench for pre-trained models.

Where things are, by the words a user would say:

    catalog/    what models exist, and which builds are on this disk
    hardware/   what this machine has, and what is free right now
    fit/        will it fit, with every term of the sum shown
    pick/       pick for me: which models to try, and why not the others
    jobs/       the queue that outlives the terminal, and why a job waits
    compare/    trials: the same prompts put to several models, and what came of it
    chat/       conversations, endpoints and the streaming client
    workers/    one process per job: download, quantize, serve, evaluate, compare (torch lives here)
    starter/    the small model that ships inside the package
    workbench/  the one object that a front end holds
    cli/, ui/   two front ends of the same workbench

Layers, top to bottom: ``ui | cli | workers`` -> ``workbench`` -> ``compare`` -> ``jobs | chat | pick`` -> ``fit`` ->
``catalog | hardware`` -> ``settings`` -> ``sqlite_file`` -> ``paths | errors``. Intents go up, data comes down; SQLite
is the wire between front ends and workers; only chat goes over a socket, and it speaks the OpenAI protocol.
"""

__version__ = "0.1.0"
