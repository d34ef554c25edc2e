"""Python runs this in each process of a queue under chaos (its folder is on PYTHONPATH): points and mutants go in here,
so that the program itself knows nothing of them."""

import os
import sys
import traceback

if os.environ.get("HEFT_CHAOS") and any(
    word.endswith(("tui.jobs.runner", "counting_worker.py", "front_end.py")) for word in sys.orig_argv
):
    try:
        import mutants

        mutants.apply(os.environ.get("HEFT_MUTANT", ""))  # before others take over by name what is changed here

        import points

        points.install()
    except BaseException:  # Python would go on without: a chaos in which nobody dies proves nothing
        traceback.print_exc()
        os._exit(70)
