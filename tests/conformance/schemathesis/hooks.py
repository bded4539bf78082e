"""What schemathesis loads beside the description: requests that name things which exist, for most of the cases.
Random ids alone would never get behind a 404. The things are those of MIMEO_CONTRACT_THINGS (contract_test.py).
"""

import itertools
import json
import os

import schemathesis
from schemathesis.core.parameters import ParameterLocation

THINGS = json.loads(os.environ["MIMEO_CONTRACT_THINGS"])
# Longest first: the first that a path begins with says what its parameters are.
KINDS = sorted(THINGS, key=len, reverse=True)
LONGEST_WAIT = "wait=2"
turn = itertools.count()


@schemathesis.hook
def before_call(context, case, kwargs):
    for name in list(case.headers or {}):  # Nothing is learned by waiting for a minute.
        if name.lower() == "prefer" and "wait" in str(case.headers[name]).lower():
            case.headers[name] = LONGEST_WAIT
    if not case.path_parameters or case.meta is None or case.meta.is_negative_at(ParameterLocation.PATH):
        return
    number = next(turn)
    is_positive = case.meta.generation.mode.is_positive
    if is_positive and number % 3 == 0:
        return  # As it was made up.
    for prefix in KINDS:
        if case.path.startswith(prefix):
            known = THINGS[prefix]
            case.path_parameters = {**case.path_parameters, **known[number % len(known)]}
            return
