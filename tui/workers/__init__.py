"""One process per job; the heavy libraries load here and nowhere else.

__main__.py     the door: takes the job's lock, runs its verb, writes the outcome
environment.py  what a worker process is set to before anything heavy loads
reporter.py     how a verb speaks: progress, log, ready, the wish to stop
failures.py     an exception in the words of a person
download.py     the verb "download"; transfer*.py move its bytes
weights.py      from a folder of weights to a model, whatever library it takes
figures.py      what is measured of a model: memory, speed, perplexity; divergence.py holds two against each other
quantize, serve, evaluate   the other verbs
"""
