"""The real command line tool: the program that MIMEO_REPLICATE_CLI names."""

import json
import os
import pathlib
import subprocess
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
from suite import checks  # noqa: E402
from suite.checks import contains, equal, expect  # noqa: E402
from suite.wire import main_wire  # noqa: E402

LIMIT_S = 90


def call(site, *arguments, stdin="", base=None, home=None, token=None, is_ok=True):
    """The finished command. It keeps logins below HOME, so each call has one of its own."""
    with tempfile.TemporaryDirectory() as own:
        environment = {"PATH": os.environ["PATH"], "HOME": home or own, "XDG_CONFIG_HOME": home or own,
                       "REPLICATE_BASE_URL": base or site["url"] + "/v1", "SSL_CERT_FILE": site["authority"],
                       "REPLICATE_API_TOKEN": token or site["token"], "NO_COLOR": "1"}
        done = subprocess.run([os.environ["MIMEO_REPLICATE_CLI"], *arguments], text=True, capture_output=True, check=False,
                              timeout=LIMIT_S, env=environment, input=stdin, cwd=own)
    if is_ok:
        expect(done.returncode == 0, f"`replicate {' '.join(arguments)}` failed: {done.stderr or done.stdout}")
    return done


def of_json(site, *arguments, **options):
    return json.loads(call(site, *arguments, "--json", **options).stdout)


def row_001_base_url(site):
    for base in (site["url"] + "/v1", site["url"] + "/v1/"):
        contains(call(site, "account", "current", "--json", base=base).stdout, site.owner, f"the account with {base}")


def row_028_logs_of_a_failure(site):
    done = call(site, "run", site.model("probe"), "fail=it broke", is_ok=False)
    text = done.stdout + done.stderr
    expect("panic" not in text and "nil pointer" not in text, f"the tool crashed: {text[:500]}")
    contains(text, "it broke", "what it says of a failed prediction")


def row_035_create(site):
    made = of_json(site, "prediction", "create", site.model("hello"), "text=a", "--no-wait")
    equal(made["status"], "starting", "the status")
    equal(main_wire(site).wait(made["id"])["output"], "Hello a!", "the output")


def row_054_file_input(site):
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as file:
        file.write("text of a file")
        file.flush()
        made = of_json(site, "run", site.model("probe"), f"document=@{file.name}")
    equal(made["output"]["document"]["text"], "text of a file", "what the model read")


def row_057_versionless(site):
    contains(call(site, "run", site.model("hello"), "text=cli").stdout, "Hello cli!", "the output")


def row_066_versions(site):
    shown = call(site, "model", "show", site.model("hello"), "--json").stdout
    contains(shown, site.versions["hello"], "the model")


def row_067_schema(site):
    for name in ("hello", "probe", "probe-stream", "edges"):
        shown = json.loads(call(site, "model", "schema", site.model(name), "--json").stdout)
        expect({"Input", "Output"} <= set(shown["components"]["schemas"]), f"the schema of {name} is {shown}")


def row_076_deployments(site):
    name = site.unique("cli")
    call(site, "deployments", "create", site.model(name), "--model", site.model("hello"), "--hardware", "cpu",
         "--min-instances", "0", "--max-instances", "1")
    call(site, "deployments", "update", site.model(name), "--max-instances", "2")
    contains(call(site, "deployments", "show", site.model(name), "--json").stdout, name, "the deployment")
    release = main_wire(site).ok("GET", f"/v1/deployments/{site.owner}/{name}")["current_release"]
    equal((release["number"], release["configuration"]["max_instances"]), (2, 2), "the release")


def row_086_login(site):
    with tempfile.TemporaryDirectory() as home:
        call(site, "auth", "login", "--token-stdin", stdin=site["token"] + "\n", home=home)
        bad = call(site, "auth", "login", "--token-stdin", stdin="r8_" + "x" * 37 + "\n", home=home, is_ok=False)
        expect(bad.returncode != 0, "a bad token is taken for a good one")
    contains([one["sku"] for one in of_json(site, "hardware", "list")], "cpu", "the hardware")


def row_101_stream(site):
    text = "a stream of words"
    contains(call(site, "stream", site.model("stream-text"), f"text={text}", "delay_ms=5").stdout, text, "what is streamed")


def row_102_commands(site):
    expect(of_json(site, "model", "list")["results"], "no models are listed")
    contains(call(site, "model", "show", site.model("probe"), "--json").stdout, site.versions["probe"], "the model")
    made = of_json(site, "run", site.model("hello"), "text=json")
    equal(made["output"], "Hello json!", "the output")
    listed = call(site, "prediction", "list", "--json").stdout
    contains(listed, made["id"], "the list of predictions")


def row_102_train(site):
    shown = call(site, "train", site.ref("probe-trainer"), "--destination", site.model("trained"), "text=words",
                 "delay_ms=60000", "--json").stdout
    made = json.loads(shown[shown.index("{"):])  # A sentence comes first.
    expect(made["status"] in ("starting", "processing"), f"the status is {made['status']}")
    contains(call(site, "training", "show", made["id"], "--json").stdout, made["id"], "the training")
    main_wire(site).ok("POST", f"/v1/trainings/{made['id']}/cancel")


if __name__ == "__main__":
    checks.run("cli", [sys.modules["__main__"]])
