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
LINKS = json.loads(os.environ["MIMEO_CONTRACT_LINKS"])  # Query parameters that open a file, by its id.
BODIES = json.loads(os.environ["MIMEO_CONTRACT_BODIES"])  # Members that make a body one that can be accepted, by path.
KINDS = sorted(THINGS, key=len, reverse=True)
LONGEST_WAIT = "wait=2"
turn = itertools.count()


@schemathesis.hook
def before_call(context, case, kwargs):
    for name in list(case.headers or {}):  # Nothing is learned by waiting for a minute.
        if name.lower() == "prefer" and "wait" in str(case.headers[name]).lower():
            case.headers[name] = LONGEST_WAIT
    if case.meta is None or case.meta.is_negative_at(ParameterLocation.PATH):
        return
    number = next(turn)
    is_positive = case.meta.generation.mode.is_positive
    if is_positive and case.path.startswith("/deployments") and isinstance(case.body, dict):
        for limit in {"min_instances", "max_instances"} & case.body.keys():
            case.body = {**case.body, limit: 0}  # Instances that are kept ready take the machine from all others.
    if is_positive and number % 3 == 0:
        return  # As it was made up.
    if is_positive and case.method == "POST" and case.path in BODIES and isinstance(case.body, dict):
        case.body = {**case.body, **BODIES[case.path]}
    for prefix in KINDS:
        if case.path.startswith(prefix):
            known = THINGS[prefix]
            case.path_parameters = {**case.path_parameters, **known[number % len(known)]}
            break
    if is_positive and case.path == "/files/{id}/download":
        case.query = {**LINKS[case.path_parameters["id"]]} if case.path_parameters["id"] in LINKS else case.query
